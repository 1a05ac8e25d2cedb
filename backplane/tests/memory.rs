//! The memory back-end shows what every back-end must show.

#[path = "harness/memory.rs"]
mod harness;

doorbell_backplane::conformance_tests!(harness::MemoryHarness);
