//! Rules for the sources, the documentation and the test support.

mod layering;
mod skips;
#[path = "../support/mod.rs"]
mod support;
mod test_client;
mod wording;
