//! Spare connections of agents: each carries nothing until a call takes it, and waits again when
//! the call is over.

use super::Agent;
use crate::api::Failure;
use crate::net::conn::{Conn, PeerEnd, Phase};
use crate::net::relay::Relay;
use crate::net::request::Request;
use crate::net::sockopt;
use crate::net::token::ConnId;
use crate::splice::copy::{self, Read};
use uuid::Uuid;

/// What a spare connection switches to (RFC 9110, section 7.8).
const PROTOCOL: &str = "rdv.spare.v1";

/// A connection that an agent holds open for calls.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Spare {
    /// The connection of its WebSocket.
    pub agent: ConnId,
}

impl Relay {
    /// `GET /socket/spare`: an agent brings a connection; returns how many bytes behind the head are
    /// used up.
    pub(in crate::net) fn bring_spare(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        let most = self.settings.sockets.max_spares;
        let agent_id = self.who_brings(request);
        let room = |agent: &&mut Agent| agent.spares.len() + agent.carrying.len() < most;
        let Some((agent_id, agent)) =
            agent_id.and_then(|id| Some((id, self.agent(id).filter(room)?)))
        else {
            return self.refuse(id, request, &Failure::SpareRefused);
        };
        agent.spares.push(id);
        let fields = [("Upgrade", PROTOCOL), ("Connection", "Upgrade")];
        self.switch(id, &fields, Phase::Spare(Spare { agent: agent_id }));
        self.enqueue(id);
        0
    }

    /// The agent of the connection that a request names, if it knows the secret.
    fn who_brings(&mut self, request: Request<'_, '_>) -> Option<ConnId> {
        let field = |name| {
            let text = str::from_utf8(request.head.fields.get(name)?).ok()?;
            Uuid::try_parse(text).ok()
        };
        let (connection, secret) = (field("Rdv-Connection")?, field("Rdv-Spare")?);
        let switches = request.head.fields.lists("Upgrade", PROTOCOL);
        let id = *self.agents.connections.get(&connection)?;
        let agent = self.agent(id).filter(|agent| agent.is_here())?;
        (switches && request.behind.is_empty() && agent.spare_secret == Some(secret)).then_some(id)
    }

    /// A spare connection for a call to this agent, if one is there.
    pub(super) fn take_spare(&mut self, agent: ConnId) -> Option<ConnId> {
        loop {
            let id = self.agent(agent)?.spares.pop()?;
            // What it says unasked would be taken for the answer to the next call.
            let clean = |conn: &mut Conn| {
                conn.peer_end == PeerEnd::Open && sockopt::unread_bytes(&conn.socket) == 0
            };
            if self.conn(id).is_some_and(clean) {
                self.agent(agent)?.carrying.push(id);
                return Some(id);
            }
            self.close(id);
        }
    }

    /// A call that used it is over, and left nothing behind.
    pub(super) fn give_spare_back(&mut self, id: ConnId, agent_id: ConnId) {
        let whole = self.conn(id).is_some_and(|conn| {
            conn.carry.is_empty() && conn.output.is_empty() && conn.peer_end == PeerEnd::Open
        });
        let ending = self.mode.is_ending();
        match self.agent(agent_id) {
            Some(agent) if whole && !ending && agent.is_here() => {
                agent.carrying.retain(|other| *other != id);
                agent.spares.push(id);
            }
            Some(_) | None => {
                self.close(id);
                // It may have waited for nothing else, to be left by a relay that ends.
                return self.enqueue(agent_id);
            }
        }
        self.clear_deadline(id);
        if let Some(conn) = self.conn(id) {
            conn.phase = Phase::Spare(Spare { agent: agent_id });
            self.enqueue(id);
        }
    }

    /// A spare connection has news while it carries nothing: it can only be its end.
    pub(in crate::net) fn turn_spare(&mut self, id: ConnId) {
        self.flush(id);
        let Some(conn) = self.conn(id).filter(|conn| conn.readable) else { return };
        match copy::read(&conn.socket, &mut [0; 64]) {
            Ok(Read::Blocked) => conn.readable = false,
            Ok(Read::Moved(_) | Read::Eof) | Err(_) => self.close(id),
        }
    }

    /// A spare connection is closed.
    pub(in crate::net) fn spare_is_gone(&mut self, id: ConnId, agent: ConnId) {
        if let Some(agent) = self.agent(agent) {
            agent.spares.retain(|other| *other != id);
            agent.carrying.retain(|other| *other != id);
        }
        self.enqueue(agent);
    }
}
