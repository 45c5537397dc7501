//! HTTP over a WebSocket between both ends of the library, and between each of them and
//! hand-written peers.

mod at_relay;
mod call;
mod cancellation;
mod dialects;
mod endings;
mod events;
mod pair;
mod streams;
mod upgrades;
