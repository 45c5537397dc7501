//! Names of agents and their holders. A name belongs to its holder while it is connected, and is
//! then reserved for a while for agents with the same secret, so that callers find the same API
//! under it when its agent reconnects.

use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::time::Instant;
use uuid::Uuid;

/// Maximum names remembered, those of connected agents included: ten times the maximum number of
/// agents, unless `max-agents` is changed.
const LEASES_MAX: usize = 10_000;

/// The digest of a secret: digests are compared, and the secret itself is not kept.
type Secret = [u8; 32];

/// Names and their holders.
#[derive(Debug, Default)]
pub(in crate::relay) struct Names {
    leases: HashMap<String, Lease>,
}

#[derive(Debug)]
struct Lease {
    secret: Option<Secret>,
    holder: Holder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// This connection holds it.
    Connected(Uuid),
    /// No connection holds it; until then only the secret reclaims it.
    Left(Instant),
}

/// Another agent holds the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct NameTaken;

impl Names {
    /// Returns the connection that holds this name now.
    pub fn holder(&self, name: &str) -> Option<Uuid> {
        match self.leases.get(name)?.holder {
            Holder::Connected(connection) => Some(connection),
            Holder::Left(_) => None,
        }
    }

    /// Gives a name to a connection; returns its previous holder.
    pub fn take(
        &mut self,
        name: &str,
        secret: Option<&str>,
        connection: Uuid,
        now: Instant,
    ) -> Result<Option<Uuid>, NameTaken> {
        self.leases.retain(|_, lease| !matches!(lease.holder, Holder::Left(until) if until <= now));
        let secret = secret.map(|secret| Sha256::digest(secret).into());
        let mut replaced = None;
        if let Some(lease) = self.leases.get(name) {
            if secret.is_none() || lease.secret != secret {
                return Err(NameTaken);
            }
            if let Holder::Connected(holder) = lease.holder {
                replaced = Some(holder);
            }
        }
        self.make_room();
        let lease = Lease { secret, holder: Holder::Connected(connection) };
        self.leases.insert(name.to_owned(), lease);
        Ok(replaced)
    }

    /// Bounds the reserved names: drops the one that would expire first.
    fn make_room(&mut self) {
        if self.leases.len() < LEASES_MAX {
            return;
        }
        let left = self.leases.iter().filter_map(|(name, lease)| match lease.holder {
            Holder::Left(until) => Some((until, name)),
            Holder::Connected(_) => None,
        });
        if let Some(name) = left.min().map(|(_, name)| name.clone()) {
            self.leases.remove(&name);
        }
    }

    /// Releases the name of a connection that ended, if it still holds it.
    pub fn leave(&mut self, name: &str, connection: Uuid, until: Instant) {
        let Some(lease) = self.leases.get_mut(name) else { return };
        if lease.holder != Holder::Connected(connection) {
            return;
        }
        if lease.secret.is_some() {
            lease.holder = Holder::Left(until);
        } else {
            self.leases.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn a_name_is_given_to_the_holder_of_its_secret() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut names = Names::default();
        assert_eq!(names.take("a", Some("x"), id(1), at(0)), Ok(None));
        assert_eq!(names.holder("a"), Some(id(1)));
        for (name, secret) in [("another secret", Some("y")), ("none", None)] {
            assert_eq!(names.take("a", secret, id(2), at(0)), Err(NameTaken), "{name}");
        }
        assert_eq!(names.take("a", Some("x"), id(3), at(1)), Ok(Some(id(1))), "taken over");
        names.leave("a", id(1), at(60));
        assert_eq!(names.holder("a"), Some(id(3)), "the one that was replaced leaves nothing");

        names.leave("a", id(3), at(60));
        assert_eq!(names.holder("a"), None);
        assert_eq!(names.take("a", Some("y"), id(4), at(59)), Err(NameTaken), "kept");
        assert_eq!(names.take("a", Some("x"), id(5), at(59)), Ok(None), "brought back");
        names.leave("a", id(5), at(100));
        assert_eq!(names.take("a", None, id(6), at(100)), Ok(None), "free again");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn without_a_secret_a_name_is_free_once_its_holder_disconnects() {
        let now = Instant::now();
        let mut names = Names::default();
        assert_eq!(names.take("a", None, id(1), now), Ok(None));
        assert_eq!(names.take("a", None, id(2), now), Err(NameTaken), "nobody can prove to be it");
        names.leave("a", id(1), now + Duration::from_mins(1));
        assert_eq!(names.take("a", None, id(2), now), Ok(None));
        assert_eq!(names.leases.len(), 1);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn leased_names_are_bounded() {
        let start = Instant::now();
        let mut names = Names::default();
        let later = |number: usize| start + Duration::from_secs(60 + number as u64);
        for number in 0..LEASES_MAX + 10 {
            let name = number.to_string();
            assert_eq!(names.take(&name, Some("x"), id(number as u128), start), Ok(None));
            names.leave(&name, id(number as u128), later(number));
        }
        assert_eq!(names.leases.len(), LEASES_MAX);
        assert_eq!(names.take("0", Some("y"), id(0), start), Ok(None), "the first ones went");
        let last = (LEASES_MAX + 9).to_string();
        assert_eq!(names.take(&last, Some("y"), id(0), start), Err(NameTaken), "the last are kept");
    }
}
