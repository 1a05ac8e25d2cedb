//! Pairs of users with a direct conversation and a session each.

use anyhow::Context;
use doorbell_protocol::codec::encode_client;
use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{CallId, ClientFrame, Encoding, Payload, ServerFrame};
use doorbell_tests::Doorbell;
use doorbell_tests::client::{DEADLINE, Socket, open, receive, send};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Two sessions and the conversation between them.
pub struct Pair {
    /// The side that sends.
    pub sender: Socket,
    /// The side that is rung.
    pub receiver: Socket,
    /// Their conversation.
    pub conversation: String,
    /// Sends so far: versions are dense and only `sender` sends, so send number n gets version n.
    pub sent: u64,
}

/// Opens that many pairs; each has one message already.
pub async fn open_all(doorbell: &Doorbell, count: usize) -> anyhow::Result<Vec<Pair>> {
    let mut pairs = Vec::with_capacity(count);
    for index in 0..count {
        let (ada, bob) = (format!("ada-{index}"), format!("bob-{index}"));
        let mut sender = session(doorbell, &ada).await?;
        let receiver = session(doorbell, &bob).await?;
        let params = json!({"to": bob, "key": "first", "text": "hello"});
        let sent = call(&mut sender, "messages.send", &params).await?;
        let conversation = sent["conversation"].as_str().context("no conversation")?.to_owned();
        pairs.push(Pair { sender, receiver, conversation, sent: 1 });
    }
    Ok(pairs)
}

async fn session(doorbell: &Doorbell, user: &str) -> anyhow::Result<Socket> {
    let token = Token(doorbell.token(user).await?);
    let mut socket = open(doorbell.address(), Encoding::Json).await?;
    let hello = ClientFrame::Hello(Hello { token: Some(token), ..Hello::default() });
    send(&mut socket, Encoding::Json, &hello).await?;
    receive(&mut socket, Encoding::Json, Instant::now() + DEADLINE).await?;
    Ok(socket)
}

async fn call(socket: &mut Socket, method: &str, params: &Value) -> anyhow::Result<Value> {
    let id = CallId::Number(0);
    let params = Payload::encode(Encoding::Json, params);
    send(socket, Encoding::Json, &ClientFrame::Call { id, method: method.to_owned(), params }).await?;
    loop {
        if let ServerFrame::Reply { outcome, .. } =
            receive(socket, Encoding::Json, Instant::now() + DEADLINE).await?
        {
            let result = outcome.map_err(|error| anyhow::anyhow!("{method}: {error:?}"))?;
            return result.parse().map_err(|error| anyhow::anyhow!("{error:?}"));
        }
    }
}

/// The frame of one send, as bytes.
pub fn send_frame(conversation: &str, number: u64) -> String {
    let text = "a hundred bytes of text, more or less, as people write them when they are in a hurry to be elsewhere";
    let params = json!({"conversation": conversation, "key": format!("k-{number}"), "text": text});
    let params = Payload::encode(Encoding::Json, &params);
    let call = ClientFrame::Call { id: CallId::Number(number), method: "messages.send".to_owned(), params };
    let mut bytes = Vec::new();
    encode_client(Encoding::Json, &call, &mut bytes);
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Prints percentiles of times in microseconds.
pub fn report(what: &str, mut micros: Vec<u32>) {
    micros.sort_unstable();
    let at = |share: f64| {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = ((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1));
        f64::from(micros.get(index).copied().unwrap_or_default()) / 1000.0
    };
    println!(
        "{what}: n {} p50 {:.2} ms p90 {:.2} ms p99 {:.2} ms p99.9 {:.2} ms max {:.2} ms",
        micros.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
