//! Either side closes, resets, half-closes or stalls, at every phase: the other side is told, no
//! torso looks complete, the status says who it was, and the relay keeps nothing open.

mod completion;
mod disconnects;
mod joining;
mod scene;
mod streaming;
