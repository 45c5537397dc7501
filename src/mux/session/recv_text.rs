//! Processing of the peer's messages in the text dialect.

use super::exchange::Role;
use super::send::BUSY;
use super::{Event, Session};
use crate::mux::text::MessagePart;
use std::collections::BTreeSet;
use tungstenite::Bytes;

impl Session {
    /// Processes the next text message of the peer.
    pub(super) fn take_http(&mut self, text: &[u8]) {
        let (exchanges, sent_requests) = (&self.exchanges, &self.sent_requests);
        // One text message can answer several requests.
        let mut answered = BTreeSet::new();
        let asks_for_head = |id: Option<&str>| {
            let Some(number) = sent_requests.answered_by(id, &answered) else { return false };
            answered.insert(number);
            exchanges.get(&number).is_some_and(|exchange| exchange.role == Role::AsksForHead)
        };
        match self.reader.take(text, asks_for_head) {
            Ok(parts) => {
                for part in parts {
                    self.take_part(part);
                }
            }
            Err(what) => self.fail_protocol(what),
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
            MessagePart::Response { correlation: None, .. } if self.miscounts => {
                self.fail_protocol(
                    "a response without X-Correlation-Id after too many late responses",
                );
            }
            MessagePart::Response { head, correlation, over } => {
                self.reading =
                    self.sent_requests.answered_by(correlation.as_deref(), &BTreeSet::new());
                if let Some(number) = self.reading {
                    self.forget_request(number);
                    self.take_response(number, head, over);
                }
            }
            MessagePart::Body { bytes, over } => self.take_text_body(bytes, over),
        }
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
        if !exchange.abandoned {
            exchange.incoming.received_unexpected(bytes.len());
            self.events.push_back(Event::Body { number, bytes, over });
        }
        self.forget_if_over(number);
    }
}
