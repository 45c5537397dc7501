//! The settings of events: who may follow streams, and how they are kept awake.

use super::{settings, units};
use clap::Args;
use std::time::Duration;

/// The settings of events.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Events")]
pub struct EventSettings {
    /// Clients that follow events of streams at once, at most 16 a stream; one more is answered 503
    #[arg(long, value_name = "N", default_value = "1024", value_parser = settings::any_number)]
    pub max_followers: usize,

    /// Send a comment to a client that follows events when there was none for this long
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = keep_alive)]
    pub event_keep_alive: Duration,
}

/// More often than this, comments would be all that the relay does.
const KEEP_ALIVE_MIN: Duration = Duration::from_millis(100);

fn keep_alive(text: &str) -> Result<Duration, String> {
    let duration = units::duration(text)?;
    let enough = duration >= KEEP_ALIVE_MIN;
    enough.then_some(duration).ok_or_else(|| "expected 100ms or more".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_sent_too_often() {
        assert_eq!(keep_alive("100ms"), Ok(KEEP_ALIVE_MIN));
        assert_eq!(keep_alive("0s"), Err("expected 100ms or more".into()));
        assert!(keep_alive("15").is_err());
    }
}
