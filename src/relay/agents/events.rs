//! What clients with read access see of an agent: its object in the list, and its events.

use super::agent::Agent;
use crate::api::agents::{self, AgentChange, AgentEvent};
use crate::mux::session::{Closed, close};
use crate::rendezvous::Now;

/// The code that a close frame without one reads as (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

/// Returns one agent of the list.
pub(super) fn object(agent: &Agent, now: Now) -> String {
    let ago = |at| now.monotonic.saturating_duration_since(at);
    let silent_ms =
        i64::try_from(ago(agent.session.last_received_at()).as_millis()).unwrap_or(i64::MAX);
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
        spares: agent.tunnels(),
        last_heartbeat_wall_ms: now.wall_ms.saturating_sub(silent_ms),
    })
}

/// Returns the event of an agent that became callable.
pub(super) fn connected(agent: &Agent, now: Now) -> Vec<u8> {
    log::info!("agent connected path={} peer={}", agent.logged_path(), agent.peer);
    event(agent, AgentChange::Received, now)
}

/// Returns the event of an agent that is not callable any more.
pub(super) fn disconnected(agent: &Agent, how: &Closed, now: Now) -> Vec<u8> {
    let text;
    let change = match how {
        Closed::Here if !agent.was_connected => AgentChange::Failed("the relay refused it"),
        Closed::There(close::NORMAL | close::GOING_AWAY | NO_CODE, _) if agent.was_connected => {
            AgentChange::Closed(Some("the agent closed it"))
        }
        Closed::Here => AgentChange::Closed(Some("the relay closed it")),
        Closed::There(code, reason) => {
            text = format!("the agent closed it: {code} {reason}");
            AgentChange::Failed(&text)
        }
        Closed::Broken(what) => AgentChange::Failed(what),
        Closed::Silent => AgentChange::Failed("it was silent for too long"),
        Closed::Lost => AgentChange::Failed("the connection was lost"),
    };
    if let AgentChange::Closed(Some(why)) | AgentChange::Failed(why) = change {
        // The agent may have written the reason, and must not inject log lines.
        let (path, reason) = (agent.logged_path(), why.escape_debug());
        log::info!("agent disconnected path={path} reason=\"{reason}\"");
    }
    event(agent, change, now)
}

fn event(agent: &Agent, change: AgentChange<'_>, now: Now) -> Vec<u8> {
    agents::event(&AgentEvent {
        change,
        connection_id: agent.was_connected.then_some(agent.id),
        name: agent.name.as_deref(),
        remote_addr: agent.peer,
        wall_ms: now.wall_ms,
    })
}
