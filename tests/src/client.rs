//! One session: calls, and the hints that came.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use doorbell_protocol::codec::{decode_server, encode_client};
use doorbell_protocol::frames::{Hello, HintFrame, Token, Welcome};
use doorbell_protocol::{CallId, ClientFrame, Encoding, ErrorBody, Payload, ServerFrame, TopicId, Version};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Nothing in these tests may take longer: a bound on liveness, not a measure of speed.
pub const DEADLINE: Duration = Duration::from_secs(15);
/// Between two tries of what is refused for now.
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// The socket of a session.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket ended with {code:?} {reason:?}")]
pub struct Ended {
    /// The close code, where a close frame came.
    pub code: Option<u16>,
    /// Its reason.
    pub reason: String,
}

/// One session that has its `welcome`.
pub struct Client {
    socket: Socket,
    encoding: Encoding,
    next_id: u64,
    replies: HashMap<u64, Result<Payload, ErrorBody>>,
    versions: HashMap<TopicId, Version>,
    /// How many hints named each topic.
    hints: HashMap<TopicId, u32>,
    frames: Vec<ServerFrame>,
    /// A hint said that anything may have changed, or more than it names.
    must_look: bool,
    /// What the gateway said at the start.
    pub welcome: Welcome,
}

impl Client {
    /// Connects, says hello with a token, and waits for the welcome, in JSON.
    ///
    /// # Errors
    /// Where the socket ends instead.
    pub async fn connect(address: &str, token: &str) -> anyhow::Result<Self> {
        Self::connect_in(address, token, Encoding::Json).await
    }

