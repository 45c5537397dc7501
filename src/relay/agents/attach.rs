//! An agent connecting: the upgrade to a WebSocket and the agent's introduction.

use super::agent::Agent;
use super::frame_budget::FrameBudget;
use super::role::AgentRole;
use super::sessions::Sessions;
use crate::api::name::{NAME_RULE, valid_name};
use crate::api::permission::Scope;
use crate::api::{Busy, Failure, TokenFailure, agents};
use crate::mux::handshake::{Dialect, Metadata, Welcome};
use crate::mux::session::{Session, close};
use crate::mux::upgrade::{self, Upgrade};
use crate::relay::http1::{Request, answer, too_busy};
use crate::relay::io::{ConnId, Io, Quantity, Slot};

/// Maximum metadata, in bytes of JSON: it is kept and listed with that of all other agents.
const METADATA_MAX_BYTES: usize = 4 << 10;

/// Minimum places for agents that have not introduced themselves. These need no token, so they must
/// neither take the places of agents nor be unbounded; they time out after 10 s.
const PENDING_MIN: usize = 16;

impl Sessions {
    /// Handles `GET /socket`: opens a WebSocket and returns its agent.
    ///
    /// # Errors
    /// Returns why it is refused; nothing was answered.
    pub fn attach(
        &mut self,
        io: &mut Io,
        id: ConnId,
        request: Request<'_, '_>,
    ) -> Result<Slot, Failure> {
        let upgrade = self.may_attach(io, id, request)?;
        let dialect = if upgrade.v1 { Dialect::V1 } else { Dialect::Text };
        let sockets = &io.settings.sockets;
        let mut session = Session::accepted(dialect, sockets.agent_heartbeat, io.now.monotonic)
            .at_most(sockets.max_agent_requests);
        let mut budget = FrameBudget::of(io.conns.queue.share());
        budget.receive(&mut session, request.rest, io.now.monotonic);
        let connection = self.ids.make_at(io.place)?;
        let peer = io.conns[id].client();
        let agent = Agent::new((id, connection), session, peer, io.now);
        let slot = self.insert(agent);
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", upgrade.accept.as_str()),
            ("Sec-WebSocket-Protocol", upgrade::SUBPROTOCOL),
        ];
        let fields = if upgrade.v1 { &fields[..] } else { &fields[..3] };
        answer::switch(io, id, fields);
        AgentRole::Agent(slot).give(io, id);
        io.conns.enqueue(id);
        Ok(slot)
    }

    fn may_attach(
        &self,
        io: &Io,
        id: ConnId,
        request: Request<'_, '_>,
    ) -> Result<Upgrade, Failure> {
        let upgrade =
            upgrade::asked(request.head).map_err(refusal)?.ok_or(Failure::UpgradeRequired)?;
        if let Some(failure) = too_busy(io) {
            return Err(failure);
        }
        let most = io.settings.sockets.max_agents;
        let address = io.conns[id].client().ip();
        if self.known() + io.elsewhere(Quantity::Agents) >= most
            || !self.may_be_pending(address, PENDING_MIN.max(most / 10))
        {
            return Err(Failure::TooBusy(Busy::Agents));
        }
        Ok(upgrade)
    }

    /// Introduces an agent with its metadata. Returns the agent that held its name until now, whose
    /// session is closed.
    pub fn introduce(&mut self, io: &mut Io, slot: Slot, metadata: Metadata) -> Option<Slot> {
        match self.welcome(io, slot, metadata) {
            Ok(replaced) => replaced,
            Err((code, why)) => {
                log::warn!("agent refused: {why}");
                self[slot].session.close(code, &why);
                None
            }
        }
    }

    fn welcome(
        &mut self,
        io: &mut Io,
        slot: Slot,
        metadata: Metadata,
    ) -> Result<Option<Slot>, (u16, String)> {
        self.check_admission(io, self[slot].conn, &metadata)?;
        let v1 = self[slot].session.dialect() == Dialect::V1;
        let tunnels = v1 && io.settings.sockets.max_tunnels > 0;
        let tunnel_secret = tunnels.then(|| self.ids.make()).transpose();
        let tunnel_secret =
            tunnel_secret.map_err(|failure| (close::BUSY, failure.message().into_owned()))?;
        if io.workers.is_some() {
            // It may be at another worker than before its introduction, and its identifier shows that.
            let id = self.ids.make_at(io.place);
            self[slot].id = id.map_err(|failure| (close::BUSY, failure.message().into_owned()))?;
        }
        let connection = self[slot].id;
        let name = metadata.name().map(str::to_owned);
        let mut replaced = None;
        if let Some(name) = &name {
            let leased = self.names.take(name, metadata.secret(), connection, io.now.monotonic);
            let holder = leased
                .map_err(|_| (close::NAME_TAKEN, format!("another agent has the name {name}")))?;
            replaced = holder.and_then(|holder| self.find(holder));
        }
        if let Some(old) = replaced {
            let why = "another connection has taken over the name";
            self[old].session.close(close::REPLACED, why);
        }
        self.introduced(io, slot);
        let agent = &mut self[slot];
        agent.name = name;
        agent.metadata = agents::metadata(&metadata.without_secrets().0);
        agent.tunnel_secret = tunnel_secret;
        let path = v1.then(|| agent.path());
        agent.session.welcome(&Welcome { connection, path, tunnel_secret });
        Ok(replaced)
    }

    /// Checks whether an agent with this metadata is admitted.
    fn check_admission(
        &self,
        io: &mut Io,
        id: ConnId,
        metadata: &Metadata,
    ) -> Result<(), (u16, String)> {
        if metadata.0.to_string().len() > METADATA_MAX_BYTES {
            let why = format!("metadata of more than {METADATA_MAX_BYTES} bytes");
            return Err((close::POLICY, why));
        }
        check_token(io, id, metadata)
            .map_err(|failure| (close::POLICY, failure.message().into_owned()))?;
        if metadata.name().is_some_and(|name| !valid_name(name)) {
            return Err((close::POLICY, NAME_RULE.to_owned()));
        }
        // Other agents may have connected since the upgrade.
        if self.known() + io.elsewhere(Quantity::Agents) >= io.settings.sockets.max_agents {
            return Err((close::BUSY, Busy::Agents.message().to_owned()));
        }
        Ok(())
    }
}

/// Returns the answer to an upgrade that is refused.
fn refusal(why: &'static str) -> Failure {
    if why == upgrade::OTHER_VERSION { Failure::UpgradeRequired } else { Failure::BadUpgrade(why) }
}

/// Checks the token of an agent, which was sent with the upgrade or is in its metadata.
fn check_token(io: &mut Io, id: ConnId, metadata: &Metadata) -> Result<(), Failure> {
    if !io.settings.tokens.requires(Scope::Agent) {
        return Ok(());
    }
    let token = match (io.conns[id].extras.token().cloned(), metadata.token()) {
        (Some(token), _) => token,
        (None, Some(secret)) => io.take_token(id, secret.as_bytes())?,
        (None, None) => return Err(Failure::Token(TokenFailure::Needed(Scope::Agent))),
    };
    if !token.grants.allows(Scope::Agent) {
        Err(Failure::Token(TokenFailure::ScopeMissing(Scope::Agent)))
    } else if token.grants.allows_agent(metadata.name()) {
        Ok(())
    } else {
        Err(Failure::AgentForbidden)
    }
}
