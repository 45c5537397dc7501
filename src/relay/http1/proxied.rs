//! The beginning of a connection: its PROXY header, if it has one, and whether its address may have
//! one more connection.

use super::{Step, follow, handshake, refuse_unread};
use crate::api::{Busy, Failure};
use crate::ops::metrics::ProxyRefusal;
use crate::relay::io::{ConnId, Http, Io, ProxyRead, Role};

/// Makes a new connection begin with a PROXY header.
pub fn expect_proxy_header(io: &mut Io, id: ConnId) {
    io.conns[id].role = Role::Http(Http::Proxy);
    io.set_timeout(id, io.settings.header_timeout);
}

/// Begins a connection whose peer is known: with its TLS handshake or its first request, unless its
/// address has too many.
pub fn begin_connection(io: &mut Io, id: ConnId) {
    let max = io.settings.load.max_connections_per_address;
    // The connections of a proxy are those of its clients, each known with its request.
    let is_proxy = io.settings.proxies.includes(io.conns[id].peer.ip());
    let counted = is_proxy || io.conns.begin_connection(id, max);
    if io.conns[id].is_tls() {
        return handshake::begin(io, id, counted);
    }
    io.conns[id].role = Role::Http(Http::Head);
    io.set_timeout(id, io.settings.keep_alive_timeout);
    if !counted {
        refuse_unread(io, id, &[], &Failure::TooBusy(Busy::AddressConnections));
    }
}

/// Counts a connection that another worker accepted; whether its address may have it.
pub fn recount(io: &mut Io, id: ConnId) -> bool {
    let max = io.settings.load.max_connections_per_address;
    let is_proxy = io.settings.proxies.includes(io.conns[id].peer.ip());
    io.set_timeout(id, io.settings.keep_alive_timeout);
    is_proxy || io.conns.begin_connection(id, max)
}

/// Reads the PROXY header; TLS or HTTP follows.
pub(super) fn read(io: &mut Io, id: ConnId) -> Step {
    match io.conns[id].read_proxy_header() {
        ProxyRead::Incomplete => {}
        ProxyRead::Invalid => refuse(io, id, ProxyRefusal::Invalid),
        ProxyRead::Ended => follow::close(io, id),
        ProxyRead::Complete => {
            begin_connection(io, id);
            if io.conns[id].role == Role::Http(Http::Head) && !io.conns[id].is_closing() {
                return Step::Heads;
            }
        }
    }
    Step::Wait
}

/// Closes a connection for its PROXY header.
pub(super) fn refuse(io: &mut Io, id: ConnId, why: ProxyRefusal) {
    io.journal.metrics.proxy_refused(why);
    follow::close(io, id);
}
