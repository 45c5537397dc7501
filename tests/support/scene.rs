//! Scenes that many tests open with: one side waits, or both are there.

use super::relay::Relay;
use super::request::{Ask, ask};
use super::response::{Ending, Response};
use super::wire::Wire;

/// How an upload says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`, of this many bytes.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Framing {
    /// The upload's head to this stream.
    pub(crate) fn put(self, id: &str) -> Ask {
        let put = ask("PUT", &format!("/stream/{id}"));
        match self {
            Framing::Length(length) => put.length(length),
            Framing::Chunked => put.chunked(),
        }
    }

    /// `data` as a piece of such a body.
    pub(crate) fn piece(self, data: &[u8]) -> Vec<u8> {
        match self {
            Framing::Length(_) => data.to_vec(),
            Framing::Chunked => {
                [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
            }
        }
    }

    /// What ends such a body.
    pub(crate) fn end(self) -> &'static [u8] {
        match self {
            Framing::Length(_) => b"",
            Framing::Chunked => b"0\r\n\r\n",
        }
    }
}

/// A stream whose two sides are there and which has moved nothing yet.
pub(crate) struct Pair {
    pub(crate) id: String,
    pub(crate) framing: Framing,
    pub(crate) source: Wire,
    pub(crate) destination: Wire,
}

impl Pair {
    /// Sends a piece of the body and reads it at the other end, after the head where it is first.
    pub(crate) fn pass(&mut self, data: &[u8]) {
        self.source.send(self.framing.piece(data));
        assert_eq!(self.destination.body(data.len()), data, "what the destination read");
    }

    /// The first piece: the download's head comes with it.
    pub(crate) fn pass_first(&mut self, data: &[u8]) {
        self.source.send(self.framing.piece(data));
        assert_eq!(self.destination.head().status, 200);
        assert_eq!(self.destination.body(data.len()), data, "what the destination read");
    }

    /// Ends the body; both sides must have come to a good end.
    pub(crate) fn complete(&mut self) {
        self.source.send(self.framing.end());
        assert_eq!(self.destination.rest(), (Vec::new(), Ending::Complete));
        assert_uploaded(&self.source.response());
    }
}

/// The answer to a complete upload: 200 with an empty body.
pub(crate) fn assert_uploaded(answer: &Response) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!((answer.text(), answer.ending), ("", Ending::Complete));
}

impl Relay {
    /// A source that waits: its head is there, its body is not.
    pub(crate) fn waiting_source(&self, id: &str, framing: Framing) -> Wire {
        let mut source = self.connect();
        source.ask(&framing.put(id));
        self.await_state(id, "SRC_CONNECTED");
        source
    }

    /// A destination that waits.
    pub(crate) fn waiting_destination(&self, id: &str) -> Wire {
        self.waiting_with(&ask("GET", &format!("/stream/{id}")), id)
    }

    /// A destination that waits with a request of its own making.
    pub(crate) fn waiting_with(&self, get: &Ask, id: &str) -> Wire {
        let mut destination = self.connect();
        destination.ask(get);
        self.await_state(id, "DST_CONNECTED");
        destination
    }

    /// A new stream whose sides are both there.
    pub(crate) fn pair(&self, framing: Framing) -> Pair {
        self.pair_with(framing, |get| get)
    }

    /// The same, with the destination's request changed first.
    pub(crate) fn pair_with(&self, framing: Framing, change: impl FnOnce(Ask) -> Ask) -> Pair {
        self.join_with(&self.create(), framing, change)
    }

    /// Two sides for a stream that is there.
    pub(crate) fn join(&self, id: &str, framing: Framing) -> Pair {
        self.join_with(id, framing, |get| get)
    }

    fn join_with(&self, id: &str, framing: Framing, change: impl FnOnce(Ask) -> Ask) -> Pair {
        let id = id.to_owned();
        let get = change(ask("GET", &format!("/stream/{id}")));
        let destination = self.waiting_with(&get, &id);
        let mut source = self.connect();
        source.ask(&framing.put(&id));
        self.await_state(&id, "STREAMING");
        Pair { id, framing, source, destination }
    }

    /// A destination that a source waits for, and whose first byte is still to come.
    pub(crate) fn waiting_paired(&self, id: &str) -> Wire {
        let mut destination = self.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        self.await_state(id, "STREAMING");
        destination
    }

    /// A new destination for a source that waits.
    pub(crate) fn pair_with_new_destination(
        &self,
        id: String,
        framing: Framing,
        source: Wire,
    ) -> Pair {
        let destination = self.waiting_paired(&id);
        Pair { id, framing, source, destination }
    }

    /// A new source for a destination that waits.
    pub(crate) fn pair_with_new_source(
        &self,
        id: String,
        framing: Framing,
        destination: Wire,
    ) -> Pair {
        let mut source = self.connect();
        source.ask(&framing.put(&id));
        self.await_state(&id, "STREAMING");
        Pair { id, framing, source, destination }
    }

    /// Sends until neither the relay nor a kernel buffer has taken a byte for a while, or until the
    /// connection breaks.
    pub(crate) fn fill(&self, source: &mut Wire, data: &[u8]) -> usize {
        let (mut sent, mut refusals) = (0, 0);
        while sent < data.len() && refusals < 50 {
            let end = data.len().min(sent + 65_536);
            match source.send_what_fits(&data[sent..end]) {
                Some(0) => {
                    refusals += 1;
                    self.await_turn();
                }
                Some(count) => {
                    sent += count;
                    refusals = 0;
                }
                None => break,
            }
        }
        sent
    }

    /// A pair whose destination takes as little as the kernel lets it.
    pub(crate) fn narrow_pair(&self, framing: Framing) -> Pair {
        let id = self.create();
        let mut destination = Wire::connect_narrow(self.address());
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        self.await_state(&id, "DST_CONNECTED");
        let mut source = self.connect();
        source.ask(&framing.put(&id));
        self.await_state(&id, "STREAMING");
        Pair { id, framing, source, destination }
    }
}
