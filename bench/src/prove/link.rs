//! One socket with its session, and what came over it, written down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use doorbell_protocol::codec::{decode_server, encode_client};
use doorbell_protocol::frames::{Goaway, Hello, HintFrame, Token};
use doorbell_protocol::{
    CallId, ClientFrame, Encoding, ErrorBody, ErrorCode, Payload, ServerFrame, TopicId, Version,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use super::history::What;
use super::stage::Stage;

/// How long a socket and its welcome may take.
const ENTER_DEADLINE: Duration = Duration::from_secs(10);
/// How long a reply may take: the server answers within 10 s, if only that it cannot.
pub const REPLY_DEADLINE: Duration = Duration::from_secs(14);
/// Read buffer of a socket: thousands of them lie in one process.
const BUFFER_BYTES: usize = 4_096;

/// The socket underneath.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is no session.
#[derive(Debug)]
pub enum NoEntry {
    /// The server asks to come back that much later.
    Busy(Duration),
    /// It does not take this client: no try can help.
    Refused(String),
    /// Anything else: come back after backoff.
    Later,
    /// The token does not hold: a fresh one may.
    Token(String),
}

/// How a socket ended: its close code, where one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ended(pub Option<u16>);

/// What came.
#[derive(Debug)]
pub enum Came {
    /// A hint; it has been written down.
    Hint(HintFrame),
    /// The reply to a call.
    Reply(u64, Result<Payload, ErrorBody>),
    /// The gateway is leaving.
    Goaway(Goaway),
    /// Something that is of no concern here.
    Other,
}

/// One session.
pub struct Link {
    socket: Socket,
    shared: Arc<Stage>,
    /// Its number in the history; `None` where it is not written down.
    session: Option<u32>,
    user: u32,
    /// The place of its address; `None` where nobody asks.
    target: Option<u32>,
    next_call: u64,
    /// When its gateway asked it to move.
    moves_at: Option<Instant>,
    /// How it ended, once it has.
    ended: Option<Ended>,
}

impl Link {
    /// Opens a socket and says hello.
    ///
    /// # Errors
    /// [`NoEntry`] says what to do.
    pub async fn enter(shared: &Arc<Stage>, url: &str, user: u32, token: String) -> Result<Self, NoEntry> {
        let deadline = Instant::now() + ENTER_DEADLINE;
        let mut socket = timeout_at(deadline, open(url)).await.unwrap_or(Err(NoEntry::Later))?;
        let hello = ClientFrame::Hello(Hello { token: Some(Token(token)), ..Hello::default() });
        write(&mut socket, &hello).await.map_err(|_| NoEntry::Later)?;
        loop {
            match timeout_at(deadline, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => match decode_server(Encoding::Json, text.as_bytes()) {
                    Ok(ServerFrame::Welcome(_)) => break,
                    Ok(_) => {}
                    Err(error) => {
                        return Err(NoEntry::Refused(format!("no frame of this protocol: {error}")));
                    }
                },
                Ok(Some(Ok(Message::Close(close)))) => {
                    let code = close.as_ref().map(|close| u16::from(close.code));
                    let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
                    return Err(match code {
                        Some(4401 | 4419) => NoEntry::Token(reason),
                        Some(code @ 4400..=4407) => NoEntry::Refused(format!("closed with {code}: {reason}")),
                        _ => NoEntry::Later,
                    });
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) | Err(_) => return Err(NoEntry::Later),
            }
        }
        Ok(Self {
            socket,
            shared: Arc::clone(shared),
            session: None,
            user,
            target: None,
            next_call: 1,
            moves_at: None,
            ended: None,
        })
    }

    /// From here on it is written down under that number.
    pub const fn number(&mut self, session: u32) {
        self.session = Some(session);
    }

    /// Which of the run's addresses it was opened at.
    pub const fn leads_to(&mut self, target: u32) {
        self.target = Some(target);
    }

    /// The place of its address.
    pub const fn target(&self) -> Option<u32> {
        self.target
    }

    /// Whether its gateway asked it to move, and it is time to.
    pub fn is_to_move(&self) -> bool {
        self.moves_at.is_some_and(|at| at <= Instant::now())
    }

    /// Its number in the history, 0 where it has none.
    pub fn session(&self) -> u32 {
        self.session.unwrap_or_default()
    }

    /// Sends a call; answers its id.
    ///
    /// # Errors
    /// Where the socket has ended.
    pub async fn call(&mut self, method: &str, params: &Value) -> Result<u64, Ended> {
        let id = self.next_call;
        self.next_call += 1;
        let params = Payload::encode(Encoding::Json, params);
        self.send(&ClientFrame::Call { id: CallId::Number(id), method: method.to_owned(), params }).await?;
        Ok(id)
    }

    /// Asks to follow a topic; answers the id of the reply.
    ///
    /// # Errors
    /// Where the socket has ended.
    pub async fn subscribe(&mut self, topic: TopicId) -> Result<u64, Ended> {
        let id = self.next_call;
        self.next_call += 1;
        let topics = vec![(topic, Version::ZERO)];
        self.send(&ClientFrame::Subscribe { id: CallId::Number(id), topics }).await?;
        Ok(id)
    }

    async fn send(&mut self, frame: &ClientFrame) -> Result<(), Ended> {
        if let Some(ended) = self.ended {
            return Err(ended);
        }
        match timeout(REPLY_DEADLINE, write(&mut self.socket, frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.over(Ended(None)).await),
        }
    }

    /// Calls a method and waits for the reply; hints that come meanwhile are written down.
    ///
    /// # Errors
    /// Where the socket ended, or no reply came in time: then it is ended from this side.
    pub async fn ask(&mut self, method: &str, params: &Value) -> Result<Result<Payload, ErrorBody>, Ended> {
        let id = self.call(method, params).await?;
        self.reply(id).await
    }

    /// Waits for the reply to a call.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn reply(&mut self, id: u64) -> Result<Result<Payload, ErrorBody>, Ended> {
        let deadline = Instant::now() + REPLY_DEADLINE;
        loop {
            match timeout_at(deadline, self.next()).await {
                Ok(Ok(Came::Reply(of, outcome))) if of == id => return Ok(outcome),
                Ok(Ok(_)) => {}
                Ok(Err(ended)) => return Err(ended),
                Err(_) => return Err(self.over(Ended(None)).await),
            }
        }
    }

    /// Waits for what comes next.
    ///
    /// *Cancel safety*: nothing is lost where it is dropped while it waits for the socket; a hint that is being written
    /// down when the history is full may go unrecorded.
    ///
    /// # Errors
    /// Where the socket ended.
    pub async fn next(&mut self) -> Result<Came, Ended> {
        loop {
            if let Some(ended) = self.ended {
                return Err(ended);
            }
            let message = self.socket.next().await;
            if let Some(came) = self.on_message(message).await? {
                return Ok(came);
            }
        }
    }

    async fn on_message(&mut self, message: Option<Result<Message, Error>>) -> Result<Option<Came>, Ended> {
        match message {
            Some(Ok(Message::Text(text))) => Ok(self.take(&text).await),
            Some(Ok(Message::Close(close))) => {
                Err(self.over(Ended(close.map(|close| close.code.into()))).await)
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(_)) | None => Err(self.over(Ended(None)).await),
        }
    }

    /// Reads what nobody acts on any more, until it is to be left or has ended. What was read is written down before it stops.
    pub async fn read_until(&mut self, left: &CancellationToken) {
        while self.ended.is_none() {
            let message = tokio::select! {
                message = self.socket.next() => message,
                () = left.cancelled() => return,
            };
            let _ = self.on_message(message).await;
        }
    }

    async fn take(&mut self, text: &Utf8Bytes) -> Option<Came> {
        Some(match decode_server(Encoding::Json, text.as_bytes()).ok()? {
            ServerFrame::Hint(hint) => {
                self.hinted(&hint, text).await;
                Came::Hint(hint)
            }
            ServerFrame::Reply { id: CallId::Number(id), outcome } => Came::Reply(id, outcome),
            ServerFrame::Goaway(goaway) => {
                let delay = Duration::from_millis(goaway.reconnect_after_ms.into());
                self.moves_at.get_or_insert(Instant::now() + delay);
                Came::Goaway(goaway)
            }
            _ => Came::Other,
        })
    }

    async fn hinted(&self, hint: &HintFrame, text: &str) {
        let Some(session) = self.session else { return };
        let (names, wide) = (&self.shared.names, hint.resync || hint.more);
        let mut topics = Vec::with_capacity(hint.topics.len());
        for (topic, version) in &hint.topics {
            if let Some(conversation) = names.topic(topic.as_str()) {
                topics.push((conversation, version.get()));
            } else if !names.is_inbox_of(topic, self.user) {
                let what = format!("was hinted of {topic}");
                self.shared.recorder.record(What::Foreign { session, what }).await;
            }
        }
        if text.contains(&names.mark) {
            let what = "was sent the text of a message with a hint".to_owned();
            self.shared.recorder.record(What::Foreign { session, what }).await;
        }
        self.shared.progress.hints(topics.len());
        if wide || !topics.is_empty() {
            self.shared.recorder.record(What::Hint { session, topics, wide }).await;
        }
    }

    async fn over(&mut self, ended: Ended) -> Ended {
        if self.ended.is_none() {
            self.ended = Some(ended);
            if let Some(session) = self.session {
                self.shared.progress.closed();
                self.shared.recorder.record(What::Close { session, code: ended.0 }).await;
            }
        }
        self.ended.unwrap_or(ended)
    }

    /// Leaves in the ordinary way.
    pub async fn leave(mut self) {
        let _ = timeout(Duration::from_secs(2), self.socket.close(None)).await;
        self.over(Ended(Some(1000))).await;
    }

    /// The socket itself, for who breaks the protocol.
    pub const fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }
}

