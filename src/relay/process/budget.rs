//! How many descriptors there are, and what that allows.

use super::admin_listener::CONNECTIONS_MAX;
use crate::ops::Settings;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything that is no connection and no pipe: standard streams, epoll, signals,
/// the spare ones, a log.
const FIXED: usize = 16;

/// What the limit on open files allows (`RLIMIT_NOFILE`, getrlimit(2)), and whether that is less
/// than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Files that may be open at once.
    pub descriptors: usize,
    /// Maximum concurrent connections.
    pub max_connections: usize,
    /// Whether that is fewer than were asked for.
    pub capped: bool,
}

/// Descriptors that these settings may use for anything but connections that are served.
pub(super) fn others(settings: &Settings) -> usize {
    // Each listener twice: a hand-over copies them.
    CONNECTIONS_MAX
        + 2 * (settings.listen.len() + settings.sockets.socket_listen.len())
        + 2 * settings.max_pipes
        + settings.max_lingering
}

/// What it takes to have everything open at once.
pub(super) fn needed(max_connections: usize, others: usize) -> usize {
    FIXED + max_connections + others
}

impl Budget {
    /// What these settings get: raises the soft limit to the hard one and shares what there is.
    pub fn claim(settings: &Settings) -> Self {
        claim(settings.max_connections, others(settings))
    }
}

/// The same for so many connections and other descriptors.
pub(super) fn claim(max_connections: usize, others: usize) -> Budget {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let descriptors = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    share(usize::try_from(descriptors).unwrap_or(usize::MAX), max_connections, others)
}

/// `others`: descriptors for listeners, pipes and lingering connections. They get half of what
/// there is at most, because they can be done without, and it takes two connections to meet.
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
    fn descriptors_cap_the_connections() {
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