    /// As [`Client::connect`], in an encoding.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_in(address: &str, token: &str, encoding: Encoding) -> anyhow::Result<Self> {
        Self::connect_saying(address, token, encoding, Hello::default()).await
    }

    /// As [`Client::connect_in`], with what else a client may say at its start.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_saying(
        address: &str,
        token: &str,
        encoding: Encoding,
        hello: Hello,
    ) -> anyhow::Result<Self> {
        let mut socket = open(address, encoding).await?;
        let hello = ClientFrame::Hello(Hello { token: Some(Token(token.to_owned())), ..hello });
        send(&mut socket, encoding, &hello).await?;
        let ServerFrame::Welcome(welcome) = receive(&mut socket, encoding, Instant::now() + DEADLINE).await?
        else {
            bail!("the first frame was no welcome");
        };
        Ok(Self {
            socket,
            encoding,
            next_id: 1,
            replies: HashMap::new(),
            versions: HashMap::new(),
            hints: HashMap::new(),
            frames: Vec::new(),
            must_look: false,
            welcome,
        })
    }

    /// Calls a method and waits for its reply.
    ///
    /// # Errors
    /// Where the socket ends first. The server's refusal is the inner result.
    pub async fn try_call(
        &mut self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Result<Value, ErrorBody>> {
        let id = self.start_call(method, &params).await?;
        self.reply(id).await.with_context(|| format!("waiting for the reply of {method}"))
    }

    /// Subscribes to topics of which no version is known, and waits for the reply: each topic's version.
    ///
    /// # Errors
    /// Where the socket ends first. The server's refusal is the inner result.
    pub async fn subscribe(&mut self, topics: &[&str]) -> anyhow::Result<Result<Value, ErrorBody>> {
        let id = self.next_id;
        self.next_id += 1;
        let topics = topics.iter().map(|topic| Ok((TopicId::new(*topic)?, Version::ZERO)));
        let topics = topics.collect::<anyhow::Result<Vec<_>>>()?;
        self.send(&ClientFrame::Subscribe { id: CallId::Number(id), topics }).await?;
        self.reply(id).await.context("waiting for the reply of subscribe")
    }

    async fn reply(&mut self, id: u64) -> anyhow::Result<Result<Value, ErrorBody>> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(outcome) = self.replies.remove(&id) {
                return Ok(match outcome {
                    Ok(payload) => Ok(payload.parse().map_err(|error| anyhow::anyhow!("{error:?}"))?),
                    Err(error) => Err(error),
                });
            }
            self.hear(deadline).await?;
        }
    }

    /// Calls a method that must succeed.
    ///
    /// # Errors
    /// Where the server refuses, or the socket ends.
    pub async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.try_call(method, params).await?.map_err(|error| anyhow::anyhow!("{method}: {error:?}"))
    }

    /// Sends a call and does not wait for its reply; answers its id.
    ///
    /// # Errors
    /// Where the socket ends.
    pub async fn start_call(&mut self, method: &str, params: &Value) -> anyhow::Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let params = Payload::encode(self.encoding, params);
        let call = ClientFrame::Call { id: CallId::Number(id), method: method.to_owned(), params };
        self.send(&call).await?;
        Ok(id)
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// Where the socket ends.
    pub async fn send(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        send(&mut self.socket, self.encoding, frame).await
    }

    /// Waits until a hint named a topic at a version or above.
    ///
    /// # Errors
    /// Where none came within [`DEADLINE`], or the socket ended.
    pub async fn hinted(&mut self, topic: &str, version: u64) -> anyhow::Result<()> {
        let topic = TopicId::new(topic)?;
        let deadline = Instant::now() + DEADLINE;
        while self.versions.get(&topic).is_none_or(|seen| seen.get() < version) {
            self.hear(deadline).await.with_context(|| format!("waiting for the hint {topic}@{version}"))?;
        }
        Ok(())
    }

    /// Waits until the client, which asks for nothing unless a hint says so, knows that a topic is at a version or above.
    ///
    /// # Errors
    /// Where it does not within that time, or the socket ended.
    pub async fn knows(&mut self, topic: &str, version: u64, within: Duration) -> anyhow::Result<()> {
        let topic = TopicId::new(topic)?;
        let deadline = Instant::now() + within;
        while self.versions.get(&topic).is_none_or(|seen| seen.get() < version) {
            if std::mem::take(&mut self.must_look) {
                if timeout_at(deadline, self.has_changed(&topic, version)).await?? {
                    return Ok(());
                }
                continue;
            }
            let heard = self.hear(deadline).await;
            heard.with_context(|| format!("not told of {topic}@{version} within {within:?}"))?;
        }
        Ok(())
    }

    /// Waits for a frame that is neither a hint nor a reply.
    ///
    /// # Errors
    /// Where the socket ends, or none came within [`DEADLINE`].
    pub async fn frame(&mut self) -> anyhow::Result<ServerFrame> {
        let deadline = Instant::now() + DEADLINE;
        while self.frames.is_empty() {
            self.hear(deadline).await.context("waiting for a frame")?;
        }
        Ok(self.frames.remove(0))
    }

    /// Reads until the socket ends, and says how.
    ///
    /// # Errors
    /// Where it does not end within [`DEADLINE`].
    pub async fn ended(mut self) -> anyhow::Result<Ended> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Err(error) = self.hear(deadline).await {
                return error.downcast::<Ended>();
            }
        }
    }

    /// The greatest version hinted so far for each topic.
    #[must_use]
    pub const fn versions(&self) -> &HashMap<TopicId, Version> {
        &self.versions
    }

    /// How many hints named a topic so far.
    #[must_use]
    pub fn hints(&self, topic: &str) -> u32 {
        TopicId::new(topic).ok().and_then(|topic| self.hints.get(&topic)).copied().unwrap_or_default()
    }

    /// Waits until so many hints have named a topic.
    ///
    /// # Errors
    /// They do not within that time, or the socket ended.
    pub async fn hears(&mut self, topic: &str, hints: u32, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while self.hints(topic) < hints {
            let heard = self.hear(deadline).await;
            heard.with_context(|| format!("{} of {hints} hints of {topic}", self.hints(topic)))?;
        }
        Ok(())
    }

    /// All messages of a conversation after a version, page by page.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn pull(&mut self, conversation: &str, mut after: u64) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let page =
                self.call("messages.list", json!({"conversation": conversation, "after": after})).await?;
            let messages = page["messages"].as_array().context("no messages")?;
            all.extend(messages.iter().cloned());
            if page["more"] != json!(true) {
                return Ok(all);
            }
            let last = messages.last().context("an empty page with more")?;
            after = last["version"].as_u64().context("a message without version")?;
        }
    }

    /// Everything that changed since a cursor, page by page, and the new cursor.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn changes(&mut self, cursor: Option<&str>) -> anyhow::Result<(HashMap<String, u64>, String)> {
        let mut topics = HashMap::new();
        let mut cursor = cursor.map(ToOwned::to_owned);
        loop {
            let params = cursor.as_ref().map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
            let page = self.call("topics.changes", params).await?;
            for (topic, version) in page["topics"].as_object().context("no topics")? {
                topics.insert(topic.clone(), version.as_u64().context("a version is a number")?);
            }
            let next = page["cursor"].as_str().context("no cursor")?.to_owned();
            if page["more"] != json!(true) {
                return Ok((topics, next));
            }
            cursor = Some(next);
        }
    }

    /// Whether a topic is at a version or above: asked again while that is refused for now, as a
    /// client does.
    async fn has_changed(&mut self, topic: &TopicId, version: u64) -> anyhow::Result<bool> {
        let mut tries = interval(TRY_PAUSE);
        loop {
            tries.tick().await;
            match self.try_call("topics.changes", json!({})).await? {
                Ok(page) => {
                    ensure!(page["more"] != json!(true), "more than a page");
                    return Ok(page["topics"][topic.as_str()].as_u64().is_some_and(|seen| seen >= version));
                }
                Err(error) => ensure!(error.retry_after_ms.is_some(), "refused for good: {error:?}"),
            }
        }
    }

    async fn hear(&mut self, deadline: Instant) -> anyhow::Result<()> {
        match receive(&mut self.socket, self.encoding, deadline).await? {
            ServerFrame::Hint(HintFrame { topics, resync, more, .. }) => {
                self.must_look |= resync || more;
                for (topic, version) in topics {
                    *self.hints.entry(topic.clone()).or_default() += 1;
                    let seen = self.versions.entry(topic).or_default();
                    *seen = (*seen).max(version);
                }
            }
            ServerFrame::Reply { id: CallId::Number(id), outcome } => {
                ensure!(self.replies.insert(id, outcome).is_none(), "two replies to call {id}");
            }
            other => self.frames.push(other),
        }
        Ok(())
    }
}

