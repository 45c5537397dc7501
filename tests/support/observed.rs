//! A relay with an admin listener, and snapshots of all its metrics.

use std::net::SocketAddr;
use std::ops::Deref;

use super::clock::eventually;
use super::relay::Relay;
use super::request::{Ask, ask};
use super::response::Response;
use super::wire::Wire;

/// A relay with readable metrics.
pub(crate) struct Observed {
    relay: Relay,
    operators: SocketAddr,
}

/// All metrics at one time, in the classic text format.
pub(crate) struct Scrape(pub(crate) String);

impl Deref for Observed {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.relay
    }
}

impl Observed {
    /// With these flags.
    pub(crate) fn start(flags: &[&str]) -> Observed {
        Observed::of(Relay::start(&[&ADMIN[..], flags].concat()))
    }

    /// A relay that was started with [`ADMIN`] among its flags.
    pub(crate) fn of(relay: Relay) -> Observed {
        let operators = eventually("operators are served", || {
            let printed = relay.process().stdout();
            let place =
                printed.lines().find_map(|line| line.strip_prefix("operators are served on "));
            place.and_then(|place| place.parse().ok())
        });
        Observed { relay, operators }
    }

    /// Address of the admin listener.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.operators
    }

    /// An operator's request.
    pub(crate) fn admin_exchange(&self, ask: &Ask) -> Response {
        Wire::connect(self.operators).exchange(ask)
    }

    pub(crate) fn scrape(&self) -> Scrape {
        let answer = self.admin_exchange(&ask("GET", "/metrics"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        Scrape(answer.text().to_owned())
    }

    /// Waits until a series has this value.
    pub(crate) fn await_value(&self, series: &str, value: f64) -> Scrape {
        eventually(&format!("{series} is {value}"), || {
            let scrape = self.scrape();
            scrape.is(series, value).then_some(scrape)
        })
    }
}

/// The flags that enable metrics.
pub(crate) const ADMIN: [&str; 4] =
    ["--admin-listen", "127.0.0.1:0", "--admin-hosts", "relay.test"];

impl Scrape {
    /// The value of a series, which must exist.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let value = self.find(series);
        value.unwrap_or_else(|| panic!("no {series} in\n{}", self.0))
    }

    /// The value of a series; 0 if it does not exist yet.
    pub(crate) fn count(&self, series: &str) -> f64 {
        self.find(series).unwrap_or(0.0)
    }

    #[allow(clippy::float_cmp, reason = "whole numbers, far below 2^53")]
    pub(crate) fn is(&self, series: &str, value: f64) -> bool {
        self.value(series) == value
    }

    /// Checks several series at once.
    pub(crate) fn assert_counts(&self, wanted: &[(&str, u32)]) {
        for &(series, count) in wanted {
            let found = self.count(series);
            assert!((found - f64::from(count)).abs() < 0.5, "{series} is {found}, not {count}");
        }
    }

    fn find(&self, series: &str) -> Option<f64> {
        let values = self.0.lines().filter_map(|line| line.strip_prefix(series));
        let mut values = values.filter_map(|rest| rest.strip_prefix(' '));
        values.next().map(|value| value.parse().expect("a number"))
    }

    /// The names of all samples, without their labels.
    pub(crate) fn samples(&self) -> Vec<&str> {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
    }
}
