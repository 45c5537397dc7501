//! A tunnel and its client after both switched to another protocol (RFC 9110, section 7.8): the kernel
//! moves what follows, both ways, until each side has sent its FIN. A connection that ends otherwise
//! ends with a reset, even if this process is killed: only the protocol knows what is complete.

use super::sessions::Sessions;
use super::tunnels::Tunnel;
use crate::relay::io::{ConnId, Io, PeerEnd, Slot};
use crate::relay::transfers::{Begin, Finished, Owner, Transfers, feed_prefix};
use crate::rendezvous::transfer::Delimiter;
use crate::rendezvous::{Transfer, TransferOutcome};

/// Begins the direction from the client; that from the tunnel began with the 101.
pub(super) fn begin(
    io: &mut Io,
    transfers: &mut Transfers,
    sessions: &mut Sessions,
    (slot, tunnel): (Slot, &mut Tunnel),
) {
    tunnel.keeps = false;
    tunnel.call().upgraded = true;
    let (client, id) = (tunnel.call().client, tunnel.id);
    if let Some(agent) = sessions.find(tunnel.agent) {
        sessions[agent].forget_tunnel(slot);
        sessions[agent].upgraded.push(slot);
        // A draining relay may have waited only for this call to disconnect the agent.
        io.conns.enqueue(sessions[agent].conn);
    }
    for conn in [client, id] {
        io.conns[conn].reset_on_close(true);
    }
    // It may last for months, and does not count as load.
    io.conns.end_request(client);
    let mut transfer = Transfer::upgraded(Vec::new(), io.splices(client, id));
    feed_prefix(&mut io.conns[client], false, &mut transfer);
    let (owner, delimiter) = (Owner::Request(slot), Delimiter::Close);
    let begin = Begin {
        owner,
        source: client,
        destination: id,
        delimiter,
        transfer,
        pace: None,
        acked: false,
    };
    let request = transfers.begin(io, begin);
    if let Some(response) = io.conns[id].outgoing {
        transfers.join(request, response);
    }
}

/// Handles the end of one direction; whether the other continues. A FIN is passed on, anything else
/// ends both.
pub(super) fn continues(io: &mut Io, tunnel: ConnId, finished: &Finished) -> bool {
    let Finished { source, destination, .. } = *finished;
    if finished.outcome != TransferOutcome::Complete {
        return false;
    }
    io.conns[destination].end_output();
    if io.conns[destination].shut_down_write().is_err() {
        return false;
    }
    io.conns.set_deadline(source, None);
    let tunnel = &io.conns[tunnel];
    let continues = tunnel.incoming.is_some() || tunnel.outgoing.is_some();
    if !continues {
        for conn in [source, destination] {
            io.conns[conn].reset_on_close(false);
        }
    }
    continues
}

/// Whether an upgraded connection was reset. The error is reported once: a read would then take the
/// reset for a FIN, so both directions must end at once.
pub(super) fn was_reset(io: &Io, id: ConnId) -> bool {
    let conn = &io.conns[id];
    conn.peer_end == PeerEnd::HungUp && !matches!(conn.socket.take_error(), Ok(None))
}
