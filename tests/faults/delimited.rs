//! Downloads that the end of their connection delimits (HTTP/1.0), when the kernel refuses the option
//! by which they end with a reset until they are complete.

use crate::injected::{Fault, Faulty, calls_before_listening};
use crate::support::{Ending, Framing, Wire, ask, chunks};

/// A relay, and its first stream, whose destination speaks HTTP/1.0: the end of the connection
/// delimits its download.
fn delimited_by_the_end(when: impl Fn(usize) -> String) -> (Faulty, String, Wire) {
    let when = when(calls_before_listening("setsockopt"));
    let faulty = Fault { call: "setsockopt", error: "ENOPROTOOPT", when: &when }.relay(&[]);
    let id = faulty.relay.create();
    let get = ask("GET", &format!("/stream/{id}")).http10();
    let destination = faulty.relay.waiting_with(&get, &id);
    (faulty, id, destination)
}

#[test]
fn a_download_that_could_not_be_cut_off_visibly_is_not_begun() {
    let (faulty, id, mut destination) = delimited_by_the_end(|before| format!("{}+", before + 1));
    let source = faulty.relay.waiting_source(&id, Framing::Chunked);
    assert_eq!(destination.try_response().err(), Some(Ending::Closed));
    // The source has a second chance with a destination that needs no reset.
    let relay = &faulty.relay;
    let mut pair = relay.pair_with_new_destination(id, Framing::Chunked, source);
    pair.pass_first(b"abc");
    pair.complete();
}

#[test]
fn a_download_that_ends_with_a_reset_is_reported_as_failed() {
    let (faulty, id, mut destination) = delimited_by_the_end(|before| (before + 2).to_string());
    let mut source = faulty.relay.connect();
    source.ask(&Framing::Chunked.put(&id).raw_body(&chunks(b"abc", &[3])));
    assert_eq!(source.response().status(), 502);
    faulty.relay.await_state(&id, "DST_ERROR");
    assert_eq!(destination.response().ending, Ending::Reset);
}
