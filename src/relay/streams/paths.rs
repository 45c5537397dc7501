//! Paths: both sides name a path instead of a stream. The first one creates a stream for it; from
//! then on it is a stream like any other, until it ends and the path is free.

use crate::api::Failure;
use crate::ops::random_ids::RandomIds;
use crate::relay::http1::{takes_no_streams, too_busy};
use crate::relay::io::Io;
use crate::rendezvous::{Headers, Registry, Side};
use std::net::IpAddr;
use uuid::Uuid;

/// Where a client meets another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meeting<'p> {
    pub path: &'p str,
    pub side: Side,
    pub client: IpAddr,
}

/// Returns the stream of a path that this side can join now, and creates it if the path is free.
pub(super) fn open(
    registry: &mut Registry,
    ids: &mut RandomIds,
    io: &Io,
    Meeting { path, side, client }: Meeting<'_>,
) -> Result<Uuid, Failure> {
    if let Some(failure) = too_busy(io) {
        return Err(failure);
    }
    if let Some(stream) = registry.at_path(path) {
        let taken = stream.clients()[side as usize].is_some();
        return if taken { Err(Failure::PathTaken(side)) } else { Ok(stream.id()) };
    }
    if let Some(failure) = takes_no_streams(io) {
        return Err(failure);
    }
    let stream = ids.make_at(io.place)?;
    let headers = Headers { path: Some(path.into()), ..Headers::default() };
    let made = registry.create(stream, Some(Box::new(headers)), client, io.now);
    let key = made.map_err(|full| Failure::TooBusy(full.into()))?;
    // A side waits as long as the creator of a stream may request.
    let longest = io.settings.granted_ttl(u64::MAX);
    if let Some(deadline) = io.now.monotonic.checked_add(longest) {
        registry.wait_until(key, deadline, io.now);
    }
    Ok(stream)
}
