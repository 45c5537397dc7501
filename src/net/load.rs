//! Load limits: what is counted, from when to when, and what is refused beyond. What already runs
//! is never touched.

use super::admin::Realm;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::{Busy, Failure};
use crate::http::framing::Framing;
use crate::rendezvous::{Connected, Ending, Pace, addresses};

/// Where a connection counts at present, so that it is taken off the count once and only once.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// In [`Relay::requests`].
    request: bool,
    /// In [`Relay::addresses`].
    address: Option<addresses::Counted>,
}

impl Relay {
    /// The head of a request is here. Unless it is an operator's, it counts until its response ended, unless as many requests
    /// as may be are served already.
    pub(super) fn begin_request(&mut self, id: ConnId) -> Option<Failure> {
        let most = self.settings.load.max_concurrent;
        if self.conn(id)?.realm == Realm::Admin {
            return None;
        }
        if most > 0 && self.requests >= most {
            return Some(Failure::TooBusy(Busy::Requests));
        }
        let conn = self.conn(id)?;
        if !std::mem::replace(&mut conn.counted.request, true) {
            self.requests += 1;
        }
        None
    }

    /// The response to a connection's request ended, if it was in one.
    pub(super) fn end_request(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|conn| std::mem::take(&mut conn.counted.request)) {
            self.requests -= 1;
        }
    }

    /// A new connection counts for its address until it is served no more, unless that has as many as
    /// one may have.
    pub(super) fn count_address(&mut self, id: ConnId) -> Option<Failure> {
        let most = self.settings.load.max_connections_per_address;
        let peer = self.conn(id).filter(|_| most > 0)?.peer.ip();
        if self.addresses.count(peer) >= most {
            return Some(Failure::TooBusy(Busy::AddressConnections));
        }
        let counted = self.addresses.add(peer);
        self.conn(id)?.counted.address = Some(counted);
        None
    }

    /// A connection is served no more: it closes, or is lingered with.
    pub(super) fn stop_serving(&mut self, id: ConnId) {
        self.end_request(id);
        if let Some(counted) = self.conn(id).and_then(|conn| conn.counted.address.take()) {
            self.addresses.remove(counted);
        }
    }

    /// How many body bytes a stream may carry that begins now.
    pub(super) fn stream_bytes_max(&self) -> u64 {
        match self.settings.load.max_stream_bytes {
            0 => u64::MAX,
            bytes => bytes as u64,
        }
    }

    /// The pace of a stream that begins now.
    pub(super) fn pace(&self) -> Option<Pace> {
        let rate = self.settings.load.max_rate as u64;
        (rate > 0).then(|| Pace::new(rate, self.now.monotonic))
    }

    /// A source has come whose upload says that it is too long: it is refused, and its stream is
    /// over, so that nobody waits for what will not come.
    pub(super) fn end_if_too_large(
        &mut self,
        met: &Connected,
        framing: Framing,
    ) -> Option<Failure> {
        let most = self.stream_bytes_max();
        if !matches!(framing, Framing::Length(bytes) if bytes > most) {
            return None;
        }
        let (stream, other) = match met {
            Connected::Waits(stream) => (*stream, None),
            Connected::Paired { stream, other } => (*stream, Some(*other)),
            Connected::Occupied | Connected::Unknown | Connected::Reported(_) => return None,
        };
        self.registry.end(stream, Ending::TooLarge(most), self.now);
        if let Some(destination) = other {
            self.dismiss(ConnId::from_client(destination), &Failure::SourceTooLarge(most));
        }
        Some(Failure::UploadTooLarge(most))
    }

    /// The status a failure is answered with here.
    pub(super) fn status_of(&self, failure: &Failure) -> u16 {
        if matches!(failure, Failure::TooBusy(_)) {
            self.settings.load.too_busy_status
        } else {
            failure.status()
        }
    }
}
