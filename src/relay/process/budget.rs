//! The available descriptors, and what they allow.

use super::admin_listener::CONNECTIONS_MAX;
use crate::ops::Settings;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything but connections and pipes: standard streams, epoll, signals, the
/// spare ones, a log.
const FIXED: usize = 16;

/// Descriptors of one more worker: epoll, its waker, the spare one.
const OF_WORKER: usize = 4;

/// What the limit on open files allows (`RLIMIT_NOFILE`, getrlimit(2)), and whether that is less
/// than configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Maximum open files.
    pub descriptors: usize,
    /// Maximum concurrent connections.
    pub max_connections: usize,
    /// Whether that is fewer than configured.
    pub capped: bool,
}

/// Returns how many descriptors these settings may use for anything but served connections.
pub(super) fn others(settings: &Settings) -> usize {
    let workers = settings.workers.get();
    // Each listener twice: a hand-over duplicates them.
    CONNECTIONS_MAX
        + 2 * settings.listeners().count() * workers
        + OF_WORKER * (workers - 1)
        + 2 * settings.max_pipes
        + settings.max_lingering
}

/// Returns how many descriptors it takes to have everything open at once.
pub(super) fn needed(max_connections: usize, others: usize) -> usize {
    FIXED + max_connections + others
}

impl Budget {
    /// Claims the budget of these settings: raises the soft limit to the hard one and divides it.
    pub fn claim(settings: &Settings) -> Self {
        claim(settings.max_connections, others(settings))
    }
}

/// Claims the budget for `max_connections` and `others` other descriptors.
pub(super) fn claim(max_connections: usize, others: usize) -> Budget {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let descriptors = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    share(usize::try_from(descriptors).unwrap_or(usize::MAX), max_connections, others)
}

/// Divides the descriptors. `others`: those for listeners, pipes and lingering connections. They
/// get at most half, because they are dispensable, and a stream needs two connections.
fn share(descriptors: usize, max_connections: usize, others: usize) -> Budget {
    let free = descriptors.saturating_sub(FIXED);
    let room = (free - others.min(free / 2)).max(2);
    Budget {
        descriptors,
        max_connections: max_connections.min(room),
        capped: max_connections > room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_limit_the_connections() {
        for (name, descriptors, wanted, others, got, capped) in [
            ("plenty", 100_000, 1000, 100, 1000, false),
            ("exactly enough", 1116, 1000, 100, 1000, false),
            ("too few", 1024, 65_536, 400, 608, true),
            ("too few for the others, too", 1024, 65_536, 1633, 504, true),
            ("hopeless", 10, 100, 100, 2, true),
        ] {
            let budget = share(descriptors, wanted, others);
            assert_eq!((budget.max_connections, budget.capped), (got, capped), "{name}");
        }
    }
}
