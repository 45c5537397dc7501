//! Virtual time. The costs are above those measured once with an optimised build, on a virtual
//! machine of 2 cores with a load of 4; the comments have what was measured.

use crate::relay::ACCEPTS_PER_TURN;
use std::time::Duration;

/// A read(2) of a socket, in ns: 5,600.
const READ: u64 = 6_000;

/// A write(2) or writev(2) to a socket on loopback, in ns: 6,000; the kernel delivers within it.
const WRITE: u64 = 7_000;

/// An event, from epoll to the run queue and out of it, in ns.
const EVENT: u64 = 200;

/// A byte that is copied or searched, in ps: 35.
const BYTE: u64 = 100;

/// A head that is parsed, in ns: 420 with one field.
const HEAD: u64 = 500;

/// A line of a head that is parsed, in ns: 28.
const LINE: u64 = 40;

/// A byte of a head that is parsed, in ps: 290.
const HEAD_BYTE: u64 = 500;

/// A WebSocket frame, in ns: 350 if empty, 590 for a ping and its pong.
const FRAME: u64 = 700;

/// A chunk, its head and its payload as a piece of its own, in ns: 35, and 43 of a JSON body.
const CHUNK: u64 = 50;

/// A byte of JSON that is generated, in ps: 22,000.
const JSON_BYTE: u64 = 25_000;

/// An entry of a list that is visited, in ns: 65.
const VISIT: u64 = 100;

/// About the size of a request, or of an answer without a body.
const SENT_BYTES: usize = 256;

/// Virtual time of a turn beyond which it has no end.
const TURN_MAX: Duration = Duration::from_mins(1);

/// Virtual time since the start.
#[derive(Debug, Default)]
pub(super) struct Clock {
    picos: u64,
    /// When the current turn began.
    begun: u64,
    /// Connections that may still be accepted in it.
    accepts: usize,
}

impl Clock {
    /// Returns the time since the start.
    pub(super) fn now(&self) -> Duration {
        Duration::from_nanos(self.picos / 1000)
    }

    /// Returns the time since the turn began.
    pub(super) fn since_begin(&self) -> Duration {
        Duration::from_nanos((self.picos - self.begun) / 1000)
    }

    /// Begins a turn: the relay takes in events.
    pub(super) fn begin_turn(&mut self) {
        self.begun = self.picos;
        self.accepts = ACCEPTS_PER_TURN;
        self.charge(READ, 1);
    }

    pub(super) fn event(&mut self) {
        self.charge(EVENT, 1);
    }

    /// Charges a read of this many bytes.
    pub(super) fn read(&mut self, bytes: usize) {
        self.charge(READ, 1);
        self.copied(bytes);
    }

    /// Charges a write of this many bytes.
    pub(super) fn write(&mut self, bytes: usize) {
        self.charge(WRITE, 1);
        self.copied(bytes);
    }

    pub(super) fn copied(&mut self, bytes: usize) {
        self.charge_picos(BYTE, bytes);
    }

    /// Accepts a connection with a request; whether it was its turn.
    pub(super) fn accept(&mut self) -> bool {
        let Some(left) = self.accepts.checked_sub(1) else { return false };
        self.accepts = left;
        self.charge(READ, 3);
        self.request();
        true
    }

    /// Charges a short request and its answer.
    pub(super) fn request(&mut self) {
        self.read(SENT_BYTES);
        self.heads(1, SENT_BYTES / 40, SENT_BYTES);
        self.write(SENT_BYTES);
    }

    /// Charges heads, with these lines and bytes in total.
    pub(super) fn heads(&mut self, heads: usize, lines: usize, bytes: usize) {
        self.charge(HEAD, heads);
        self.charge(LINE, lines);
        self.charge_picos(HEAD_BYTE, bytes);
    }

    pub(super) fn frames(&mut self, frames: u32) {
        self.charge(FRAME, frames as usize);
    }

    pub(super) fn chunks(&mut self, chunks: usize) {
        self.charge(CHUNK, chunks);
    }

    /// Charges generated JSON.
    pub(super) fn json(&mut self, bytes: usize) {
        self.charge_picos(JSON_BYTE, bytes);
    }

    pub(super) fn visits(&mut self, entries: u64) {
        self.charge(VISIT, usize::try_from(entries).expect("a list fits memory"));
    }

    fn charge(&mut self, nanos: u64, times: usize) {
        self.charge_picos(nanos * 1000, times);
    }

    fn charge_picos(&mut self, picos: u64, times: usize) {
        self.picos += picos * times as u64;
        assert!(self.since_begin() < TURN_MAX, "the turn does not end");
    }
}
