//! Rules that the sources, the documents and the test support keep to.

mod layering;
#[path = "../support/mod.rs"]
mod support;
mod test_client;
mod wording;
