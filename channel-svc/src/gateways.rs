//! Which gateways were heard of lately; one that was silent for too long is forgotten as a whole (CH-5).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::GatewayId;
use doorbell_rpc::ChannelLife;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::line::Line;

/// The lines of all gateways that were heard of.
#[derive(Debug)]
pub(crate) struct KnownGateways {
    topics_max: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: HashMap<GatewayId, Arc<Line>>,
    /// Those to which nobody sends yet.
    fresh: Vec<Arc<Line>>,
}

impl KnownGateways {
    pub(crate) fn new(topics_max: usize) -> Self {
        Self { topics_max, state: Mutex::default(), arrived: Notify::new() }
    }

    /// The line of a gateway that has said something. One that is new, or was forgotten, gets a line of a new life.
    pub(crate) fn hear(&self, gateway: &GatewayId, now: Instant) -> Arc<Line> {
        let mut state = self.state.lock();
        if let Some(line) = state.lines.get(gateway) {
            line.hear(now);
            return Arc::clone(line);
        }
        let life = ChannelLife(rand::random());
        let line = Arc::new(Line::new(gateway.clone(), life, self.topics_max, now));
        state.lines.insert(gateway.clone(), Arc::clone(&line));
        state.fresh.push(Arc::clone(&line));
        self.arrived.notify_one();
        line
    }

    /// Waits for gateways that are new; answers their lines, each once. *Cancel safety*: none is lost.
    pub(crate) async fn arrivals(&self) -> Vec<Arc<Line>> {
        loop {
            let fresh = std::mem::take(&mut self.state.lock().fresh);
            if !fresh.is_empty() {
                return fresh;
            }
            self.arrived.notified().await;
        }
    }

    /// Forgets the gateways of which nothing was heard for longer than `silence_max`, and answers their lines. From
    /// here on nothing is added to these.
    pub(crate) fn forget_silent(&self, now: Instant, silence_max: Duration) -> Vec<Arc<Line>> {
        let silent = |line: &Arc<Line>| line.forget_if_silent(now, silence_max);
        let mut state = self.state.lock();
        state.lines.extract_if(|_, line| silent(line)).map(|(_, line)| line).collect()
    }

    /// The lines of all gateways.
    pub(crate) fn lines(&self) -> Vec<Arc<Line>> {
        self.state.lock().lines.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_gateway_is_forgotten_and_comes_back_with_another_life() {
        let known = KnownGateways::new(10);
        let (quiet, loud) = (GatewayId::new("quiet").unwrap(), GatewayId::new("loud").unwrap());
        let window = Duration::from_secs(10);
        let life = |gateway| known.hear(gateway, Instant::now()).life();
        let (first, other) = (life(&quiet), life(&loud));
        assert_eq!(known.arrivals().await.len(), 2);

        tokio::time::advance(window).await;
        assert_eq!(life(&loud), other);
        assert!(known.forget_silent(Instant::now(), window).is_empty(), "not yet for longer than the window");
        tokio::time::advance(Duration::from_millis(1)).await;
        let forgotten = known.forget_silent(Instant::now(), window);

        assert_eq!(forgotten.len(), 1);
        assert_eq!((forgotten[0].gateway(), forgotten[0].forgotten().is_cancelled()), (&quiet, true));
        assert_eq!(life(&loud), other);
        assert_ne!(life(&quiet), first);
        assert_eq!(known.arrivals().await.len(), 1, "the new line gets a sender");
    }
}
