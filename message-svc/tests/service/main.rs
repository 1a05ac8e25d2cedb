//! The message service from outside: through its calls, over a real store and the real hint queue in memory.

#![expect(clippy::unwrap_used, reason = "clippy knows tests by their attribute, and not what they call")]

mod again;
mod amend;
mod announce;
mod changes;
mod conversations;
mod disk_full;
mod keys;
mod large;
mod limits;
mod members;
mod messages;
mod model;
mod pulls;
mod restart;
mod signals;
mod since;
mod status;
mod support;
mod throttle;
mod update;
