//! An agent comes: the upgrade to a WebSocket, and what it says of itself.

use super::Agent;
use crate::api::name::{NAME_RULE, valid_name};
use crate::api::{Busy, Failure};
use crate::http::response::HeadWriter;
use crate::mux::handshake::{Dialect, Metadata, Welcome};
use crate::mux::session::{Session, close};
use crate::mux::upgrade::{self, Upgrade};
use crate::net::conn::{Conn, Phase};
use crate::net::note::identify;
use crate::net::relay::Relay;
use crate::net::request::Request;
use crate::net::token::ConnId;
use crate::ops::sockets::Refused;
use uuid::Uuid;

/// Longest metadata, in bytes of JSON: they are kept, and shown with those of all other agents.
const METADATA_MAX_BYTES: usize = 4 << 10;

impl Relay {
    /// `GET /socket`: opens a WebSocket; returns how many bytes behind the head are used up.
    pub(in crate::net) fn attach(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        let upgrade = match self.may_attach(request) {
            Ok(upgrade) => upgrade,
            Err(failure) => return self.refuse(id, request, &failure),
        };
        let dialect = if upgrade.v1 { Dialect::V1 } else { Dialect::Text };
        let session =
            Session::accepted(dialect, self.settings.sockets.agent_heartbeat, self.now.monotonic)
                .at_most(self.settings.sockets.max_agent_requests);
        let token = bearer(request).map(str::to_owned);
        let Some(peer) = self.conn(id).map(|conn| conn.peer) else { return 0 };
        let agent = Agent::new(session, token, peer, self.now);
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", upgrade.accept.as_str()),
            ("Sec-WebSocket-Protocol", upgrade::SUBPROTOCOL),
        ];
        let fields = if upgrade.v1 { &fields[..] } else { &fields[..3] };
        // Counted first: whoever has gone already is closed, and counted off, while it is answered.
        self.agents.open += 1;
        self.switch(id, fields, Phase::Agent(Box::new(agent)));
        self.hear_agent(id, request.behind);
        self.enqueue(id);
        request.behind.len()
    }

    fn may_attach(&mut self, request: Request<'_, '_>) -> Result<Upgrade, Failure> {
        let upgrade =
            upgrade::asked(request.head).map_err(refusal)?.ok_or(Failure::UpgradeRequired)?;
        if let Some(failure) = self.too_busy() {
            return Err(failure);
        }
        if self.agents.open >= self.settings.sockets.max_agents {
            return Err(Failure::TooBusy(Busy::Agents));
        }
        match self.settings.sockets.allows(bearer(request), None) {
            Err(Refused::UnknownToken) => Err(Failure::AgentUnauthorized),
            // Its metadata may have the token, and have its name in any case.
            Ok(()) | Err(Refused::NoToken | Refused::NameNotAllowed) => Ok(upgrade),
        }
    }

    /// HTTP ends on this connection (RFC 9110, section 7.8); something else begins.
    pub(super) fn switch(&mut self, id: ConnId, fields: &[(&str, &str)], phase: Phase) {
        let date = self.date;
        let (conns, ids) = (&mut self.conns, &self.request_ids);
        let Some(conn) = conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return;
        };
        let Conn { output, note, .. } = conn;
        let writer = HeadWriter::new(output.buffer(), 101, &date);
        let mut writer = identify(writer, ids.as_ref(), note.as_deref());
        for (name, value) in fields {
            writer = writer.field(name, value.as_bytes());
        }
        writer.end();
        if let Some(note) = note {
            note.answered(101, output.rest().len());
        }
        conn.phase = phase;
        self.answered(id, 101);
        // It may last for months, and is no load.
        self.end_request(id);
        self.clear_deadline(id);
        self.flush(id);
    }

    /// An agent says what it is.
    pub(super) fn introduce(&mut self, id: ConnId, metadata: Metadata) {
        if let Err((code, why)) = self.welcome(id, metadata)
            && let Some(agent) = self.agent(id)
        {
            log::warn!("agent refused: {why}");
            agent.session.close(code, &why);
        }
    }

    fn welcome(&mut self, id: ConnId, metadata: Metadata) -> Result<(), (u16, String)> {
        let now = self.now.monotonic;
        let Some(agent) = self.agent(id) else { return Ok(()) };
        let (connection, token) = (agent.id, agent.token.take());
        let dialect = agent.session.dialect();
        if metadata.0.to_string().len() > METADATA_MAX_BYTES {
            return Err((
                close::POLICY,
                format!("metadata of more than {METADATA_MAX_BYTES} bytes"),
            ));
        }
        let name = metadata.name().map(str::to_owned);
        let token = token.as_deref().or_else(|| metadata.token());
        self.settings.sockets.allows(token, name.as_deref()).map_err(|refused| {
            let failure = match refused {
                Refused::NoToken | Refused::UnknownToken => Failure::AgentUnauthorized,
                Refused::NameNotAllowed => Failure::AgentForbidden,
            };
            (close::POLICY, failure.message().into_owned())
        })?;
        if let Some(name) = &name {
            if !valid_name(name) {
                return Err((close::POLICY, NAME_RULE.to_owned()));
            }
            let leased = self.agents.names.take(name, metadata.secret(), connection, now);
            let replaced = leased
                .map_err(|_| (close::NAME_TAKEN, format!("another agent has the name {name}")))?;
            self.replace(replaced);
        }
        self.agents.connections.insert(connection, id);
        let spares = self.settings.sockets.max_spares > 0 && dialect == Dialect::V1;
        let spare = spares.then(Uuid::new_v4);
        if let Some(agent) = self.agent(id) {
            agent.name = name;
            agent.metadata = metadata.without_secrets().0;
            agent.spare_secret = spare;
            let path = (dialect == Dialect::V1).then(|| agent.path());
            agent.session.welcome(&Welcome { connection, path, spare });
        }
        Ok(())
    }

    /// Another connection has taken over this one's name.
    fn replace(&mut self, replaced: Option<Uuid>) {
        let Some(&id) = replaced.and_then(|old| self.agents.connections.get(&old)) else { return };
        if let Some(agent) = self.agent(id) {
            agent.session.close(close::REPLACED, "another connection has taken over the name");
        }
        self.heed_agent(id);
    }
}

/// What is answered to an upgrade that cannot be granted.
fn refusal(why: &'static str) -> Failure {
    if why == upgrade::OTHER_VERSION { Failure::UpgradeRequired } else { Failure::BadUpgrade(why) }
}

/// The token that came with the upgrade; one that is no text is none that anybody has.
fn bearer<'b>(request: Request<'_, 'b>) -> Option<&'b str> {
    request.head.fields.bearer().and_then(|token| str::from_utf8(token).ok())
}
