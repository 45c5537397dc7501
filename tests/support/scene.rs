//! Common initial states of tests: one side waits, or both are connected.

use super::relay::Relay;
use super::request::{Ask, ask};
use super::response::{Ending, Response};
use super::wire::Wire;

/// The framing of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length` with this value.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Framing {
    /// The head of an upload to this stream.
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

    /// The end of such a body.
    pub(crate) fn end(self) -> &'static [u8] {
        match self {
            Framing::Length(_) => b"",
            Framing::Chunked => b"0\r\n\r\n",
        }
    }
}

/// A stream with both sides connected and no byte transferred.
pub(crate) struct Pair {
    pub(crate) id: String,
    pub(crate) framing: Framing,
    pub(crate) source: Wire,
    pub(crate) destination: Wire,
}

impl Pair {
    /// Sends a piece of the body and reads it at the other end, after the head if it is the first.
    pub(crate) fn pass(&mut self, data: &[u8]) {
        self.source.send(self.framing.piece(data));
        assert_eq!(self.destination.body(data.len()), data, "what the destination read");
    }

    /// The first piece: the download's head is read with it.
    pub(crate) fn pass_first(&mut self, data: &[u8]) {
        self.source.send(self.framing.piece(data));
        assert_eq!(self.destination.head().status, 200);
        assert_eq!(self.destination.body(data.len()), data, "what the destination read");
    }

    /// Ends the body; both sides must end with success.
    pub(crate) fn complete(&mut self) {
        self.source.send(self.framing.end());
        assert_eq!(self.destination.rest(), (Vec::new(), Ending::Complete));
        assert_uploaded(&self.source.response());
    }
}

/// The response to a complete upload: 200 with an empty body.
pub(crate) fn assert_uploaded(answer: &Response) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!((answer.text(), answer.ending), ("", Ending::Complete));
}

impl Relay {
    /// A waiting source: its head is sent, its body is not.
    pub(crate) fn waiting_source(&self, id: &str, framing: Framing) -> Wire {
        let mut source = self.connect();
        source.ask(&framing.put(id));
        self.await_state(id, "SRC_CONNECTED");
        source
    }

    /// A waiting destination.
    pub(crate) fn waiting_destination(&self, id: &str) -> Wire {
        self.waiting_with(&ask("GET", &format!("/stream/{id}")), id)
    }

    /// A waiting destination with a custom request.
    pub(crate) fn waiting_with(&self, get: &Ask, id: &str) -> Wire {
        let mut destination = self.connect();
        destination.ask(get);
        self.await_state(id, "DST_CONNECTED");
        destination
    }

    /// A new stream with both sides connected.
    pub(crate) fn pair(&self, framing: Framing) -> Pair {
        self.pair_with(framing, |get| get)
    }

    /// The same, with a modified destination's request.
    pub(crate) fn pair_with(&self, framing: Framing, change: impl FnOnce(Ask) -> Ask) -> Pair {
        self.join_with(&self.create(), framing, change)
    }

    /// Two sides for an existing stream.
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

    /// A destination that joins a waiting source, before the first byte.
    pub(crate) fn waiting_paired(&self, id: &str) -> Wire {
        let mut destination = self.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        self.await_state(id, "STREAMING");
        destination
    }

    /// A new destination for a waiting source.
    pub(crate) fn pair_with_new_destination(
        &self,
        id: String,
        framing: Framing,
        source: Wire,
    ) -> Pair {
        let destination = self.waiting_paired(&id);
        Pair { id, framing, source, destination }
    }

    /// A new source for a waiting destination.
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

    /// Sends until neither the relay nor a kernel buffer has accepted a byte for a while, or until
    /// the connection breaks.
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

    /// A pair whose destination has the smallest receive buffer that the kernel permits.
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
