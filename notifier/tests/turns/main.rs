//! Turns from outside: the memory back-end, gateways that do as they are told, and a clock that is paused.

mod faults;
mod rig;
mod worker;
