//! Each process dies of its own accord in the middle of each step of a message's way, and is started again: nothing is lost,
//! nothing is there twice. The ids are those of `docs/faults.md`.

mod channel;
mod gateway;
mod message;
mod notifier;
