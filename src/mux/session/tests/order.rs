//! Which exchange an event belongs to, and which events are suppressed.

use super::*;

#[test]
fn a_response_without_an_id_matches_the_request_sent_first() {
    let mut ends = open(Dialect::Text);
    let upload = head("POST /up HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
    let collected = ends.accepted.request(&upload, false).unwrap();
    let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 2");
    let said = ends.accepted.request(&get, true).unwrap();
    ends.events();
    ends.dialled.codec.text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nget");
    let (_, here) = ends.events();
    assert!(matches!(here[0], Event::Response { number, .. } if number == said), "{here:?}");
    ends.accepted.send(collected, b"body", true);
    ends.events();
    ends.dialled.codec.text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let (_, here) = ends.events();
    assert!(matches!(here[0], Event::Response { number, .. } if number == collected), "{here:?}");
    assert_eq!(ends.accepted.exchanges(), 0);
}

#[test]
fn a_response_to_an_unsent_request_is_dropped() {
    let mut ends = open(Dialect::Text);
    let upload = head("POST /up HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
    ends.accepted.request(&upload, false).unwrap();
    ends.dialled.codec.text("HTTP/1.1 200 OK\r\nX-Correlation-Id: 1\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(ends.events(), (vec![], vec![]));
}

#[test]
fn a_head_and_a_get_are_answered_with_the_same_head() {
    let mut ends = open(Dialect::Text);
    let ask = |ends: &mut Ends, method: &str, id| {
        let request = format!("{method} / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: {id}");
        ends.accepted.request(&head(&request), true).unwrap()
    };
    let (headed, got) = (ask(&mut ends, "HEAD", 1), ask(&mut ends, "GET", 2));
    ends.events();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    ends.dialled.codec.text(answer);
    ends.dialled.codec.text(&format!("{answer}ok"));
    let (_, here) = ends.events();
    assert!(
        matches!(here[..], [
            Event::Response { number: first, over: true, .. },
            Event::Sent(sent),
            Event::Response { number: second, over: false, .. },
            Event::Body { over: true, .. },
        ] if first == headed && sent == got && second == got),
        "{here:?}"
    );
    assert_eq!(ends.accepted.exchanges(), 0);
}

#[test]
fn a_locally_cancelled_exchange_has_no_further_events() {
    for dialect in [Dialect::V1, Dialect::Text] {
        let mut ends = open(dialect);
        let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
        let number = ends.accepted.request(&get, true).unwrap();
        let (events, _) = ends.events();
        let Event::Request { number: theirs, .. } = events[0] else { panic!("{events:?}") };
        ends.dialled.respond(theirs, &head("HTTP/1.1 200 OK"), false);
        ends.dialled.send(theirs, b"some", false);
        ends.carry();
        ends.accepted.cancel(number, CancelReason::Gone);
        assert_eq!(drain(&mut ends.accepted), [], "{dialect:?}: what came before");
        ends.dialled.send(theirs, b"more", true);
        assert_eq!(ends.events().1, [], "{dialect:?}: what comes later");
        assert_eq!(ends.accepted.exchanges(), 0, "{dialect:?}");
    }
}

#[test]
fn a_started_response_is_not_completed_by_another_one() {
    for dialect in [Dialect::V1, Dialect::Text] {
        let mut ends = open(dialect);
        let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
        ends.accepted.request(&get, true).unwrap();
        let (events, _) = ends.events();
        let Event::Request { number, .. } = events[0] else { panic!("{events:?}") };
        ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
        ends.dialled.send(number, b"a part", false);
        ends.dialled.respond_whole(number, &head("HTTP/1.1 500 No\r\nContent-Length: 2"), b"no");
        let (_, here) = ends.events();
        assert_eq!(body(&here), (b"a part".to_vec(), false), "{dialect:?}");
    }
}

#[test]
fn no_body_is_sent_before_its_head() {
    let mut ends = open(Dialect::V1);
    let number = ends.accepted.request(&head("GET / HTTP/1.1\r\nHost: h"), true).unwrap();
    ends.events();
    assert_eq!(ends.dialled.room(number), 0);
    ends.dialled.send(number, b"early", true);
    assert_eq!(ends.events(), (vec![], vec![]));
}

#[test]
fn a_response_with_an_invalid_first_character_becomes_a_502() {
    let mut ends = open(Dialect::Text);
    let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
    let number = ends.accepted.request(&get, true).unwrap();
    ends.events();
    ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
    for part in [&b"\xe2"[..], b"("] {
        ends.dialled.send(number, part, false);
    }
    let (_, here) = ends.events();
    let Event::Response { head, over: true, .. } = &here[0] else { panic!("{here:?}") };
    assert!(head.starts_with(b"HTTP/1.1 502 ") && ends.dialled.is_open());
}
