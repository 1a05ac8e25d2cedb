//! Points at which a process dies when a test says so: the moments of the fault catalogue (`docs/faults.md`).
//!
//! Only with the feature `sabotage`, which no release build takes. Without it no order is ever there, which is known when
//! it is compiled, and nothing is left of a point.
//!
//! An order is a file in the folder that `DOORBELL_FAILPOINTS` names, called like the point. Of all processes the first to
//! pass the point takes the order away and carries it out, so that a test says when, and who is started again passes.

/// The order to die.
pub const ABORT: &str = "abort";
/// The order to stand still for ever: to hold back what comes after the point, while others go on to theirs.
pub const HOLD: &str = "hold";
/// The order to be stopped as a whole, as by SIGSTOP; SIGCONT has it go on.
pub const STOP: &str = "stop";

#[cfg(feature = "sabotage")]
mod points {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use super::{ABORT, HOLD, STOP};

    static FOLDER: OnceLock<PathBuf> = OnceLock::new();

    /// Says where orders come from, once.
    pub fn obey(folder: PathBuf) {
        let _ = FOLDER.set(folder);
    }

    /// Whether the next to pass will have to obey: for what has to be done otherwise before the point.
    pub fn is_ordered(point: &str) -> bool {
        FOLDER.get().is_some_and(|folder| folder.join(point).exists())
    }

    /// Passes a point, if there is no order for it.
    ///
    /// # Panics
    /// The order is none.
    pub fn pass(point: &str) {
        let Some(file) = FOLDER.get().map(|folder| folder.join(point)) else { return };
        let Ok(order) = std::fs::read_to_string(&file) else { return };
        // Whoever removes it has it.
        if std::fs::remove_file(&file).is_err() {
            return;
        }
        tracing::info!(point, order, "this build obeys a test");
        match order.as_str() {
            ABORT => std::process::abort(),
            HOLD => loop {
                std::thread::park();
            },
            STOP => stop(),
            _ => panic!("`{order}` is no order: {ABORT}, {HOLD} or {STOP}"),
        }
    }

    /// Comes back when the process goes on, and not before it was stopped: a signal to a process stops one thread after
    /// the other, and this one would get on meanwhile. So the helper stays until the process stands, and this thread waits
    /// for the helper.
    fn stop() {
        const STOP_AND_SEE: &str =
            r#"kill -STOP "$1" && while ! grep -q '^[0-9]* (.*) T' "/proc/$1/stat"; do :; done"#;
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("sh").args(["-c", STOP_AND_SEE, "sh", &own]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -STOP {own}");
    }
}

#[cfg(not(feature = "sabotage"))]
mod points {
    /// No.
    #[must_use]
    pub const fn is_ordered(_: &str) -> bool {
        false
    }

    /// Passes.
    pub const fn pass(_: &str) {}
}

#[cfg(feature = "sabotage")]
pub use points::obey;
pub use points::{is_ordered, pass};
