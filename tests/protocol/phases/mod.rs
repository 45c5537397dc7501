//! Either side closes, resets, half-closes or stalls, in every phase: the other side is notified,
//! no truncated body looks complete, the status names the cause, and the relay leaks nothing.

mod completion;
mod disconnects;
mod joining;
mod scene;
mod streaming;
