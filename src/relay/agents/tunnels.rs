//! Tunnels: connections that agents hold open for calls. Each is idle until a call takes it, and
//! again once the call is over.

use super::role::{AgentRole, release};
use super::sessions::Sessions;
use super::tunnelled::TunnelledCall;
use crate::api::Failure;
use crate::api::misdirected::AGENT_CONNECTION;
use crate::relay::http1::{Request, answer};
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, PeerEnd, Slot};
use crate::splice::copy::Read;
use slab::Slab;
use uuid::Uuid;

/// The protocol a tunnel switches to (RFC 9110, section 7.8).
const PROTOCOL: &str = "rdv.spare.v1";

/// A connection that an agent holds open for calls.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub id: ConnId,
    /// The connection of its agent's WebSocket: a call in a tunnel outlives its agent's connection.
    pub agent: Uuid,
    /// The agent reuses it after the current call.
    pub keeps: bool,
    /// The call that it carries.
    pub call: Option<Box<TunnelledCall>>,
}

/// All tunnels.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    pub(super) all: Slab<Tunnel>,
}

impl Tunnels {
    /// Handles `GET /socket/spare`: an agent attaches a tunnel; returns how many bytes after the
    /// head are consumed.
    pub fn attach(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        id: ConnId,
        request: Request<'_, '_>,
    ) -> usize {
        let most = io.settings.sockets.max_tunnels;
        let agent = who_brings(sessions, request);
        let Some(agent) = agent.filter(|agent| sessions[*agent].tunnels() < most) else {
            return request.refuse(io, id, &Failure::SpareRefused);
        };
        let agent = &mut sessions[agent];
        let tunnel = Tunnel { id, agent: agent.id, keeps: true, call: None };
        let slot = Slot::new(self.all.insert(tunnel));
        agent.idle.push(slot);
        answer::switch(io, id, &[("Upgrade", PROTOCOL), ("Connection", "Upgrade")]);
        AgentRole::Tunnel(slot).give(io, id);
        io.conns.enqueue(id);
        0
    }

    /// Takes an idle tunnel for a call to this agent, if there is one.
    pub fn take(&mut self, io: &mut Io, sessions: &mut Sessions, agent: Slot) -> Option<Slot> {
        while let Some(slot) = sessions[agent].idle.pop() {
            let conn = &io.conns[self.all[slot.key()].id];
            // Unsolicited bytes would be taken for the answer to the next call.
            let clean = conn.peer_end == PeerEnd::Open && conn.unread_bytes() == 0;
            if clean && !conn.is_closing() {
                sessions[agent].carrying.push(slot);
                return Some(slot);
            }
            self.remove(io, sessions, slot);
        }
        None
    }

    /// Returns a tunnel after its call. It is idle again if the call left no bytes in it.
    pub fn give_back(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let Tunnel { id, agent, .. } = self.all[slot.key()];
        let conn = &io.conns[id];
        let clean = conn.carry.is_empty()
            && conn.output.is_empty()
            && conn.peer_end == PeerEnd::Open
            && !conn.is_closing();
        let agent = sessions.find(agent).filter(|agent| sessions[*agent].takes_requests());
        match agent {
            Some(agent) if clean && !io.mode.is_ending() => {
                let agent = &mut sessions[agent];
                agent.forget_tunnel(slot);
                agent.idle.push(slot);
                io.conns.set_deadline(id, None);
                io.conns.enqueue(id);
            }
            Some(_) | None => self.remove(io, sessions, slot),
        }
    }

    /// Handles an event on an idle tunnel: it can only be its end.
    pub fn idle_ready(&mut self, io: &mut Io, slot: Slot) {
        let id = self.all[slot.key()].id;
        let mut over = io.conns.flush(id) == Flushed::Failed;
        let conn = &mut io.conns[id];
        if conn.readable && !over {
            match conn.read(&mut [0; 64]) {
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Moved(_) | Read::Eof) | Err(_) => over = true,
            }
        }
        if over {
            io.conns.close(id, CloseMode::Orderly);
        }
    }

    /// Returns the connection of a tunnel.
    pub fn connection(&self, slot: Slot) -> ConnId {
        self.all[slot.key()].id
    }

    /// Returns the idle tunnels.
    pub fn idle(&self) -> Vec<Slot> {
        self.slots(|tunnel| tunnel.call.is_none())
    }

    /// Returns the tunnels that carry a call.
    pub fn busy(&self) -> Vec<Slot> {
        self.slots(|tunnel| tunnel.call.is_some())
    }

    fn slots(&self, wanted: impl Fn(&Tunnel) -> bool) -> Vec<Slot> {
        let wanted = self.all.iter().filter(|(_, tunnel)| wanted(tunnel));
        wanted.map(|(key, _)| Slot::new(key)).collect()
    }

    /// Closes and removes an idle tunnel.
    pub fn remove(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let id = self.all[slot.key()].id;
        self.forget(io, sessions, slot);
        release(io, id);
        io.conns.close(id, CloseMode::Orderly);
    }

    /// Removes a tunnel whose connection closed.
    pub(super) fn forget(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let tunnel = self.all.remove(slot.key());
        debug_assert!(tunnel.call.is_none(), "a call is taken off its tunnel first");
        // Its agent may have disconnected: that does not end the call in a tunnel.
        if let Some(agent) = sessions.find(tunnel.agent) {
            sessions[agent].forget_tunnel(slot);
            // A draining relay may have waited only for this tunnel to disconnect the agent.
            io.conns.enqueue(sessions[agent].conn);
        }
    }
}

/// Returns the agent of the connection that a request names, if the secret matches.
fn who_brings(sessions: &Sessions, request: Request<'_, '_>) -> Option<Slot> {
    let field = |name| {
        let text = str::from_utf8(request.head.fields.get(name)?).ok()?;
        Uuid::try_parse(text).ok()
    };
    let (connection, secret) = (field(AGENT_CONNECTION)?, field("Rdv-Spare")?);
    let switches = request.head.fields.lists("Upgrade", PROTOCOL);
    let slot = sessions.find(connection).filter(|slot| sessions[*slot].takes_requests())?;
    let knows = sessions[slot].tunnel_secret == Some(secret);
    (switches && request.rest.is_empty() && knows).then_some(slot)
}
