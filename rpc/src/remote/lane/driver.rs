//! The task of a lane: connects when there is something to send, and carries requests and answers until it breaks.

use std::error::Error as _;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::{Status, Streaming};

use super::{Call, NoAnswer, Peer, Waiting};
use crate::remote::convert::BadMessage;
use crate::remote::link::Link;
use crate::remote::metrics::End;
use crate::remote::wire;
use crate::remote::wire::exchange_client::ExchangeClient;

/// Requests that wait for the connection's window.
const OUT_REQUESTS: usize = 16;

const STOPPING: &str = "the other side is stopping";

#[derive(Debug)]
pub(super) struct Driver {
    peer: Arc<Peer>,
    queue: mpsc::Receiver<wire::Request>,
    waiting: Arc<Waiting>,
}

impl Driver {
    pub(super) const fn new(
        peer: Arc<Peer>,
        queue: mpsc::Receiver<wire::Request>,
        waiting: Arc<Waiting>,
    ) -> Self {
        Self { peer, queue, waiting }
    }

    /// Runs until the lane is dropped.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            if !self.waiting.waits(first.number) {
                continue;
            }
            match self.connect().await {
                Ok(link) => self.ride(link, first).await,
                Err(why) => self.waiting.answer(first.number, Err(NoAnswer::NoConnection(why))),
            }
        }
    }

    async fn connect(&self) -> Result<Link, String> {
        let Peer { gate, trust, config, metrics } = &*self.peer;
        gate.admit(Instant::now())?;
        match Link::open(gate.address(), trust, config).await {
            Ok(link) => {
                metrics.connected(None);
                Ok(link)
            }
            Err(refusal) => {
                metrics.connected(Some(&refusal));
                gate.failed(Instant::now(), refusal.to_string());
                Err(refusal.to_string())
            }
        }
    }

    /// Uses a connection until it ends.
    async fn ride(&mut self, link: Link, first: wire::Request) {
        let _open = self.peer.metrics.connection(End::Caller);
        let peer = Arc::clone(&self.peer);
        let began = Instant::now();
        let held = async {
            sleep(peer.gate.stable_after()).await;
            peer.gate.stable();
            std::future::pending::<()>().await;
        };
        let why = tokio::select! {
            why = self.talk(link, first) => why,
            () = held => unreachable!("it never ends"),
        };
        self.waiting.fail_sent(&why);
        tracing::debug!(peer = peer.gate.address(), why, "a connection to a process ended");
        peer.gate.broke(Instant::now(), began.elapsed(), why);
    }

    /// Opens the stream and carries what there is. Answers why it ended.
    async fn talk(&mut self, link: Link, first: wire::Request) -> String {
        let Link { requests, connection } = link;
        let mut connection = std::pin::pin!(connection);
        let (out, mut sent) = mpsc::channel(OUT_REQUESTS);
        let message_bytes_max = self.peer.config.message_bytes_max.get();
        let mut client = ExchangeClient::with_origin(Requests(requests), origin())
            .max_decoding_message_size(message_bytes_max);
        self.waiting.send(first.number);
        out.try_send(first).expect("the channel is empty");
        let opening = client.exchange(stream::poll_fn(move |cx| sent.poll_recv(cx)));
        let opened = tokio::select! {
            opened = timeout(self.peer.config.connect_timeout, opening) => opened,
            ended = connection.as_mut() => return end(ended),
        };
        let mut answers = match opened {
            Ok(Ok(answers)) => answers.into_inner(),
            Ok(Err(status)) => return format!("the stream was refused: {status}"),
            Err(_) => return "the stream was not opened in time".to_owned(),
        };
        loop {
            tokio::select! {
                ended = connection.as_mut() => match ended {
                    Ok(()) => return self.leave(&mut answers).await,
                    broken => return end(broken),
                },
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.take(answer),
                    ended => return stream_end(ended),
                },
                // *Cancel safety*: a place that is not used is given back, and nothing is taken from the queue before.
                () = forward(&mut self.queue, &out, &self.waiting) => {}
            }
        }
    }

    /// The callee takes no more, and answers what it has.
    async fn leave(&mut self, answers: &mut Streaming<wire::Answer>) -> String {
        loop {
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.take(answer),
                    ended => return stream_end(ended),
                },
                Some(request) = self.queue.recv() => {
                    self.waiting.answer(request.number, Err(NoAnswer::NoConnection(STOPPING.to_owned())));
                }
            }
        }
    }

    fn take(&self, answer: wire::Answer) {
        let wire::Answer { number, result } = answer;
        let unknown = || {
            wire::answer::Result::Failure(wire::Failure {
                reason: BadMessage::unexpected().to_string(),
                ..wire::Failure::default()
            })
        };
        self.waiting.answer(number, Ok(result.unwrap_or_else(unknown)));
    }
}

/// Sends the next request that somebody waits for, or the word that nobody does.
async fn forward(
    queue: &mut mpsc::Receiver<wire::Request>,
    out: &mpsc::Sender<wire::Request>,
    waiting: &Waiting,
) {
    if let Ok(place) = out.reserve().await {
        while let Some(request) = queue.recv().await {
            if matches!(request.call, Some(Call::Cancel(_))) || waiting.send(request.number) {
                return place.send(request);
            }
        }
    }
    // The stream is gone, and the answers say why; or the lane is, and its task with it.
    std::future::pending().await
}

fn end(ended: hyper::Result<()>) -> String {
    match ended {
        Ok(()) => STOPPING.to_owned(),
        Err(error) => match error.source() {
            Some(source) => format!("the connection broke: {error}: {source}"),
            None => format!("the connection broke: {error}"),
        },
    }
}

fn stream_end(ended: Result<Option<wire::Answer>, Status>) -> String {
    match ended {
        Ok(_) => STOPPING.to_owned(),
        Err(status) => format!("the stream broke: {}", status.message()),
    }
}

/// What stands in each request as its host: the greeting, not this, says who is called.
fn origin() -> http::Uri {
    http::Uri::from_static("http://doorbell")
}

/// The connection's requests, as tonic wants them.
#[derive(Debug)]
pub(crate) struct Requests(pub(crate) SendRequest<Body>);

impl Service<http::Request<Body>> for Requests {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
