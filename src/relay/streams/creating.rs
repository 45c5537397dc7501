//! New streams, and those that the same request created before.

use crate::api::creation::{self, Creation};
use crate::api::{CreationFailure, Failure, Misdirected, Place};
use crate::ops::NodeSettings;
use crate::ops::random_ids::RandomIds;
use crate::relay::http1::{CreateRequest, answer, takes_no_streams};
use crate::relay::io::{ConnId, Io};
use crate::rendezvous::{CreationKey, Guard, Registry, Stream};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// What a client sent to create a stream.
#[derive(Debug)]
pub(super) struct NewStream {
    pub request: CreateRequest,
    pub creation: Creation,
    pub key: Option<CreationKey>,
    pub client: IpAddr,
}

/// Returns the stream that a request creates, or created before, and the waiting time granted to a
/// client that requested one.
pub(super) fn open(
    registry: &mut Registry,
    ids: &mut RandomIds,
    io: &Io,
    NewStream { request, creation, key, client }: NewStream,
) -> Result<(Uuid, Option<Duration>), Failure> {
    let granted = creation.ttl_s.map(|seconds| io.settings.granted_ttl(seconds.get()));
    if let Some(stream) = key.and_then(|key| registry.created_by(&key.request)) {
        let is_same = stream.key() == key.as_ref();
        let reused = Failure::Creation(CreationFailure::KeyReused);
        return if is_same { Ok((stream.id(), granted)) } else { Err(reused) };
    }
    if let Some(failure) = takes_no_streams(io) {
        return Err(failure);
    }
    check_notification(io, &creation, request)?;
    let stream = match creation.id {
        Some(id) => checked((registry, io), id, request)?,
        None => ids.make_at(io.place)?,
    };
    let Creation { mut headers, tokens, acked, .. } = creation;
    if tokens || key.is_some() {
        let headers = headers.get_or_insert_default();
        headers.key = key;
        headers.guard = tokens.then(|| guard(ids)).transpose()?;
    }
    let made = registry.create(stream, headers, client, io.now);
    let key = made.map_err(|full| Failure::TooBusy(full.into()))?;
    if acked {
        registry.await_ack(key);
    }
    if let Some(deadline) = granted.and_then(|ttl| io.now.monotonic.checked_add(ttl)) {
        registry.wait_until(key, deadline, io.now);
    }
    Ok((stream, granted))
}

/// Checks that a client can choose this identifier.
fn checked(
    (registry, io): (&Registry, &Io),
    id: Uuid,
    request: CreateRequest,
) -> Result<Uuid, Failure> {
    if !request.may_choose_id {
        return Err(Failure::Creation(CreationFailure::IdChosen));
    }
    // Only the node that an identifier names is found by it.
    if let NodeSettings { node_id: Some(own), node_url } = &io.settings.nodes {
        match Place::of(id).map(|place| place.node) {
            Some(node) if node == *own => {}
            Some(node) => {
                let urls = node_url.as_ref();
                let there = Misdirected::to(node, urls, Some("/stream".into()));
                return Err(Failure::Misdirected(there));
            }
            None => return Err(creation::not_of_node(*own)),
        }
    }
    // Those that ended are still shown with their status.
    if registry.get(id).is_some() {
        return Err(Failure::Creation(CreationFailure::IdTaken));
    }
    Ok(id)
}

/// Checks that a client can have notifications sent, if it requests them, and that the relay sends
/// them.
fn check_notification(io: &Io, creation: &Creation, request: CreateRequest) -> Result<(), Failure> {
    if creation.headers.as_ref().is_none_or(|headers| headers.notify_url.is_none()) {
        return Ok(());
    }
    if !request.may_notify {
        return Err(Failure::Creation(CreationFailure::NotifyScope));
    }
    if !io.settings.notify.is_on() {
        return Err(Failure::Creation(CreationFailure::NotifyOff));
    }
    Ok(())
}

/// Returns new tokens for a stream.
fn guard(ids: &mut RandomIds) -> Result<Guard, Failure> {
    Ok(Guard { put: ids.make()?, get: ids.make()?, owner: ids.make()? })
}

/// Sends the response for a stream that its client created.
pub(super) fn respond(
    io: &mut Io,
    id: ConnId,
    page: bool,
    (stream, granted): (&Stream, Option<Duration>),
) {
    if let Some(note) = &mut io.conns[id].note {
        note.concerns(stream.id(), None);
    }
    let body = creation::response(stream.id(), stream.guard(), granted);
    let folder = if page { "/s/" } else { "/stream/" };
    let stream = stream.id().hyphenated();
    let location = [folder, stream.encode_lower(&mut Uuid::encode_buffer())].concat();
    answer::created(io, id, Some(&location), &body);
}
