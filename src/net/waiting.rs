//! One side waits for the other. Its body, if any, stays in its socket; what has to be noticed is
//! that it went away.

use super::conn::{Conn, PeerEnd, Phase};
use super::relay::Relay;
use super::sockopt;
use super::token::ConnId;
use crate::api::{Failure, Upload};
use crate::rendezvous::{Side, StreamKey};
use uuid::Uuid;

impl Relay {
    /// The first side of a stream waits; the registry watches over its patience.
    pub(super) fn wait(&mut self, id: ConnId, stream: StreamKey, upload: Option<Box<Upload>>) {
        self.clear_deadline(id);
        if let Some(conn) = self.conn(id) {
            conn.phase = Phase::Waiting { stream, upload };
            if conn.peer_end > PeerEnd::Open {
                self.enqueue(id);
            }
        }
    }

    /// A waiting side's socket has news.
    pub(super) fn look_after_waiting(&mut self, id: ConnId) {
        // What a source was told before its destination left may not be out yet.
        self.flush(id);
        let Some(conn) = self.conn(id) else { return };
        let Phase::Waiting { stream, upload } = &conn.phase else { return };
        let (stream, side) = (*stream, side_of(upload.as_deref()));
        let whole = upload.as_deref().is_some_and(|upload| may_be_whole(conn, upload));
        let gone = match conn.peer_end {
            PeerEnd::Open => false,
            PeerEnd::Fin => !whole,
            PeerEnd::HungUp => true,
        };
        if gone {
            self.waiting_lost(id, stream, side);
        }
    }

    /// A waiting side left: it gives its place back.
    pub(super) fn waiting_lost(&mut self, id: ConnId, stream: StreamKey, side: Side) {
        self.registry.leave(stream, side, self.now);
        self.close(id);
    }

    /// The waiting time of its stream is over.
    pub(super) fn waited_for_nothing(&mut self, id: ConnId) {
        self.dismiss(id, &Failure::SessionTimeout);
    }

    /// Answers a waiting side; its stream is over already.
    pub(super) fn dismiss(&mut self, id: ConnId, failure: &Failure) {
        let Some(conn) = self.conn(id) else { return };
        let Phase::Waiting { upload, .. } = &conn.phase else { return };
        let read = upload.as_deref().is_none_or(Upload::is_read);
        self.tell_failure(id, failure, read);
    }

    /// `DELETE /stream/:id`: whoever is there is answered, too.
    pub(super) fn delete(&mut self, id: ConnId, stream: Uuid, read: bool) {
        let report = Failure::deleted();
        let failure = Failure::Reported(Box::new(report.clone()));
        let Some(clients) = self.registry.delete(stream, report.clone(), self.now) else {
            return self.answer_failure(id, &Failure::SessionNotFound, read);
        };
        let ids = clients.map(|client| client.map(ConnId::from_client));
        match ids {
            [Some(source), Some(_)] => self.break_off(source, report, &failure),
            [waiting, None] | [None, waiting] => {
                if let Some(waiting) = waiting {
                    self.dismiss(waiting, &failure);
                }
            }
        }
        self.answer_empty(id, 204, read);
    }
}

/// Which side it is: only a source has an upload.
pub(super) fn side_of(upload: Option<&Upload>) -> Side {
    if upload.is_some() { Side::Source } else { Side::Destination }
}

/// Whether a source that sent FIN may have sent its whole body before.
fn may_be_whole(conn: &Conn, upload: &Upload) -> bool {
    upload.may_be_whole(sockopt::unread_bytes(&conn.socket) + conn.carry.len() as u64)
}
