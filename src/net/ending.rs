//! How the two sides of a transfer are told the truth about its end.

use super::agents::Errand;
use super::conn::{After, Phase};
use super::relay::Relay;
use super::sockopt;
use super::token::ConnId;
use crate::api::Failure;
use crate::rendezvous::transfer::{Delimiter, Loss};
use crate::rendezvous::{Ending, Outcome, Report, Side};

/// Why a source is told that it was too slow.
const SOURCE_STALLED: &str = "The request body did not move for too long";

impl Relay {
    /// A transfer is over.
    pub(super) fn conclude(&mut self, place: usize, outcome: Outcome) {
        let errand = self.exchanges.get(place).map(|exchange| exchange.errand);
        match errand {
            Some(Errand::Stream(_)) => self.conclude_stream(place, outcome),
            Some(Errand::Request | Errand::Response) => self.carried_concluded(place, outcome),
            None => {}
        }
    }

    fn conclude_stream(&mut self, place: usize, outcome: Outcome) {
        let transfer = self.exchanges.get(place).map(|exchange| &exchange.transfer);
        if let Some(side) = transfer.and_then(|transfer| transfer.side_left(outcome))
            && !self.mode.is_ending()
        {
            return self.part(place, side);
        }
        match outcome {
            Outcome::Complete => self.complete(place),
            Outcome::SourceGone(loss) => {
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
                self.finish(place, ending, &to_source, &to_destination);
            }
            Outcome::SourceBroken(error) => self.finish(
                place,
                Ending::Failed(Side::Source),
                &Failure::BadFraming(error),
                &Failure::Failed(Side::Source),
            ),
            Outcome::SourceTooLarge(most) => self.finish(
                place,
                Ending::TooLarge(most),
                &Failure::UploadTooLarge(most),
                &Failure::SourceTooLarge(most),
            ),
            Outcome::DestinationGone(loss) => {
                let failure = match loss {
                    Loss::Closed => Failure::Disconnected(Side::Destination),
                    Loss::Failed | Loss::Stalled => Failure::Failed(Side::Destination),
                };
                let ending = match loss {
                    Loss::Closed => Ending::Disconnected(Side::Destination),
                    Loss::Failed | Loss::Stalled => Ending::Failed(Side::Destination),
                };
                self.finish(place, ending, &failure, &failure);
            }
        }
    }

    /// A side left before a byte had passed: the other one waits again. Not while the relay ends,
    /// because nobody could join any more.
    fn part(&mut self, place: usize, side: Side) {
        let Some(exchange) = self.take_exchange(place) else { return };
        let Errand::Stream(stream) = exchange.errand else { return };
        let (source, destination) = (exchange.source, exchange.destination);
        self.registry.leave(stream, side, self.now);
        self.settle_source(source, exchange.batches());
        match side {
            Side::Source => {
                let read = exchange.transfer.upload_complete();
                if let Some(conn) = self.conn(destination) {
                    conn.look_whole();
                }
                self.wait(destination, stream, None);
                self.tell_failure(source, &Failure::BodyBroken, read);
            }
            Side::Destination => {
                let Some(mut upload) = exchange.upload else {
                    debug_assert!(false, "a source's head is kept until a byte was handed on");
                    return;
                };
                upload.take_back(exchange.transfer);
                self.reset(destination);
                self.wait(source, stream, Some(upload));
            }
        }
    }

    /// Every byte was handed on: both sides are told so, and may go on.
    fn complete(&mut self, place: usize) {
        self.judge_last(place);
        let Some(exchange) = self.take_exchange(place) else { return };
        let Errand::Stream(stream) = exchange.errand else { return };
        let (source, destination) = (exchange.source, exchange.destination);
        self.registry.transferred(stream, exchange.transfer.transferred());
        let digest = exchange.transfer.digest().cloned().map(Box::new);
        self.registry.end(stream, Ending::Finished(digest), self.now);
        self.note_download(destination, &exchange.transfer);
        self.answered(destination, 200);
        if let Some(conn) = self.conn(destination) {
            let after = conn.reply.after;
            if exchange.delimiter == Delimiter::Close {
                conn.look_whole();
                self.follow(destination, if after.keeps_alive() { After::Close } else { after });
            } else {
                self.follow(destination, after);
            }
        }
        self.settle_source(source, exchange.batches());
        self.answer_upload(source, stream);
    }

