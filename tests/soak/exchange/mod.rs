//! Exchanges of one upload and one download that a plan disturbs, and what their ends must be.
//!
//! - `plan` what both sides do, from a seed
//! - `source`, `destination` the two sides, `side` what both have; `worker` creates a stream, `driver` drives them
//! - `link`, `chunks`, `pool` connections that never block
//! - `pattern`, `random` contents and choices
//! - `oracle` which outcomes are correct, `tally` their numbers

mod chunks;
mod destination;
mod driver;
mod link;
mod oracle;
mod pattern;
mod plan;
mod pool;
mod random;
mod request;
mod side;
mod source;
mod tally;
mod watcher;
mod worker;

use std::time::Duration;

pub(crate) use oracle::{Problem, Strictness};
pub(crate) use pattern::Pattern;
pub(crate) use plan::{AGENTS, Plan};
pub(crate) use random::{Random, mix};
pub(crate) use tally::Tally;
pub(crate) use worker::{Target, Worker};

/// Flags of a relay that fit the times of these exchanges.
pub(crate) const FLAGS: [&str; 12] = [
    "--idle-timeout",
    "4s",
    "--retention",
    "3s",
    "--ttl",
    "15s",
    "--keep-alive-timeout",
    "20s",
    "--max-unjoined-streams-per-address",
    "0",
    "--name-lease",
    "0s",
];

/// Time for one exchange or request, more than all timeouts of the relay together; one that takes
/// longer hangs.
const HANG_TIMEOUT: Duration = Duration::from_mins(1);
/// Pause before the next attempt, during a hand-over for example.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts of one side or request.
const RETRIES_MAX: u32 = 100;

/// Whether a client repeats its request after this status: the relay is replaced or busy (503), the
/// relay has not noticed yet that the other client disconnected (429), or a kept connection had been
/// closed before the request was received.
fn is_retried(status: Option<u16>, reused: bool) -> bool {
    matches!(status, Some(429 | 503)) || (status.is_none() && reused)
}
