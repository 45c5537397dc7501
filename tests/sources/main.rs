//! Rules that the sources, the documents and the test support keep to.

mod layering;
#[path = "../support/mod.rs"]
mod support;
mod support_itself;
mod wording;
