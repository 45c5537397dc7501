//! Which exchange an event belongs to, and which events are suppressed.

use super::*;

#[test]
fn an_answer_without_an_id_is_for_the_request_that_was_said_first() {
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
fn an_answer_to_a_request_that_was_not_said_is_nobodys() {
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
fn nothing_is_told_of_an_exchange_that_was_cancelled_here() {
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
fn an_answer_that_has_begun_is_not_ended_by_another_one() {
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
fn no_body_goes_before_its_head() {
    let mut ends = open(Dialect::V1);
    let number = ends.accepted.request(&head("GET / HTTP/1.1\r\nHost: h"), true).unwrap();
    ends.events();
    assert_eq!(ends.dialled.room(number), 0);
    ends.dialled.send(number, b"early", true);
    assert_eq!(ends.events(), (vec![], vec![]));
}

#[test]
fn a_response_whose_first_character_is_none_can_still_be_replaced() {
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
