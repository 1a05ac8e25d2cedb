//! A client on tokio-tungstenite: another implementation of the WebSocket than the gateway's.

use std::time::Duration;

use doorbell_protocol::codec::{decode_server, encode_client};
use doorbell_protocol::frames::{Goaway, Hello, HintFrame, Token, Welcome};
use doorbell_protocol::{CallId, ClientFrame, DeviceId, Encoding, ErrorBody, Payload, ServerFrame};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a socket ended: the close code, or none where TCP ended without one.
pub type Closed = Option<u16>;

pub struct Client<S = TcpStream> {
    socket: WebSocketStream<S>,
    encoding: Encoding,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn new(socket: S, encoding: Encoding) -> Self {
        Self { socket: WebSocketStream::from_raw_socket(socket, Role::Client, None).await, encoding }
    }

    pub fn socket(&mut self) -> &mut WebSocketStream<S> {
        &mut self.socket
    }

    pub fn message(&self, frame: &ClientFrame) -> Message {
        let mut bytes = Vec::new();
        encode_client(self.encoding, frame, &mut bytes);
        match self.encoding {
            Encoding::Json => Message::text(String::from_utf8(bytes).unwrap()),
            Encoding::MsgPack => Message::binary(bytes),
        }
    }

    pub async fn send(&mut self, frame: &ClientFrame) {
        let message = self.message(frame);
        self.socket.send(message).await.unwrap();
    }

    pub async fn hello(&mut self, token: &str) {
        self.say_hello(token, None, 0).await;
    }

    pub async fn say_hello(&mut self, token: &str, device: Option<&str>, hint_window_ms: u32) {
        let device = device.map(|device| DeviceId::new(device).unwrap());
        let token = Some(Token(token.into()));
        self.send(&ClientFrame::Hello(Hello { token, device, client: None, hint_window_ms })).await;
    }

    pub async fn call(&mut self, id: u64, method: &str) {
        self.call_with(id, method, &serde_json::json!({"n": id})).await;
    }

    pub async fn call_with(&mut self, id: u64, method: &str, params: &serde_json::Value) {
        let params = Payload::encode(self.encoding, params);
        self.send(&ClientFrame::Call { id: CallId::Number(id), method: method.into(), params }).await;
    }

    pub async fn raw(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// The next frame, or how the socket ended. WebSocket pings are answered on the way.
    pub async fn next(&mut self) -> Result<ServerFrame, Closed> {
        loop {
            match self.message_or_end().await? {
                Message::Text(text) => return Ok(decode_server(self.encoding, text.as_bytes()).unwrap()),
                Message::Binary(bytes) => return Ok(decode_server(self.encoding, &bytes).unwrap()),
                _ => {}
            }
        }
    }

    /// The next message of any kind.
    pub async fn message_or_end(&mut self) -> Result<Message, Closed> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("nothing came");
        match next {
            Some(Ok(Message::Close(frame))) => {
                // Reading on lets tungstenite send its answer, and sees the end of TCP.
                while let Some(Ok(_)) = self.socket.next().await {}
                Err(frame.map(|frame| frame.code.into()))
            }
            Some(Ok(message)) => Ok(message),
            Some(Err(_)) | None => Err(None),
        }
    }

    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    pub async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            Ok(ServerFrame::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    pub async fn hint(&mut self) -> HintFrame {
        match self.next().await {
            Ok(ServerFrame::Hint(hint)) => hint,
            other => panic!("no hint but {other:?}"),
        }
    }

    pub async fn goaway(&mut self) -> Goaway {
        match self.next().await {
            Ok(ServerFrame::Goaway(goaway)) => goaway,
            other => panic!("no goaway but {other:?}"),
        }
    }

    pub async fn reply(&mut self) -> (u64, Result<serde_json::Value, ErrorBody>) {
        match self.next().await {
            Ok(ServerFrame::Reply { id: CallId::Number(id), outcome }) => {
                (id, outcome.map(|payload| payload.parse().unwrap()))
            }
            other => panic!("no reply but {other:?}"),
        }
    }

    pub async fn error(&mut self) -> ErrorBody {
        match self.next().await {
            Ok(ServerFrame::Error(error)) => error,
            other => panic!("no error but {other:?}"),
        }
    }

    /// Everything sent before has been taken in, and everything due has come: a ping has its pong.
    pub async fn settle(&mut self) -> Vec<ServerFrame> {
        self.send(&ClientFrame::Ping { id: Some(CallId::Text("settle".into())) }).await;
        let mut came = Vec::new();
        loop {
            match self.next().await.expect("the socket is open") {
                ServerFrame::Pong { id: Some(CallId::Text(id)) } if id == "settle" => return came,
                frame => came.push(frame),
            }
        }
    }

    pub async fn close(&mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
