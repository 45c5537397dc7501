//! Who is connected, and who comes and goes: the list of agents, and their events
//! (`text/event-stream`, HTML Standard 9.2). A watcher that does not keep up loses its connection:
//! nothing is kept for it beyond a bound.

use super::Agent;
use crate::api::agents::{self, AgentEvent, Happening};
use crate::api::{Busy, Failure};
use crate::http::chunked::write_framed;
use crate::http::head::Version;
use crate::http::response::HeadWriter;
use crate::mux::session::{Closed, close};
use crate::net::conn::{Conn, PeerEnd, Phase, Reply};
use crate::net::note::identify;
use crate::net::relay::Relay;
use crate::net::token::ConnId;
use crate::rendezvous::Now;
use serde_json::Value;

/// Events that may wait for a watcher, in bytes.
const UNSENT_MAX_BYTES: usize = 64 << 10;

/// Nothing happens: keeps proxies and clients from giving up.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// One who watches agents come and go.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Watcher {
    chunked: bool,
}

impl Relay {
    /// `GET /socket`: all agents.
    pub(in crate::net) fn list_agents(&mut self, id: ConnId, read: bool) {
        let now = self.now;
        let mut shown = Vec::new();
        for (_, conn) in &self.conns {
            let Phase::Agent(agent) = &conn.phase else { continue };
            if agent.session.is_open() {
                shown.push(show(agent, now));
            }
        }
        self.answer_json(id, 200, &Value::Array(shown), read);
    }

    /// `GET /socket/events`: from now on.
    pub(in crate::net) fn watch_agents(&mut self, id: ConnId, read: bool) {
        if let Some(failure) = self.too_busy() {
            return self.answer_failure(id, &failure, read);
        }
        if self.agents.watchers.len() >= self.settings.events.max_followers {
            return self.answer_failure(id, &Failure::TooBusy(Busy::Followers), read);
        }
        let date = self.date;
        let (conns, ids) = (&mut self.conns, &self.request_ids);
        let Some(conn) = conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return;
        };
        let Conn { output, note, reply, .. } = conn;
        let Reply { version, head_only, .. } = *reply;
        let chunked = version == Version::Http11;
        let writer = HeadWriter::new(output.buffer(), 200, &date);
        let mut writer = identify(writer, ids.as_ref(), note.as_deref())
            .field("Content-Type", b"text/event-stream")
            .field("Cache-Control", b"no-store")
            .field("X-Accel-Buffering", b"no");
        if chunked {
            writer = writer.chunked();
        }
        writer.connection(false, version).end();
        if let Some(note) = note {
            note.answered(200, output.rest().len());
        }
        conn.phase = Phase::Watching(Watcher { chunked });
        self.answered(id, 200);
        if head_only {
            self.flush(id);
            return self.close_or_linger(id);
        }
        self.agents.watchers.push(id);
        self.flush(id);
        self.set_deadline(id, self.settings.events.event_keep_alive);
        self.enqueue(id);
    }

    /// A watcher's socket has news: it takes more, or it is gone.
    pub(in crate::net) fn turn_watcher(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|conn| conn.peer_end > PeerEnd::Open) {
            return self.close(id);
        }
        self.flush(id);
    }

    /// Nothing happened for a while.
    pub(in crate::net) fn watcher_wakes(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|conn| !conn.output.is_empty()) {
            return self.close(id);
        }
        self.show_watcher(id, COMMENT);
    }

    fn show_watcher(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(Conn { phase: Phase::Watching(watcher), output, note, .. }) = self.conn(id) else {
            return;
        };
        if output.rest().len() + bytes.len() > UNSENT_MAX_BYTES {
            return self.close(id);
        }
        let framing = write_framed(output.buffer(), bytes, watcher.chunked);
        if let Some(note) = note {
            note.framed(framing);
        }
        self.flush(id);
        self.set_deadline(id, self.settings.events.event_keep_alive);
    }

    /// An agent can be called from now on.
    pub(super) fn agent_is_here(&mut self, id: ConnId) {
        let now = self.now;
        let Some(agent) = self.agent(id) else { return };
        agent.was_here = true;
        log::info!("agent {} is here, from {}", agent.logged_path(), agent.peer);
        let event = agents::event(&happened(agent, Happening::Received, now));
        self.tell_watchers(&event);
    }

    /// An agent cannot be called any more.
    pub(super) fn agent_is_away(&mut self, agent: &Agent, how: &Closed) {
        let text;
        let happening = match how {
            Closed::Here if !agent.was_here => Happening::Failed("the relay refused it"),
            Closed::There(close::NORMAL | close::GOING_AWAY | NO_CODE, _) if agent.was_here => {
                Happening::Closed(Some("the agent closed it"))
            }
            Closed::Here => Happening::Closed(Some("the relay closed it")),
            Closed::There(code, reason) => {
                text = format!("the agent closed it: {code} {reason}");
                Happening::Failed(&text)
            }
            Closed::Broken(what) => Happening::Failed(what),
            Closed::Silent => Happening::Failed("it was silent for too long"),
            Closed::Lost => Happening::Failed("the connection was lost"),
        };
        if let Happening::Closed(Some(why)) | Happening::Failed(why) = happening {
            // The agent may have worded it, and must not write lines of its own.
            log::info!("agent {} is away: {}", agent.logged_path(), why.escape_debug());
        }
        let event = agents::event(&happened(agent, happening, self.now));
        self.tell_watchers(&event);
    }

    fn tell_watchers(&mut self, event: &[u8]) {
        for id in self.agents.watchers.clone() {
            self.show_watcher(id, event);
        }
    }

    /// Somebody watches no more.
    pub(in crate::net) fn watcher_is_gone(&mut self, id: ConnId) {
        self.agents.watchers.retain(|other| *other != id);
    }
}

/// What a close frame without a code reads as (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

fn happened<'a>(agent: &'a Agent, happening: Happening<'a>, now: Now) -> AgentEvent<'a> {
    AgentEvent {
        happening,
        connection_id: agent.was_here.then_some(agent.id),
        name: agent.name.as_deref(),
        remote_addr: agent.peer,
        wall_ms: now.wall_ms,
    }
}

/// One agent of the list.
fn show(agent: &Agent, now: Now) -> Value {
    let ago = |at| now.monotonic.saturating_duration_since(at);
    let silent_ms = i64::try_from(ago(agent.session.heard_at()).as_millis()).unwrap_or(i64::MAX);
    agents::object(&agents::Agent {
        id: agent.id,
        name: agent.name.as_deref(),
        metadata: &agent.metadata,
        remote_addr: agent.peer,
        protocol: agent.session.dialect().name(),
        connected_wall_ms: agent.connected.wall_ms,
        age: ago(agent.connected.monotonic),
        requests_in_flight: agent.in_flight(),
        requests: agent.requests,
        bytes_in: agent.bytes_in,
        bytes_out: agent.bytes_out,
        spares: agent.spares.len() + agent.carrying.len(),
        last_heartbeat_wall_ms: now.wall_ms.saturating_sub(silent_ms),
    })
}
