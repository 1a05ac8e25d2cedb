//! Writers: they send at a fixed rate, keep a send's key until its fate is known, and now and then repeat what was
//! acknowledged.

use std::time::Duration;

use doorbell_protocol::{ErrorBody, Payload};
use rand::Rng;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::client::Client;
use super::history::{Kind, Phase, What, fingerprint};
use super::link::{Ended, Link, wait_of};
use super::stage::Sabotage;

/// Of a thousand sends: edits, deletes, and repeats of what was acknowledged.
const EDITS: u32 = 60;
const DELETES: u32 = 30;
const REPEATS: u32 = 20;
/// Own messages that may be edited or deleted.
const OWN_MAX: usize = 64;
/// How long after the load the fate of a send is asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One writer.
pub struct Writer {
    client: Client,
    /// Where it may write; the first one is the large conversation for some.
    conversations: Vec<u32>,
    large: Option<u32>,
    every: Duration,
    next_key: u64,
    own: Vec<Sending>,
}

/// A send until its fate is known.
#[derive(Clone, Debug)]
struct Sending {
    key: u64,
    conversation: u32,
    kind: Kind,
    of: Option<u64>,
    text: String,
    /// Once it was acknowledged.
    version: u64,
}

/// The answer to a send.
#[derive(Debug, Deserialize)]
struct Sent {
    version: u64,
    id: String,
}

impl Writer {
    /// One that has not connected yet and sends once in `every`. `large`: seldom, because it costs a thousand hints.
    pub fn new(client: Client, conversations: Vec<u32>, large: Option<u32>, every: Duration) -> Self {
        // Keys are numbers of the run: the writer's, and its count.
        let next_key = (u64::from(client.number) + 1) << 24;
        Self { client, conversations, large, every, next_key, own: Vec::new() }
    }

