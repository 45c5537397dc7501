//! Finds out how a request arrived, and asks whether it may be served.

use super::admin::Realm;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::access::{self, Arrival, Policy};
use crate::api::{Failure, Route};
use crate::http::head::RequestHead;

impl Relay {
    /// Whether this request may be served; asks the kernel where it came in only if that matters.
    pub(super) fn check_access(
        &mut self,
        id: ConnId,
        head: &RequestHead<'_, '_>,
        route: &Route<'_>,
    ) -> Result<(), Failure> {
        let Some(conn) = self.conn(id) else { return Ok(()) };
        let (peer, operators) = (conn.peer.ip(), conn.realm == Realm::Admin);
        if !access::is_guarded(route, operators) {
            return Ok(());
        }
        let local = conn.socket.local_addr().ok().and_then(|address| address.as_socket());
        let arrival = Arrival {
            operators,
            local,
            trusted: self.settings.trusts(peer),
            loopback: local.is_some_and(|local| self.loopback.contains(&local)),
        };
        let policy = Policy {
            allowed_origins: &self.settings.admin.allowed_origins,
            admin_hosts: &self.settings.admin.admin_hosts,
            agents: self.settings.sockets.takes_agents_elsewhere(),
        };
        access::check(head, route, &arrival, &policy).map_err(Failure::Denied)
    }
}
