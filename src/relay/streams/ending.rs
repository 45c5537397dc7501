//! How both sides of a stream learn how it ended.

use super::Streams;
use super::role::StreamSide;
use super::sides::{defer_cors, wait};
use crate::api::Failure;
use crate::api::download::custom_fields;
use crate::relay::http1::{answer, cut, follow};
use crate::relay::io::{CloseMode, ConnId, Io, OnFlushed, Role};
use crate::relay::transfers::{Finished, Owner, Transfers};
use crate::rendezvous::transfer::{Delimiter, Loss};
use crate::rendezvous::{Ending, PeerReport, Side, StreamKey, TransferOutcome};
use uuid::Uuid;

/// The reason reported to a source that was too slow.
const SOURCE_STALLED: &str = "The request body did not move for too long";

/// What is reported to both sides of an interrupted stream.
struct EndReport {
    ending: Ending,
    to_source: Failure,
    to_destination: Failure,
}

impl Streams {
    /// Handles the end of a stream's transfer.
    pub fn finished(&mut self, io: &mut Io, finished: Finished) {
        let Owner::Stream(stream) = finished.owner else {
            panic!("{:?} does not belong to a stream", finished.owner);
        };
        self.registry.transferred(stream, finished.transfer.transferred());
        // Not during shutdown, because no client could join any more.
        let left = finished.transfer.side_left(finished.outcome);
        if let Some(side) = left.filter(|_| !io.mode.is_ending()) {
            return self.end_both(io, stream, finished, side);
        }
        match verdict(finished.outcome).or_else(|| refused_end(io, &finished)) {
            None => self.complete(io, stream, finished),
            Some(verdict) => self.break_up(io, stream, &finished, verdict),
        }
    }

    /// Reports a complete transfer to both sides, which may continue.
    fn complete(&mut self, io: &mut Io, stream: StreamKey, finished: Finished) {
        let Finished { source, destination, delimiter, transfer, .. } = finished;
        let digest = transfer.digest().cloned().map(Box::new);
        self.end(io, stream, Ending::Finished(digest));
        for id in [source, destination] {
            self.unseat(io, id);
        }
        let conn = &mut io.conns[destination];
        if let Some(note) = &mut conn.note {
            note.downloaded(transfer.transferred());
        }
        io.journal.answered(conn, 200);
        let after = conn.reply.after;
        if delimiter == Delimiter::Close {
            follow(io, destination, if after.keeps_alive() { OnFlushed::Close } else { after });
        } else {
            follow(io, destination, after);
        }
        if io.conns[source].is_closing() {
            return;
        }
        let headers = self.registry.stream(stream).headers().map(|headers| headers.upload.clone());
        defer_cors(io, source, headers.as_ref());
        answer::respond(io, source, (200, true), b"", |head| {
            custom_fields(head.content_length(0), headers.as_ref())
        });
    }

    /// Handles a side that left before any byte was forwarded: the other one waits again.
    fn end_both(&mut self, io: &mut Io, stream: StreamKey, finished: Finished, side: Side) {
        let Finished { source, destination, transfer, .. } = finished;
        self.registry.leave(stream, side, io.now);
        match side {
            Side::Source => {
                self.unseat(io, source);
                io.conns[destination].reset_on_close(false);
                wait(io, destination);
                answer_source(io, source, &Failure::BodyBroken, transfer.upload_complete());
            }
            Side::Destination => {
                self.unseat(io, destination);
                io.conns.close(destination, CloseMode::Reset);
                let upload = self.upload(io, source).as_mut();
                let Some(upload) = upload else {
                    panic!("{source:?} has no head: a byte of its body was handed on");
                };
                upload.take_back(transfer);
                wait(io, source);
            }
        }
    }

    /// Handles an interrupted transfer: the source is answered, and so is the destination if its
    /// head was not sent; otherwise its connection ends so that the received part does not look
    /// complete.
    fn break_up(
        &mut self,
        io: &mut Io,
        stream: StreamKey,
        finished: &Finished,
        verdict: EndReport,
    ) {
        let Finished { source, destination, delimiter, transfer, .. } = finished;
        let EndReport { ending, to_source, to_destination } = verdict;
        let destination_lost = matches!(
            ending,
            Ending::Disconnected(Side::Destination) | Ending::Failed(Side::Destination)
        );
        self.end(io, stream, ending);
        for id in [*source, *destination] {
            self.unseat(io, id);
        }
        let conn = &mut io.conns[*destination];
        if transfer.head_started() {
            if let Some(note) = &mut conn.note {
                note.downloaded(transfer.transferred());
            }
            io.journal.answered(conn, 200);
        }
        if destination_lost {
            io.conns.close(*destination, CloseMode::Reset);
        } else if !transfer.head_started() {
            conn.reset_on_close(false);
            answer_source(io, *destination, &to_destination, true);
        } else {
            cut(io, *destination, *delimiter);
        }
        answer_source(io, *source, &to_source, transfer.upload_complete());
    }

    /// Handles a side's closed connection.
    pub(super) fn side_closed(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId) {
        let StreamSide { side, .. } = self.role_of(io, id);
        let conn = &io.conns[id];
        let (transfer, outcome) = match side {
            Side::Source => (conn.outgoing, TransferOutcome::SourceGone(Loss::Closed)),
            Side::Destination => (conn.incoming, TransferOutcome::DestinationGone(Loss::Closed)),
        };
        match transfer {
            Some(transfer) => {
                let finished = transfers.end(io, transfer, outcome);
                self.finished(io, finished);
            }
            None => self.leave(io, id),
        }
    }

