//! The behaviour of a store.