    /// A transfer broke: the source is answered, the destination too if its head has not left, or
    /// its connection ends so that nobody takes the part for the whole.
    fn finish(
        &mut self,
        place: usize,
        ending: Ending,
        to_source: &Failure,
        to_destination: &Failure,
    ) {
        self.judge_last(place);
        let Some(exchange) = self.take_exchange(place) else { return };
        let Errand::Stream(stream) = exchange.errand else { return };
        self.registry.transferred(stream, exchange.transfer.transferred());
        let destination_lost = matches!(
            ending,
            Ending::Disconnected(Side::Destination) | Ending::Failed(Side::Destination)
        );
        self.registry.end(stream, ending, self.now);
        let (source, destination) = (exchange.source, exchange.destination);
        self.note_download(destination, &exchange.transfer);
        if exchange.transfer.head_started() {
            self.answered(destination, 200);
        }
        if destination_lost {
            self.reset(destination);
        } else if !exchange.transfer.head_started() {
            if let Some(conn) = self.conn(destination) {
                conn.look_whole();
            }
            self.tell_failure(destination, to_destination, true);
        } else if exchange.delimiter == Delimiter::Close {
            self.reset(destination);
        } else {
            self.close(destination);
        }
        let read = exchange.transfer.upload_complete();
        self.settle_source(source, exchange.batches());
        self.tell_failure(source, to_source, read);
    }

    /// The source is an ordinary connection again.
    fn settle_source(&mut self, source: ConnId, batched: bool) {
        let Some(conn) = self.conn(source) else { return };
        conn.phase = Phase::Head;
        if batched {
            sockopt::set_receive_low_water(&conn.socket, 1);
        }
    }

    /// Nothing moved for too long: who is to blame?
    pub(super) fn stalled(&mut self, place: usize) {
        let Some(exchange) = self.exchanges.get(place) else { return };
        let destination = exchange.destination;
        let outcome = if self.conn(destination).is_some_and(|conn| !conn.writable) {
            Outcome::DestinationGone(Loss::Stalled)
        } else {
            Outcome::SourceGone(Loss::Stalled)
        };
        self.conclude(place, outcome);
    }

    /// A running transfer is ended from outside; its status shows the report, and
    /// both sides are answered with the failure.
    pub(super) fn break_off(&mut self, id: ConnId, report: Report, failure: &Failure) {
        let Some(conn) = self.conn(id) else { return };
        let Phase::Streaming { exchange, .. } = conn.phase else { return };
        self.finish(exchange, Ending::Reported(Box::new(report)), failure, failure);
    }

    /// A socket failed, or its peer went away while it was written to.
    pub(super) fn lost(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        match &conn.phase {
            Phase::Streaming { side: Side::Destination, exchange } => {
                let place = *exchange;
                self.conclude(place, Outcome::DestinationGone(Loss::Closed));
            }
            Phase::Streaming { side: Side::Source, exchange } => {
                let place = *exchange;
                self.conclude(place, Outcome::SourceGone(Loss::Closed));
            }
            Phase::Waiting { stream, upload } => {
                let (stream, side) = (*stream, super::waiting::side_of(upload.as_deref()));
                self.waiting_lost(id, stream, side);
            }
            Phase::Head
            | Phase::Json(_)
            | Phase::Pushing(_)
            | Phase::Handing
            | Phase::Answering(_)
            | Phase::Listing(_)
            | Phase::Following(_)
            | Phase::Agent(_)
            | Phase::Calling(_)
            | Phase::Spare(_)
            | Phase::Carried(_)
            | Phase::Watching(_)
            | Phase::Lingering { .. } => self.close(id),
            Phase::Asking(_) => self.api_takes_no_more(id),
        }
    }
}
