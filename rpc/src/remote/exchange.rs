//! The callee's side of one stream: begins each call in the order in which the requests stand, answers as calls end.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Response, Status, Streaming};

use crate::remote::dispatch::{self, Work};
use crate::remote::lane::{Answer, Call};
use crate::remote::method::Method;
use crate::remote::metrics::{CallOutcome, End, Running};
use crate::remote::{Config, Metrics, Served, wire};

/// Answers that wait for the connection's window.
const OUT_ANSWERS: usize = 64;

/// What all streams of a server share.
#[derive(Clone)]
pub(crate) struct Exchanges {
    pub(crate) served: Arc<Served>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
    /// Cancelled with the first stream of the connection.
    pub(crate) opened: CancellationToken,
    /// The tasks of the streams. Each ends with its connection.
    pub(crate) tasks: TaskTracker,
}

#[tonic::async_trait]
impl wire::exchange_server::Exchange for Exchanges {
    type ExchangeStream = BoxStream<'static, Result<wire::Answer, Status>>;

    async fn exchange(
        &self,
        requests: tonic::Request<Streaming<wire::Request>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        self.opened.cancel();
        let (answers, mut answered) = mpsc::channel(OUT_ANSWERS);
        let exchange = Exchange {
            shared: self.clone(),
            answers,
            calls: JoinSet::new(),
            by_number: HashMap::new(),
            is_stopping: false,
        };
        self.tasks.spawn(exchange.run(requests.into_inner()));
        Ok(Response::new(stream::poll_fn(move |cx| answered.poll_recv(cx)).map(Ok).boxed()))
    }
}

struct Exchange {
    shared: Exchanges,
    answers: mpsc::Sender<wire::Answer>,
    /// Calls under way, each answering its number. They end with the stream.
    calls: JoinSet<u64>,
    by_number: HashMap<u64, AbortHandle>,
    /// No call begins any more.
    is_stopping: bool,
}

impl Exchange {
    async fn run(mut self, mut requests: Streaming<wire::Request>) {
        let stop = self.shared.stop.clone();
        let gone = self.answers.clone();
        while !(self.is_stopping && self.calls.is_empty()) {
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.take(request).await,
                    // The caller sends no more, and may still wait for answers.
                    Ok(None) => break,
                    Err(status) => {
                        tracing::debug!(error = status.message(), "a stream of calls broke");
                        return;
                    }
                },
                Some(ended) = self.calls.join_next() => self.forget(ended.ok()),
                () = gone.closed() => return,
                () = stop.cancelled(), if !self.is_stopping => self.is_stopping = true,
            }
        }
        drop(gone);
        let answers = self.answers.clone();
        tokio::select! {
            () = answers.closed() => {}
            () = async { while self.calls.join_next().await.is_some() {} } => {}
        }
    }

    fn forget(&mut self, ended: Option<u64>) {
        // A call that was cancelled is forgotten already.
        if let Some(number) = ended {
            self.by_number.remove(&number);
        }
    }

    /// Begins a call. Its first steps are taken here, before the next request is read: so calls begin in order.
    async fn take(&mut self, request: wire::Request) {
        let wire::Request { number, within_ms, gateway, call } = request;
        let Some(call) = call else {
            // A call of a later version: its service is not known.
            self.shared.metrics.bad_request();
            let reason = "this process does not know the call".to_owned();
            let failure = wire::Failure { reason, ..wire::Failure::default() };
            return self.answer(number, Answer::Failure(failure)).await;
        };
        let Some(method) = dispatch::method(&call) else {
            debug_assert!(matches!(call, Call::Cancel(_)), "only that is no method");
            if let Some(call) = self.by_number.remove(&number) {
                call.abort();
            }
            return;
        };
        let running = self.shared.metrics.begin(End::Callee, method);
        while let Some(ended) = self.calls.try_join_next() {
            self.forget(ended.ok());
        }
        if self.is_stopping {
            running.ended(CallOutcome::Unavailable);
            return self.answer(number, dispatch::stopping(method, &gateway)).await;
        }
        // A caller with the same bound has its answer a moment before the call's task is over.
        if self.calls.len() >= self.shared.config.in_flight_max.get() as usize + OUT_ANSWERS {
            running.ended(CallOutcome::Busy);
            return self.answer(number, dispatch::busy(method, &gateway)).await;
        }
        match dispatch::work(&self.shared.served, &gateway, call) {
            Ok(work) => self.begin(Begun { number, method, within_ms, running }, work).await,
            Err(bad) => {
                running.ended(CallOutcome::Bad);
                self.shared.metrics.bad_request();
                self.answer(number, dispatch::refusal(method, format!("the request is bad: {bad}"))).await;
            }
        }
    }

    async fn begin(&mut self, begun: Begun, work: Work) {
        let Begun { number, method, within_ms, running } = begun;
        let within = Duration::from_millis(within_ms.into()).min(self.shared.config.call_timeout_max);
        let message_bytes_max = self.shared.config.message_bytes_max.get();
        let answers = self.answers.clone();
        let call = async move {
            // A panic ends its own call, as it would in the task of a caller of the same process.
            let ended = timeout(within, AssertUnwindSafe(work).catch_unwind()).await;
            let (outcome, answer) = match ended {
                Ok(Ok(answer)) => (dispatch::outcome(&answer), answer),
                Ok(Err(_)) => (CallOutcome::Bad, dispatch::refusal(method, "the call panicked: a bug")),
                Err(_) => {
                    let reason = format!("no answer within {within:?}");
                    (CallOutcome::Late, dispatch::refusal(method, reason))
                }
            };
            let answer = fitting(method, answer, message_bytes_max);
            running.ended(outcome);
            // The stream may have ended: then nobody waits.
            _ = answers.send(wire::Answer { number, result: Some(answer) }).await;
            number
        };
        let mut call = Box::pin(call);
        let first = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        if first.is_pending() {
            let handle = self.calls.spawn(call);
            self.by_number.insert(number, handle);
        }
    }

    async fn answer(&self, number: u64, answer: Answer) {
        _ = self.answers.send(wire::Answer { number, result: Some(answer) }).await;
    }
}

/// A request that is to be begun.
struct Begun {
    number: u64,
    method: Method,
    within_ms: u32,
    running: Running,
}

/// An answer that the caller can read, or one that says why not.
fn fitting(method: Method, answer: Answer, message_bytes_max: usize) -> Answer {
    let whole = wire::Answer { number: u64::MAX, result: Some(answer) };
    let bytes = whole.encoded_len();
    match whole.result {
        Some(answer) if bytes <= message_bytes_max => answer,
        _ => dispatch::refusal(
            method,
            format!("the answer has {bytes} bytes; message_bytes_max is {message_bytes_max}"),
        ),
    }
}