/// Opens a socket; nothing is said yet.
async fn open(url: &str) -> Result<Socket, NoEntry> {
    let address = format!("{}/v1/ws", url.trim_end_matches('/'));
    let mut request = address.into_client_request().map_err(|error| NoEntry::Refused(error.to_string()))?;
    let protocol = HeaderValue::from_static(Encoding::Json.subprotocol());
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(0);
    // Boxed: the future of a TLS handshake is large, and lies in every client's otherwise.
    let connecting = Box::pin(tokio_tungstenite::connect_async_with_config(request, Some(config), true));
    match connecting.await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let after =
                answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            match (answer.status().as_u16(), after) {
                (503 | 429, after) => Err(NoEntry::Busy(Duration::from_secs(after.unwrap_or(1)))),
                (500.., _) => Err(NoEntry::Later),
                (status, _) => Err(NoEntry::Refused(format!("{url} answers the upgrade with HTTP {status}"))),
            }
        }
        // What TLS says of a certificate; a socket that breaks has other kinds.
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(NoEntry::Refused(format!("{url}: {error}")))
        }
        Err(Error::Tls(error)) => Err(NoEntry::Refused(format!("{url}: {error}"))),
        Err(_) => Err(NoEntry::Later),
    }
}

async fn write(socket: &mut Socket, frame: &ClientFrame) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    encode_client(Encoding::Json, frame, &mut bytes);
    let text = Utf8Bytes::try_from(Bytes::from(bytes)).context("a frame is text")?;
    Ok(socket.send(Message::Text(text)).await?)
}

/// How long to wait before an unchanged try; `None` where that cannot help.
pub fn wait_of(error: &ErrorBody) -> Option<Duration> {
    let retry = error.retry_after_ms.map(Duration::from_millis);
    match error.code {
        ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Internal => {
            Some(retry.unwrap_or(Duration::from_millis(500)))
        }
        _ => retry,
    }
}
