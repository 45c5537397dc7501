//! Sending in the text dialect: one HTTP message at a time, so every exchange waits for its turn. A
//! request is sent as one text message, because peers expect that, and only after the response to
//! the one before ([`queue`](super::queue)); a response is streamed.

use super::exchange::{Exchange, Role};
use super::{Cancelled, Event, Session, TEXT_MAX_BYTES, close};
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::mux::frame::{DATA_MAX_BYTES, HEAD_MAX_BYTES};
use crate::mux::text::{CORRELATION_ID, add_field, has_field, without_field};

/// Response sent in place of one that cannot be sent.
const NO_RESPONSE: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";

/// Response to a request beyond the limit.
pub(super) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

impl Session {
    /// Begins to collect a request until it is complete.
    pub(super) fn begin_text_request(&mut self, number: u32, head: &[u8], over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        exchange.correlation = correlation_of(head);
        exchange.outgoing.held = head.to_vec();
        exchange.outgoing.head_bytes = head.len();
        if over {
            self.send_complete(number);
        }
    }

    /// Queues a response head until its turn and until the first bytes of the body, which show
    /// whether it is text. With `body` the response is complete.
    pub(super) fn text_response(&mut self, number: u32, head: &[u8], body: Option<&[u8]>) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        // The peer matches the response by the id of its request or, without one, by order.
        let mut head = without_field(head, CORRELATION_ID);
        if let Some(id) = exchange.correlation.as_deref() {
            add_field(&mut head, CORRELATION_ID, id);
        }
        if body.is_none() && !has_field(&head, "Content-Length") {
            exchange.outgoing.chunked = true;
            add_field(&mut head, "Transfer-Encoding", "chunked");
        }
        exchange.outgoing.head_bytes = head.len();
        if head.len() > HEAD_MAX_BYTES {
            return self.give_up(number, Cancelled::TooLarge);
        }
        exchange.outgoing.held = head;
        if let Some(body) = body {
            exchange.outgoing.held.extend_from_slice(body);
            return self.send_complete(number);
        }
        self.senders.push_back(number);
        if self.senders.front() == Some(&number) {
            self.events.push_back(Event::Room(number));
        }
    }

    pub(super) fn text_room(&self, number: u32, exchange: &Exchange) -> usize {
        let can_send = exchange.is_ours() || self.senders.front() == Some(&number);
        if can_send { DATA_MAX_BYTES } else { 0 }
    }

    /// Sends or collects the next bytes of a body.
    pub(super) fn send_text(&mut self, number: u32, bytes: &[u8], over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if !exchange.is_ours() {
            return self.send_more(number, bytes, over);
        }
        let held = &mut exchange.outgoing.held;
        if held.len() + bytes.len() > TEXT_MAX_BYTES {
            return self.give_up(number, Cancelled::TooLarge);
        }
        held.extend_from_slice(bytes);
        if over {
            self.send_complete(number);
        }
    }

    /// Queues the collected message: it is sent as soon as no other one has its turn.
    fn send_complete(&mut self, number: u32) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let ours = exchange.is_ours();
        let outgoing = &mut exchange.outgoing;
        let body = outgoing.held.split_off(outgoing.head_bytes);
        if ours && !body.is_empty() && !has_field(&outgoing.held, "Content-Length") {
            add_field(&mut outgoing.held, "Content-Length", &body.len().to_string());
        }
        if outgoing.held.len() > HEAD_MAX_BYTES {
            return self.give_up(number, Cancelled::TooLarge);
        }
        outgoing.held.extend_from_slice(&body);
        if str::from_utf8(&outgoing.held).is_err() {
            return self.give_up(number, Cancelled::NotText);
        }
        exchange.outgoing.over = true;
        if ours {
            return self.enqueue(number);
        }
        self.senders.push_back(number);
        self.go_on();
    }

    /// Sends the next bytes of the response that has its turn.
    fn send_more(&mut self, number: u32, bytes: &[u8], over: bool) {
        if self.senders.front() != Some(&number) {
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let outgoing = &mut exchange.outgoing;
        outgoing.held.extend_from_slice(bytes);
        let unsaid = outgoing.head_bytes > 0;
        let whole = match str::from_utf8(&outgoing.held) {
            Ok(text) => text.len(),
            // An incomplete character waits for the rest.
            Err(error) if error.error_len().is_none() && !over => error.valid_up_to(),
            Err(_) => return self.not_text(number, unsaid),
        };
        if unsaid && whole == outgoing.head_bytes && !over {
            // Not one complete character: the response can still be replaced.
            return;
        }
        let cut = outgoing.held.split_off(whole);
        let body = outgoing.held.split_off(outgoing.head_bytes);
        let head = std::mem::replace(&mut outgoing.held, cut);
        outgoing.head_bytes = 0;
        let chunked = outgoing.chunked;
        let mut message = head;
        write_framed(&mut message, &body, chunked);
        if chunked && over {
            message.extend_from_slice(LAST_CHUNK);
        }
        self.has_responded = true;
        self.send_message(&message);
        if over {
            self.senders.pop_front();
            self.sent(number, true);
            self.go_on();
        }
    }

    fn send_message(&mut self, message: &[u8]) {
        if let Ok(text) = str::from_utf8(message)
            && !text.is_empty()
        {
            self.codec.text(text);
        }
    }

    /// Sends complete messages until one that is not complete has its turn.
    pub(super) fn go_on(&mut self) {
        while let Some(&number) = self.senders.front() {
            let Some(exchange) = self.exchanges.get_mut(&number) else {
                self.senders.pop_front();
                continue;
            };
            if !exchange.outgoing.over {
                if exchange.outgoing.head_bytes > 0 {
                    self.events.push_back(Event::Room(number));
                }
                return;
            }
            let message = std::mem::take(&mut exchange.outgoing.held);
            let ours = exchange.is_ours();
            self.senders.pop_front();
            self.send_message(&message);
            if ours {
                self.asked(number);
            } else {
                self.has_responded = true;
            }
            self.forget_if_over(number);
        }
    }

    /// Ends a response that is not text.
    fn not_text(&mut self, number: u32, unsaid: bool) {
        if unsaid {
            self.give_up(number, Cancelled::NotText);
        } else {
            self.close(close::FAILED, "the response is not text");
        }
    }

    /// Ends an exchange early. The peer must receive a response anyway, and one that has begun can
    /// be aborted only by closing the connection.
    pub(super) fn abort_text(&mut self, number: u32) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if exchange.is_ours() {
            if exchange.outgoing.held.is_empty() {
                exchange.abandoned = true;
                exchange.incoming.unused = 0;
            } else {
                self.forget(number);
                self.ask_next();
            }
            return;
        }
        if exchange.outgoing.over {
            // The response is complete; the rest of the request is not needed.
            exchange.abandoned = true;
            exchange.incoming.unused = 0;
            return;
        }
        let unsaid = exchange.outgoing.head_bytes > 0 || !exchange.answered;
        if !unsaid {
            return self.close(close::FAILED, "the response was interrupted");
        }
        let correlation = exchange.correlation.clone();
        self.forget(number);
        self.send_substitute(number, NO_RESPONSE, correlation.as_deref());
    }

    fn forget(&mut self, number: u32) {
        self.senders.retain(|other| *other != number);
        self.queue.remove(number);
        self.exchanges.remove(&number);
    }

    /// Sends this response without a body to a peer that waits for one.
    pub(super) fn send_substitute(&mut self, number: u32, head: &[u8], correlation: Option<&str>) {
        let mut substitute = Exchange::new(Role::Answers);
        substitute.incoming.over = true;
        substitute.outgoing.over = true;
        substitute.abandoned = true;
        substitute.outgoing.held = head.to_vec();
        if let Some(id) = correlation {
            add_field(&mut substitute.outgoing.held, CORRELATION_ID, id);
        }
        self.exchanges.insert(number, substitute);
        self.senders.push_back(number);
        self.go_on();
    }
}

fn correlation_of(head: &[u8]) -> Option<String> {
    let text = str::from_utf8(head).ok()?;
    text.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(CORRELATION_ID).then(|| value.trim().to_owned())
    })
}
