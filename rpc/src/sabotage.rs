//! Faults made on purpose, to see that `doorbell bench prove` finds them (`docs/prove.md`).
//!
//! Only with the feature `sabotage`, which no release build takes. Without it every question here is answered "no"
//! when it is compiled, and nothing is left of it.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("a release build breaks no promise: leave the feature `sabotage` out");

#[cfg(feature = "sabotage")]
mod chosen {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static KIND: OnceLock<String> = OnceLock::new();
    static CHANCES: AtomicU64 = AtomicU64::new(0);

    /// Chooses the fault of this process, once.
    pub fn choose(kind: String) {
        let _ = KIND.set(kind);
    }

    /// Whether it is this one.
    pub fn is(kind: &str) -> bool {
        KIND.get().is_some_and(|chosen| chosen == kind)
    }

    /// Whether it is this one, and strikes this time: once in so many.
    pub fn strikes(kind: &str, one_in: u64) -> bool {
        is(kind) && CHANCES.fetch_add(1, Ordering::Relaxed) % one_in == one_in - 1
    }
}

#[cfg(not(feature = "sabotage"))]
mod chosen {
    /// No.
    #[must_use]
    pub const fn is(_: &str) -> bool {
        false
    }

    /// No.
    #[must_use]
    pub const fn strikes(_: &str, _: u64) -> bool {
        false
    }
}

#[cfg(feature = "sabotage")]
pub use chosen::choose;
pub use chosen::{is, strikes};
