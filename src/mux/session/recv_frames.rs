//! Processing of frames from the peer.

use super::exchange::{Exchange, Role};
use super::{Cancelled, Event, Session};
use crate::mux::frame::{CancelReason, Frame};
use tungstenite::Bytes;

/// Body parts shorter than this, in bytes, are copied: they are slices of a read buffer of 4 KiB or
/// more, and a window kept as single bytes would keep as many buffers.
const COPIED_BYTES: usize = 2 << 10;

/// Maximum interim responses (RFC 9110, section 15.2) before a response. A server sends one or two.
const INTERIM_MAX: u8 = 16;

impl Session {
    pub(super) fn take_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Request { number, head, end } => self.take_request(number, head, end),
            Frame::Response { number, head, end } => self.take_response(number, head, end),
            Frame::Data { number, bytes, end } => self.take_data(number, bytes, end),
            Frame::Window { number, bytes } => {
                let Some(exchange) = self.exchanges.get_mut(&number) else { return };
                match exchange.outgoing.allowed(bytes) {
                    Ok(()) => self.events.push_back(Event::Room(number)),
                    Err(_) => self.fail_protocol("a window that is too large"),
                }
            }
            Frame::Cancel { number, why } => {
                if self.exchanges.remove(&number).is_some() {
                    self.events.push_back(Event::Cancelled(number, Cancelled::There(why)));
                }
            }
            Frame::Drain => self.events.push_back(Event::Draining),
        }
    }

    fn take_request(&mut self, number: u32, head: Bytes, over: bool) {
        if number < self.next_theirs || number % 2 != self.next_theirs % 2 {
            return self.fail_protocol("a request with a number that is not next");
        }
        let Some(next) = number.checked_add(2) else {
            return self.fail_protocol("all numbers are used up");
        };
        self.next_theirs = next;
        if self.theirs() >= self.exchanges_max {
            return self.put(&Frame::Cancel { number, why: CancelReason::Busy });
        }
        self.begin_theirs(number, head, over);
    }

    /// Returns the number of exchanges begun by the peer.
    pub(super) fn theirs(&self) -> usize {
        self.exchanges.values().filter(|one| !one.is_ours()).count()
    }

    /// Begins an exchange of the peer.
    pub(super) fn begin_theirs(&mut self, number: u32, head: Bytes, over: bool) {
        let mut exchange = Exchange::new(Role::Answers);
        exchange.incoming.over = over;
        self.exchanges.insert(number, exchange);
        self.events.push_back(Event::Request { number, head, over });
    }

    pub(super) fn take_response(&mut self, number: u32, head: Bytes, over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if !exchange.is_ours() || exchange.answered {
            return self.fail_protocol("a response to no request");
        }
        if is_interim(&head) && !over {
            exchange.interim += 1;
            if exchange.interim > INTERIM_MAX {
                self.give_up(number, Cancelled::Interim);
            }
            return;
        }
        exchange.answered = true;
        exchange.incoming.over = over;
        if !exchange.abandoned {
            self.events.push_back(Event::Response { number, head, over });
        }
        self.forget_if_over(number);
    }

    fn take_data(&mut self, number: u32, bytes: Bytes, over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if exchange.incoming.over || (exchange.is_ours() && !exchange.answered) {
            return self.fail_protocol("body bytes that belong to no body");
        }
        if exchange.incoming.received(bytes.len()).is_err() {
            return self.fail_protocol("more body bytes than the window allows");
        }
        exchange.incoming.over = over;
        if bytes.is_empty() && !over {
            return;
        }
        let bytes = if bytes.len() < COPIED_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes };
        self.events.push_back(Event::Body { number, bytes, over });
        self.forget_if_over(number);
    }
}

/// Whether this is an interim response (RFC 9110, section 15.2). 101 is not: it ends HTTP.
fn is_interim(head: &[u8]) -> bool {
    head.get(8..10) == Some(b" 1") && head.get(10..12) != Some(b"01")
}