    /// Handles `DELETE /stream/:id`: connected sides are answered too.
    pub fn delete(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        stream: Uuid,
        read: bool,
    ) {
        let report = Failure::deleted();
        let failure = Failure::Reported(Box::new(report.clone()));
        let deleted = self.registry.delete(stream, report.clone(), io.now);
        self.record(io);
        let Some(clients) = deleted else {
            return answer::failure(io, id, &Failure::SessionNotFound, read);
        };
        match clients.map(|client| client.map(ConnId::from_client)) {
            [Some(source), Some(_)] => self.abort(io, transfers, source, &report, &failure),
            [Some(waiting), None] | [None, Some(waiting)] => self.detach(io, waiting, &failure),
            [None, None] => {}
        }
        answer::empty(io, id, 204, read);
    }

    /// Interrupts the running transfers when the relay ends.
    pub fn abort_all(&mut self, io: &mut Io, transfers: &mut Transfers, failure: &Failure) {
        for source in sources(io) {
            self.abort(io, transfers, source, &Failure::stopping(), failure);
        }
    }

    /// Ends a running transfer from outside; its status shows the report, and both sides are
    /// answered with the failure.
    fn abort(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        source: ConnId,
        report: &PeerReport,
        failure: &Failure,
    ) {
        let StreamSide { stream, .. } = self.role_of(io, source);
        let Some(transfer) = io.conns[source].outgoing else {
            panic!("{source:?} is paired, and no transfer takes from it");
        };
        let finished = transfers.end(io, transfer, TransferOutcome::SourceGone(Loss::Closed));
        self.registry.transferred(stream, finished.transfer.transferred());
        let verdict = EndReport {
            ending: Ending::Reported(Box::new(report.clone())),
            to_source: failure.clone(),
            to_destination: failure.clone(),
        };
        self.break_up(io, stream, &finished, verdict);
    }

    /// Logs what is known of unfinished streams when the process ends.
    pub fn log_rest(&mut self, io: &mut Io, transfers: &mut Transfers) {
        for source in sources(io) {
            let StreamSide { stream, .. } = self.role_of(io, source);
            if let Some(transfer) = io.conns[source].outgoing {
                let finished =
                    transfers.end(io, transfer, TransferOutcome::SourceGone(Loss::Closed));
                let bytes = finished.transfer.transferred();
                if let Some(note) = &mut io.conns[finished.destination].note
                    && finished.transfer.head_started()
                {
                    note.downloaded(bytes);
                }
                self.registry.transferred(stream, bytes);
            }
            self.end(io, stream, Ending::Reported(Box::new(Failure::stopping())));
        }
    }
}

/// Returns the sources that are paired.
fn sources(io: &Io) -> Vec<ConnId> {
    let streams = |role| matches!(role, Role::Streams(_));
    let sources = io.conns.iter().filter(|conn| conn.outgoing.is_some() && streams(conn.role));
    sources.map(|conn| conn.id).collect()
}

/// Answers a side of an interrupted stream, unless its connection has ended.
fn answer_source(io: &mut Io, id: ConnId, failure: &Failure, read: bool) {
    if !io.conns[id].is_closing() {
        answer::report(io, id, failure, read);
    }
}

/// Makes a complete download end with a FIN, where its end delimits it. If the kernel refuses that,
/// it will end with a reset and look interrupted to its client: so it is reported as that.
fn refused_end(io: &Io, finished: &Finished) -> Option<EndReport> {
    let ends = finished.delimiter != Delimiter::Close
        || io.conns[finished.destination].reset_on_close(false);
    if ends { None } else { verdict(TransferOutcome::DestinationGone(Loss::Failed)) }
}

/// Returns what an outcome reports to both sides; `None`: it is complete.
fn verdict(outcome: TransferOutcome) -> Option<EndReport> {
    Some(match outcome {
        TransferOutcome::Complete => return None,
        TransferOutcome::SourceGone(loss) => {
            let (ending, to_destination) = match loss {
                Loss::Closed => {
                    (Ending::Disconnected(Side::Source), Failure::Disconnected(Side::Source))
                }
                Loss::Failed | Loss::Stalled => {
                    (Ending::Failed(Side::Source), Failure::Failed(Side::Source))
                }
            };
            let to_source = match loss {
                Loss::Closed | Loss::Failed => Failure::BodyBroken,
                Loss::Stalled => Failure::RequestTimeout(SOURCE_STALLED),
            };
            EndReport { ending, to_source, to_destination }
        }
        TransferOutcome::SourceBroken(error) => EndReport {
            ending: Ending::Failed(Side::Source),
            to_source: Failure::BadFraming(error),
            to_destination: Failure::Failed(Side::Source),
        },
        TransferOutcome::SourceTooLarge(max) => EndReport {
            ending: Ending::TooLarge(max),
            to_source: Failure::UploadTooLarge(max),
            to_destination: Failure::SourceTooLarge(max),
        },
        TransferOutcome::DestinationGone(loss) => {
            let (ending, failure) = match loss {
                Loss::Closed => (
                    Ending::Disconnected(Side::Destination),
                    Failure::Disconnected(Side::Destination),
                ),
                Loss::Failed | Loss::Stalled => {
                    (Ending::Failed(Side::Destination), Failure::Failed(Side::Destination))
                }
            };
            EndReport { ending, to_source: failure.clone(), to_destination: failure }
        }
    })
}
