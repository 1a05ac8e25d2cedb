//! A session's calls: passed on to message-svc, answered within a deadline, started in the order they came.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::{CallId, ErrorBody, ErrorCode, Payload};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::config::SERVER_FRAME_BYTES_MAX;
use crate::metrics::Metrics;
use crate::session::Setting;

/// What a reply frame needs beside its result: type, id and field names.
const REPLY_BYTES: usize = 256;

/// After how long a call that got no answer may be tried again.
const RETRY_AFTER_MS: u64 = 1_000;

/// What a frame with an id is answered with.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Result<Payload, ErrorBody>,
    /// To be hinted after the reply.
    pub(crate) news: Option<Box<HintFrame>>,
}

impl From<Result<Payload, ErrorBody>> for Answered {
    fn from(outcome: Result<Payload, ErrorBody>) -> Self {
        Self { outcome, news: None }
    }
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// An answer to be sent.
pub(crate) type Finished = (CallId, Answered);

struct Call {
    id: CallId,
    started: Instant,
    deadline: Instant,
    answer: Answer,
}

/// The calls of one session that wait for their answer. Empty, it owns no heap.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: Vec<Call>,
}

impl Calls {
    /// Starts a call: its future is polled at once, so that calls take effect in the order they came.
    pub(crate) fn start(
        &mut self,
        id: CallId,
        answer: Answer,
        setting: &Setting,
        cx: &mut Context<'_>,
    ) -> Option<Finished> {
        let started = Instant::now();
        let deadline = started + setting.rules.config.call_timeout;
        let mut call = Call { id, started, deadline, answer };
        setting.metrics.call_started();
        match call.poll(started, cx) {
            Poll::Ready(answered) => Some(call.finish(answered, &setting.metrics)),
            Poll::Pending => {
                self.waiting.push(call);
                None
            }
        }
    }

    /// The calls that have their answer by now, or whose time is over.
    pub(crate) fn finished(&mut self, metrics: &Metrics, cx: &mut Context<'_>) -> SmallVec<[Finished; 2]> {
        let mut finished = SmallVec::new();
        if self.waiting.is_empty() {
            return finished;
        }
        let now = Instant::now();
        let mut next = 0;
        while next < self.waiting.len() {
            match self.waiting[next].poll(now, cx) {
                Poll::Ready(answered) => finished.push(self.waiting.remove(next).finish(answered, metrics)),
                Poll::Pending => next += 1,
            }
        }
        finished
    }

    /// When the first of them is over. They started in order and have one time-out, so that is the oldest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|call| call.deadline)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Call {
    fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Answered> {
        match self.answer.as_mut().poll(cx) {
            Poll::Ready(Answered { outcome, news }) => {
                Poll::Ready(Answered { outcome: outcome.and_then(within_a_frame), news })
            }
            Poll::Pending if now >= self.deadline => {
                Poll::Ready(Answered::from(Err(ErrorBody::retry_after(
                    ErrorCode::Unavailable,
                    "no answer in time; the call may still have taken effect",
                    RETRY_AFTER_MS,
                ))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn finish(self, answered: Answered, metrics: &Metrics) -> Finished {
        metrics.call_ended(answered.outcome.as_ref().map(|_| ()), self.started.elapsed());
        (self.id, answered)
    }
}

fn within_a_frame(result: Payload) -> Result<Payload, ErrorBody> {
    if result.bytes().len() + REPLY_BYTES <= SERVER_FRAME_BYTES_MAX {
        return Ok(result);
    }
    Err(ErrorBody::new(
        ErrorCode::TooLarge,
        "the result is larger than a frame: ask for less, with a `limit`",
    ))
}
