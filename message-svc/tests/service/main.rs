//! The message service from outside: through its calls, over a real store and the real hint queue in memory.

mod announce;
mod changes;
mod conversations;
mod keys;
mod limits;
mod messages;
mod model;
mod restart;
mod support;
