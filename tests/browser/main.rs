//! What the relay sends, in a real browser: Chromium, headless, driven over the Chrome `DevTools`
//! Protocol.
//!
//! Each test starts a browser of its own, which reaches nothing but loopback addresses. Skipped with
//! a message without Chromium, and the checks of accessibility unless `tests/browser/install` was
//! run.

mod accessibility;
mod archives;
mod browser;
mod devtools;
mod downloads;
mod killed;
mod nodes;
mod origins;
mod page;
mod receiving;
mod saving;
mod scene;
mod sending;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod uploads;
mod watching;
