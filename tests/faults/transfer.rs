//! Transfers with injected faults, and checks that both sides see the true outcome.

use std::thread;

use serde_json::Value;

use crate::support::{
    Ask, Ending, Framing, Relay, Response, ask, chunks, eventually, is_pattern, pattern,
};

/// One body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    pub(crate) framing: Framing,
    pub(crate) seed: u64,
    pub(crate) size: usize,
    /// Whether the destination speaks HTTP/1.0: a chunked body then ends with its connection.
    pub(crate) http10: bool,
}

/// Bodies with both framings: spliced ones, copied ones, and one delimited by the end.
pub(crate) const BODIES: [Body; 5] = [
    Body { framing: Framing::Length(2_500_000), seed: 1, size: 2_500_000, http10: false },
    Body { framing: Framing::Chunked, seed: 2, size: 2_500_000, http10: false },
    Body { framing: Framing::Length(3_000), seed: 3, size: 3_000, http10: false },
    Body { framing: Framing::Chunked, seed: 4, size: 3_000, http10: false },
    Body { framing: Framing::Chunked, seed: 5, size: 300_000, http10: true },
];

/// Chunk sizes below and above the threshold for splicing.
const CHUNKS: [usize; 3] = [65_536, 700, 20_000];

/// The outcome of a transfer, the same for both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every byte arrived, and both sides see success.
    Complete,
    /// The transfer failed, and both sides see it.
    Broken,
}

/// What one side received: a response, or only the end of its connection.
type Received = Result<Response, Ending>;

/// A transfer that has ended for both sides.
pub(crate) struct Exchanged {
    id: String,
    body: Body,
    uploaded: Received,
    downloaded: Received,
}

impl Body {
    /// The body on the wire.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let data = pattern(self.seed, self.size);
        match self.framing {
            Framing::Length(_) => data,
            Framing::Chunked => chunks(&data, &CHUNKS),
        }
    }
}

/// Retries until a successful response: these requests can fail, too.
fn retry_until_success(relay: &Relay, ask: &Ask) -> Value {
    eventually(&format!("an answer of success to {} ", ask.method()), || {
        let mut wire = relay.connect();
        wire.try_send(ask.bytes()).ok()?;
        let answer = wire.try_response().ok()?;
        let success = (200..300).contains(&answer.status()) && answer.ending == Ending::Complete;
        success.then(|| answer.json())
    })
}

/// A new stream, as soon as one can be created.
pub(crate) fn create(relay: &Relay) -> String {
    let created = retry_until_success(relay, &ask("POST", "/stream"));
    created["stream"].as_str().expect("an id").to_owned()
}

/// Runs one transfer, and checks that both sides see the same outcome.
pub(crate) fn attempt(relay: &Relay, body: Body) -> Verdict {
    // Before the relay's timeouts start: on a busy machine this takes longer than those.
    let bytes = body.bytes();
    exchange(relay, &create(relay), body, &bytes).verdict(relay)
}

/// Runs both sides of a stream, until each has its response or is disconnected.
pub(crate) fn exchange(relay: &Relay, id: &str, body: Body, bytes: &[u8]) -> Exchanged {
    let (mut source, mut destination) = (relay.connect(), relay.connect());
    // Sending fails if the relay closed the connection; its response can still be read.
    let get = ask("GET", &format!("/stream/{id}"));
    let get = if body.http10 { get.http10() } else { get };
    let _ = destination.try_send(get.bytes());
    let upload = body.framing.put(id).raw_body(bytes).bytes();
    let (uploaded, downloaded) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let _ = source.try_send(&upload);
            source.try_response()
        });
        let downloaded = destination.try_response();
        (sending.join().expect("the source"), downloaded)
    });
    Exchanged { id: id.to_owned(), body, uploaded, downloaded }
}

impl Exchanged {
    /// Checks that both sides saw what the relay reports.
    pub(crate) fn verdict(&self, relay: &Relay) -> Verdict {
        let status = eventually("the stream ends", || {
            let ask = ask("GET", &format!("/stream/{}/status", self.id));
            let status = retry_until_success(relay, &ask);
            (status["active"] == false).then_some(status)
        });
        classify(self.body, &self.uploaded, &self.downloaded, &status)
    }
}

fn classify(body: Body, uploaded: &Received, downloaded: &Received, status: &Value) -> Verdict {
    let state = status["state"].as_str().expect("a state");
    let moved = status["bytes_transferred"].as_u64().expect("a number");
    let upload_status = uploaded.as_ref().ok().map(Response::status);
    let download_status = downloaded.as_ref().ok().map(Response::status);
    let printed = format!("{body:?}: {state}, up {upload_status:?}, down {download_status:?}");
    let download = downloaded.as_ref().ok().filter(|download| download.status() == 200);
    let got = download.map_or(&[][..], |download| &download.body);
    let complete = download.is_some_and(|download| download.ending == Ending::Complete);
    if complete {
        is_pattern(body.seed, body.size, got).unwrap_or_else(|why| panic!("{printed}: {why}"));
        assert_eq!((state, moved), ("FINISHED", body.size as u64), "{printed}");
        assert!(matches!(upload_status, Some(200) | None), "{printed}");
        return Verdict::Complete;
    }
    let start = is_pattern(body.seed, got.len(), got);
    start.unwrap_or_else(|why| panic!("{printed}: {why}"));
    assert!((got.len() as u64..=body.size as u64).contains(&moved), "{printed}: moved {moved}");
    let (upload_errors, download_errors): (&[u16], &[u16]) = match state {
        "SRC_DISCONNECTED" | "SRC_ERROR" => (&[400, 408], &[200, 502, 404]),
        "DST_DISCONNECTED" | "DST_ERROR" => (&[502, 404], &[200]),
        // A side that was lost before the first byte has left; the other one waited until its
        // timeout. On a busy machine a side can also come after it.
        "TIMEOUT_NO_SRC" => (&[400, 404], &[504]),
        "TIMEOUT_NO_DST" => (&[504], &[404]),
        "TIMEOUT_NO_SRC_NO_DST" => (&[404], &[404]),
        other => panic!("{printed}: {other} is not a permitted end of a failed transfer"),
    };
    // A connection is refused with 503, before its request is read, if there is no descriptor.
    let permitted = |status: Option<u16>, errors: &[u16]| {
        status.is_none_or(|status| status == 503 || errors.contains(&status))
    };
    assert!(permitted(upload_status, upload_errors), "{printed}");
    assert!(permitted(download_status, download_errors), "{printed}");
    Verdict::Broken
}

/// Transfers of every kind complete now, or as soon as the faults are used up.
pub(crate) fn assert_recovered(relay: &Relay) {
    for (body, seed) in BODIES.into_iter().zip(100..) {
        let fresh = Body { seed, ..body };
        eventually(&format!("{fresh:?} arrives"), || {
            (attempt(relay, fresh) == Verdict::Complete).then_some(())
        });
    }
    relay.await_turn();
}
