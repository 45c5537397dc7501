//! Operations on exchanges: request, respond, transfer bodies, cancel.

use super::exchange::{Exchange, Role};
use super::{Cancelled, Event, Session, close};
use crate::mux::frame::{self, CancelReason, Frame};
use crate::mux::handshake::Dialect;
use tungstenite::Bytes;

impl Session {
    /// Sends a request. `head` is a complete head without `Transfer-Encoding`; with `over` there is
    /// no body. In the text dialect its `X-Correlation-Id` identifies the response. Returns `None`
    /// if the connection is not open, or ends because all numbers are used up. A head longer than
    /// [`frame::HEAD_MAX_BYTES`] is not sent: the exchange is cancelled ([`Cancelled::TooLarge`]).
    pub fn request(&mut self, head: &[u8], over: bool) -> Option<u32> {
        if !self.takes_requests() {
            return None;
        }
        let number = self.next_ours;
        let Some(next) = number.checked_add(2) else {
            self.close(close::GOING_AWAY, "all numbers of requests are used up");
            return None;
        };
        self.next_ours = next;
        if head.len() > frame::HEAD_MAX_BYTES {
            self.events.push_back(Event::Cancelled(number, Cancelled::TooLarge));
            return Some(number);
        }
        let role = if head.starts_with(b"HEAD ") { Role::AsksForHead } else { Role::Asks };
        self.exchanges.insert(number, Exchange::new(role));
        match self.dialect {
            Dialect::V1 => {
                let head = Bytes::copy_from_slice(head);
                self.put(&Frame::Request { number, head, end: over });
                self.sent(number, over);
            }
            Dialect::Text => self.begin_text_request(number, head, over),
        }
        Some(number)
    }

    /// Sends a response; `head` and `over` are as in [`request`](Self::request).
    pub fn respond(&mut self, number: u32, head: &[u8], over: bool) {
        if !self.may_respond(number) {
            return;
        }
        match self.dialect {
            Dialect::V1 if head.len() > frame::HEAD_MAX_BYTES => {
                self.give_up(number, Cancelled::TooLarge);
            }
            Dialect::V1 => {
                let head = Bytes::copy_from_slice(head);
                self.put(&Frame::Response { number, head, end: over });
                self.sent(number, over);
            }
            Dialect::Text => self.text_response(number, head, over.then_some(&[])),
        }
    }

    /// Sends a short response at once. The head declares the length of the body, at most
    /// [`frame::DATA_MAX_BYTES`]. Does nothing if a response has begun.
    pub fn respond_whole(&mut self, number: u32, head: &[u8], body: &[u8]) {
        if self.exchanges.get(&number).is_none_or(|one| one.is_ours() || one.answered) {
            return;
        }
        match self.dialect {
            Dialect::V1 => {
                self.respond(number, head, body.is_empty());
                self.send(number, body, true);
            }
            Dialect::Text => {
                if self.may_respond(number) {
                    self.text_response(number, head, Some(body));
                }
            }
        }
    }

    /// Whether the peer's request has no response yet; marks it as answered.
    fn may_respond(&mut self, number: u32) -> bool {
        let exchange = self.exchanges.get_mut(&number).filter(|one| !one.is_ours());
        exchange.is_some_and(|exchange| !std::mem::replace(&mut exchange.answered, true))
    }

    /// Returns how many bytes of a body can be sent now: none before the head.
    pub fn room(&self, number: u32) -> usize {
        let Some(exchange) = self.exchanges.get(&number).filter(|one| one.may_send()) else {
            return 0;
        };
        match self.dialect {
            Dialect::V1 => exchange.outgoing.room(),
            Dialect::Text => self.text_room(number, exchange),
        }
    }

    /// Whether a request of ours with this correlation id waits for its response. In the text
    /// dialect a second one could receive the response of the first.
    pub fn asks_as(&self, correlation_id: &str) -> bool {
        self.exchanges.values().any(|one| one.correlation.as_deref() == Some(correlation_id))
    }

    /// Whether the exchange is still active.
    pub fn knows(&self, number: u32) -> bool {
        self.exchanges.get(&number).is_some_and(|one| !one.abandoned)
    }

    /// Sends the next bytes of a body, at most as many as [`room`](Self::room) returns.
    pub fn send(&mut self, number: u32, bytes: &[u8], over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number).filter(|one| one.may_send()) else {
            return;
        };
        if bytes.is_empty() && !over {
            return;
        }
        match self.dialect {
            Dialect::V1 => {
                exchange.outgoing.sent(bytes.len());
                self.codec.binary(frame::data(number, bytes, over));
                self.sent(number, over);
            }
            Dialect::Text => self.send_text(number, bytes, over),
        }
    }

    /// Reports that bytes of the peer's body were used up: the peer may send as many more.
    pub fn used(&mut self, number: u32, bytes: usize) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let more = exchange.incoming.used(bytes).filter(|_| !exchange.incoming.over);
        if let Some(bytes) = more.filter(|_| self.dialect == Dialect::V1) {
            self.put(&Frame::Window { number, bytes });
        }
    }

    /// Ends an exchange early and forgets it: no further event refers to it.
    pub fn cancel(&mut self, number: u32, why: CancelReason) {
        self.events.retain(|event| event.number() != Some(number));
        if !self.knows(number) {
            return;
        }
        match self.dialect {
            Dialect::V1 => {
                self.exchanges.remove(&number);
                self.put(&Frame::Cancel { number, why });
            }
            Dialect::Text => self.abort_text(number),
        }
    }

    /// Cancels an exchange that cannot continue, and reports why.
    pub(super) fn give_up(&mut self, number: u32, why: Cancelled) {
        let interim = why == Cancelled::Interim;
        let broke = if interim { "more than 16 interim responses" } else { "a head is too long" };
        self.events.push_back(Event::Cancelled(number, why));
        match self.dialect {
            Dialect::V1 => {
                self.exchanges.remove(&number);
                self.put(&Frame::Cancel { number, why: CancelReason::Broke(broke.into()) });
            }
            Dialect::Text => self.abort_text(number),
        }
    }

    pub(super) fn put(&mut self, frame: &Frame) {
        self.codec.binary(frame.to_message());
    }

    /// Records that our part of an exchange was sent, all of it if `over`.
    pub(super) fn sent(&mut self, number: u32, over: bool) {
        if let Some(exchange) = self.exchanges.get_mut(&number).filter(|_| over) {
            exchange.outgoing.over = true;
            self.forget_if_over(number);
        }
    }

    pub(super) fn forget_if_over(&mut self, number: u32) {
        let over = self.exchanges.get(&number).is_some_and(Exchange::is_over);
        // In the text dialect a complete response may still wait for its turn.
        if over && !self.senders.contains(&number) {
            self.exchanges.remove(&number);
        }
    }
}