/// Opens a socket with an encoding's sub-protocol; nothing is said yet.
///
/// # Errors
/// Where the upgrade is refused.
pub async fn open(address: &str, encoding: Encoding) -> anyhow::Result<Socket> {
    let mut request = format!("ws://{address}/v1/ws").into_client_request()?;
    let protocol = HeaderValue::from_static(encoding.subprotocol());
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (socket, _) = tokio_tungstenite::connect_async_with_config(request, None, true).await?;
    Ok(socket)
}

/// Writes one frame.
///
/// # Errors
/// Where the socket ends.
pub async fn send(socket: &mut Socket, encoding: Encoding, frame: &ClientFrame) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    encode_client(encoding, frame, &mut bytes);
    let message = match encoding {
        Encoding::Json => Message::Text(Utf8Bytes::try_from(Bytes::from(bytes))?),
        Encoding::MsgPack => Message::Binary(bytes.into()),
    };
    Ok(socket.send(message).await?)
}

/// Reads one frame of the protocol; pings are answered on the way.
///
/// # Errors
/// [`Ended`] where the socket ends; others at the deadline or for what is no frame.
pub async fn receive(
    socket: &mut Socket,
    encoding: Encoding,
    deadline: Instant,
) -> anyhow::Result<ServerFrame> {
    loop {
        let message = timeout_at(deadline, socket.next()).await.context("nothing came in time")?;
        let bytes = match message {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(close))) => {
                let code = close.as_ref().map(|close| close.code.into());
                let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
                return Err(Ended { code, reason }.into());
            }
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return Err(Ended { code: None, reason: String::new() }.into()),
        };
        return decode_server(encoding, &bytes).map_err(|error| anyhow::anyhow!("{error}"));
    }
}