    /// From the load until its end, and on until no send is unsure.
    pub async fn run(mut self) {
        let Some(mut link) = self.client.enter().await else { return };
        let mut phase = self.client.shared.phase.clone();
        if phase.wait_for(|phase| *phase >= Phase::Load).await.is_err() {
            return;
        }
        let first = Instant::now() + self.every.mul_f64(self.client.rng.random::<f64>());
        let mut ticks = interval_at(first, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Reading while there is nothing to send keeps the socket alive.
                came = link.next() => {
                    if came.is_err() {
                        let Some(new) = self.client.enter().await else { return };
                        link = new;
                    }
                    if *phase.borrow_and_update() == Phase::Load { continue }
                }
            }
            if *phase.borrow_and_update() != Phase::Load {
                return link.leave().await;
            }
            if link.is_to_move() {
                let Some(new) = self.client.move_from(link).await else { return };
                link = new;
            }
            let sending = self.next();
            let Some(after) = self.settle(link, sending).await else { return };
            link = after;
        }
    }

    /// What to send next.
    fn next(&mut self) -> Sending {
        let draw = self.client.rng.random_range(0..1_000);
        if !self.own.is_empty() && draw < EDITS + DELETES + REPEATS {
            let index = self.client.rng.random_range(0..self.own.len());
            if draw < REPEATS {
                return self.own[index].clone();
            }
            if draw < REPEATS + DELETES {
                let message = self.own.swap_remove(index);
                return self.sending(message.conversation, Kind::Delete, Some(message.version));
            }
            let (conversation, of) = (self.own[index].conversation, self.own[index].version);
            return self.sending(conversation, Kind::Edit, Some(of));
        }
        let conversation = match self.large {
            Some(large) if self.client.rng.random_ratio(1, 10) => large,
            _ => self.conversations[self.client.rng.random_range(0..self.conversations.len())],
        };
        self.sending(conversation, Kind::Message, None)
    }

    fn sending(&mut self, conversation: u32, kind: Kind, of: Option<u64>) -> Sending {
        let key = self.next_key;
        self.next_key += 1;
        let words = "ring ".repeat(self.client.rng.random_range(1..20));
        let text =
            if kind == Kind::Delete { String::new() } else { self.client.shared.names.text(key, &words) };
        Sending { key, conversation, kind, of, text, version: 0 }
    }

    /// Sends until the fate is known: again with the same key, over whatever session there is. `None`: the run is over.
    async fn settle(&mut self, link: Link, mut sending: Sending) -> Option<Link> {
        let mut link = Some(link);
        let (mut unsure, mut tries) = (false, 0_u32);
        let mut over = None;
        loop {
            let mut open = match link.take() {
                Some(open) => open,
                None => self.client.enter().await?,
            };
            tries += 1;
            match self.attempt(&mut open, &sending, tries).await {
                Ok(Ok(Sent { version, id })) => {
                    self.acked(&mut sending, version, &id, unsure).await;
                    return Some(open);
                }
                Ok(Err(Fate::Wait(wait))) => {
                    sleep(wait).await;
                    link = Some(open);
                }
                Ok(Err(Fate::Never(code))) => {
                    self.shared_unsure(&mut unsure, false);
                    self.client.shared.recorder.record(What::Refused { key: sending.key, code }).await;
                    return Some(open);
                }
                Ok(Err(Fate::Unknown(wait))) => {
                    self.unsure(sending.key, &mut unsure).await;
                    sleep(wait.mul_f64(self.client.rng.random_range(0.5..1.5))).await;
                    link = Some(open);
                }
                Err(Ended(_)) => self.unsure(sending.key, &mut unsure).await,
            }
            if self.client.shared.phase_now() > Phase::Load
                && over.get_or_insert_with(Instant::now).elapsed() > PATIENCE
            {
                return None;
            }
        }
    }

    async fn unsure(&mut self, key: u64, unsure: &mut bool) {
        self.shared_unsure(unsure, true);
        self.client.shared.recorder.record(What::Unsure { key }).await;
    }

    fn shared_unsure(&self, unsure: &mut bool, is: bool) {
        if *unsure != is {
            self.client.shared.progress.unsure(if is { 1 } else { -1 });
            *unsure = is;
        }
    }

    async fn acked(&mut self, sending: &mut Sending, version: u64, id: &str, mut unsure: bool) {
        self.shared_unsure(&mut unsure, false);
        let sent = What::Sent { key: sending.key, version, id: fingerprint(id) };
        self.client.shared.recorder.record(sent).await;
        self.client.shared.progress.acked();
        if sending.kind == Kind::Message && sending.version == 0 {
            sending.version = version;
            if self.own.len() == OWN_MAX {
                let index = self.client.rng.random_range(0..OWN_MAX);
                self.own.swap_remove(index);
            }
            self.own.push(sending.clone());
        }
    }

    async fn attempt(
        &self,
        link: &mut Link,
        sending: &Sending,
        tries: u32,
    ) -> Result<Result<Sent, Fate>, Ended> {
        let shared = &self.client.shared;
        let Sending { key, conversation, kind, of, text, .. } = sending;
        let what = What::Send {
            key: *key,
            user: self.client.user,
            conversation: *conversation,
            text: fingerprint(text),
            kind: *kind,
            of: *of,
            target: link.target(),
        };
        shared.recorder.record(what).await;
        let forgets = shared.sabotage == Sabotage::RetryWithoutKey && (tries > 1 || sending.version > 0);
        let name = if forgets { format!("{key}-{}", shared.recorder.now()) } else { key.to_string() };
        let mut params =
            json!({"conversation": shared.names.conversation(*conversation), "key": format!("prove-{name}")});
        let method = match kind {
            Kind::Edit => "messages.edit",
            Kind::Delete => "messages.delete",
            Kind::Message | Kind::Other => "messages.send",
        };
        if let Some(of) = of {
            params["of"] = (*of).into();
        }
        if *kind != Kind::Delete {
            params["text"] = Value::from(text.as_str());
        }
        Ok(link.ask(method, &params).await?.map_err(|error| fate(&error)).and_then(|payload| sent(&payload)))
    }
}

/// What becomes of a send that got no acknowledgement.
enum Fate {
    /// It did not happen, and may when it is sent later.
    Wait(Duration),
    /// It will not happen.
    Never(String),
    /// It may have happened.
    Unknown(Duration),
}

fn sent(payload: &Payload) -> Result<Sent, Fate> {
    payload.parse().map_err(|_| Fate::Unknown(Duration::from_secs(1)))
}

fn fate(error: &ErrorBody) -> Fate {
    use doorbell_protocol::ErrorCode as Code;
    match (error.code, wait_of(error)) {
        (Code::RateLimited, wait) => Fate::Wait(wait.unwrap_or(Duration::from_secs(1))),
        (Code::Unavailable | Code::Internal, wait) => Fate::Unknown(wait.unwrap_or(Duration::from_secs(1))),
        (code, _) => Fate::Never(code.as_str().to_owned()),
    }
}
