//! Rules for the sources, the documentation and the test support.

#[path = "../soak/exchange/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only its oracle and contents are tested here")]
mod exchange;
mod layering;
mod skips;
#[path = "../support/mod.rs"]
mod support;
mod test_client;
mod wording;
