//! Whether new clients should come here. Only what is the process's own counts, never a shared dependency: or all
//! processes would turn unready together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::heartbeat::Lag;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Not everything runs yet.
    Starting,
    /// Serving.
    Serving,
    /// To end soon, still taking new sockets.
    Leaving,
    /// Taking no new socket.
    Closing,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Starting, Self::Serving, Self::Leaving, Self::Closing];
}

/// Cheap to clone: all clones tell the same.
#[derive(Clone)]
pub struct Readiness {
    stage: Arc<AtomicU8>,
    lag: Lag,
    store_is_sound: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Readiness {
    /// Starting.
    pub fn new(lag: Lag, store_is_sound: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let stage = Arc::new(AtomicU8::new(Stage::Starting as u8));
        Self { stage, lag, store_is_sound: Arc::new(store_is_sound) }
    }

    /// Goes on; a stage never goes back.
    pub fn enter(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::SeqCst);
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::SeqCst))]
    }

    /// Why new clients should go elsewhere; empty where they should come.
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        match self.stage() {
            Stage::Starting => reasons.push("starting"),
            Stage::Serving => {}
            Stage::Leaving | Stage::Closing => reasons.push("draining"),
        }
        if self.lag.is_too_late() {
            reasons.push("the event loop is late");
        }
        if !(self.store_is_sound)() {
            reasons.push("the message store takes no writes");
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_only_who_serves_with_a_sound_store() {
        let sound = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let told = Arc::clone(&sound);
        let readiness = Readiness::new(Lag::default(), move || told.load(Ordering::Relaxed));
        assert_eq!(readiness.reasons(), ["starting"]);

        readiness.enter(Stage::Serving);
        assert!(readiness.reasons().is_empty());
        sound.store(false, Ordering::Relaxed);
        assert_eq!(readiness.reasons(), ["the message store takes no writes"]);
        sound.store(true, Ordering::Relaxed);

        readiness.enter(Stage::Closing);
        readiness.enter(Stage::Serving);
        assert_eq!(readiness.reasons(), ["draining"], "a stage never goes back");
    }
}
