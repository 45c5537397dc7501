//! Processing of the peer's messages in the text dialect.

use super::exchange::Role;
use super::send::BUSY;
use super::{Cancelled, Event, Session};
use crate::mux::text::MessagePart;
use tungstenite::Bytes;

impl Session {
    /// Processes the next bytes of the peer's messages; `over` at the end of each.
    pub(super) fn take_http(&mut self, bytes: Bytes, over: bool) {
        let awaited = self.queue.awaited().and_then(|number| self.exchanges.get(&number));
        let mut awaited = awaited.filter(|one| !one.answered);
        let asks_for_head = |id: Option<&str>| {
            let answered = awaited.take_if(|one| one.is_answered_by(id));
            answered.is_some_and(|one| one.role == Role::AsksForHead)
        };
        let mut parts = Vec::new();
        let taken = self.reader.take(bytes, over, asks_for_head, &mut parts);
        for part in parts {
            self.take_part(part);
        }
        if let Err(what) = taken {
            self.take_invalid(what);
        }
        if over && !self.is_closed() {
            self.end_turn();
        }
    }

    /// Processes what is neither a request nor a response: the latter, if one is awaited.
    fn take_invalid(&mut self, what: &'static str) {
        if self.queue.awaited().is_some() {
            self.reader.drop_rest();
            self.break_response(what);
        } else if !self.is_closed() {
            self.fail_protocol(what);
        }
    }

    /// Ends the exchange of an invalid response; the reader drops the rest of it.
    fn break_response(&mut self, what: &'static str) {
        let Some(number) = self.queue.awaited() else { return };
        self.queue.answered(number);
        if self.exchanges.remove(&number).is_some_and(|one| !one.abandoned) {
            self.events.push_back(Event::Cancelled(number, Cancelled::Invalid(what)));
        }
    }

    fn take_part(&mut self, part: MessagePart) {
        if self.is_closed() {
            return;
        }
        match part {
            MessagePart::Request { head, correlation, over } => {
                self.take_text_request(head, correlation, over);
            }
            MessagePart::Response { head, correlation, over } => {
                self.reading = self.answered_by(correlation.as_deref());
                if let Some(number) = self.reading {
                    if over {
                        self.queue.answered(number);
                    }
                    self.take_response(number, head, over);
                }
            }
            MessagePart::Body { bytes, over } => self.take_text_body(bytes, over),
            MessagePart::Invalid(what) => self.break_response(what),
        }
    }

    /// Returns the request that a response with this correlation id answers.
    fn answered_by(&self, id: Option<&str>) -> Option<u32> {
        let number = self.queue.awaited()?;
        let exchange = self.exchanges.get(&number)?;
        (!exchange.answered && exchange.is_answered_by(id)).then_some(number)
    }

    fn take_text_request(&mut self, head: Bytes, correlation: Option<String>, over: bool) {
        let number = self.next_theirs;
        let Some(next) = number.checked_add(2) else {
            return self.fail_protocol("all numbers are used up");
        };
        self.next_theirs = next;
        self.reading = Some(number);
        let theirs = self.theirs();
        if theirs >= self.exchanges_max.saturating_mul(2) {
            return self.fail_protocol("far more requests than are served at once");
        }
        if theirs >= self.exchanges_max {
            return self.send_substitute(number, BUSY, correlation.as_deref());
        }
        self.begin_theirs(number, head, over);
        if let Some(exchange) = self.exchanges.get_mut(&number) {
            exchange.correlation = correlation;
        }
    }

    fn take_text_body(&mut self, bytes: Bytes, over: bool) {
        let Some(number) = self.reading else { return };
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        exchange.incoming.over = over;
        if over {
            self.queue.answered(number);
        }
        if !exchange.abandoned {
            exchange.incoming.received_unexpected(bytes.len());
            self.events.push_back(Event::Body { number, bytes, over });
        }
        self.forget_if_over(number);
    }
}
