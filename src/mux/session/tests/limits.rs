//! Limits on what a peer, or the number of requests, can do to a session.

use super::*;

#[test]
fn requests_of_a_text_peer_above_the_limit_are_refused() {
    let mut ends = open(Dialect::Text);
    for id in 0..5 {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: {id}\r\n\r\n");
        ends.dialled.codec.text(&request);
    }
    ends.accepted.received(&std::mem::take(ends.dialled.output()), ends.now);
    assert_eq!(drain(&mut ends.accepted).len(), 4, "four are served at once");
    let answered = String::from_utf8_lossy(ends.accepted.output()).into_owned();
    assert!(answered.contains("HTTP/1.1 503 ") && answered.contains("X-Correlation-Id: 4"));
    assert_eq!(ends.accepted.exchanges(), 4);
}

#[test]
fn a_text_peer_that_sends_requests_without_reading_is_closed() {
    let mut ends = open(Dialect::Text);
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    ends.dialled.codec.text(request);
    let (_, asked) = ends.events();
    let Event::Request { number, .. } = asked[0] else { panic!("{asked:?}") };
    // This response is not finished, so no other one can be sent.
    ends.accepted.respond(number, &head("HTTP/1.1 200 OK"), false);
    ends.accepted.send(number, b"x", false);
    for _ in 0..7 {
        ends.dialled.codec.text(request);
    }
    ends.carry();
    assert!(ends.accepted.is_open() && ends.accepted.exchanges() == 4);
    ends.dialled.codec.text(request);
    let (_, here) = ends.events();
    assert!(matches!(here.last(), Some(Event::Closed(Closed::Broken(_)))), "{here:?}");
}

#[test]
fn a_closed_session_discards_further_input() {
    let mut ends = open(Dialect::V1);
    ends.accepted.close(close::NORMAL, "enough");
    for _ in 0..100 {
        let now = ends.now;
        ends.accepted.received(&[0x82; 1000], now);
    }
    assert_eq!(drain(&mut ends.accepted), [Event::Closed(Closed::Here)]);
    assert_eq!(ends.accepted.codec.input_bytes(), 0);
}

#[test]
fn a_session_without_request_numbers_left_ends() {
    for (dialect, last) in [(Dialect::V1, u32::MAX), (Dialect::Text, u32::MAX)] {
        let mut ends = open(dialect);
        let get = head("GET / HTTP/1.1\r\nHost: h");
        ends.dialled.next_ours = last - 2;
        assert_eq!(ends.dialled.request(&get, true), Some(last - 2));
        assert_eq!(ends.dialled.request(&get, true), None);
        assert_eq!(drain(&mut ends.dialled), [Event::Closed(Closed::Here)], "{dialect:?}");
    }
}

#[test]
fn an_oversized_head_fails_only_its_own_exchange() {
    for dialect in [Dialect::V1, Dialect::Text] {
        let mut ends = open(dialect);
        let long = "x".repeat(frame::HEAD_MAX_BYTES);
        let request = head(&format!("GET / HTTP/1.1\r\nHost: h\r\nA: {long}"));
        let number = ends.accepted.request(&request, true).unwrap();
        let (_, here) = ends.events();
        assert_eq!(here, [Event::Cancelled(number, Cancelled::TooLarge)], "{dialect:?}");

        let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
        ends.accepted.request(&get, true).unwrap();
        let (events, _) = ends.events();
        let Event::Request { number, .. } = events[0] else { panic!("{events:?}") };
        ends.dialled.respond(number, &head(&format!("HTTP/1.1 200 OK\r\nA: {long}")), true);
        let (there, here) = ends.events();
        assert_eq!(there, [Event::Cancelled(number, Cancelled::TooLarge)], "{dialect:?}");
        assert_eq!(here.len(), 1, "{dialect:?}: it is told: {here:?}");
        assert!(ends.accepted.is_open() && ends.accepted.exchanges() == 0, "{dialect:?}");
    }
}

#[test]
fn long_metadata_is_refused() {
    for dialect in [Dialect::V1, Dialect::Text] {
        let mut ends = ends(dialect);
        let metadata = Metadata(json!("x".repeat(64 << 10)));
        ends.dialled = Session::dialled(dialect, &metadata, SILENCE, ends.now);
        let (_, here) = ends.events();
        assert!(matches!(here[..], [Event::Closed(Closed::Broken(_))]), "{dialect:?}: {here:?}");
    }
}

#[test]
fn empty_parts_of_a_body_are_ignored() {
    let mut ends = open(Dialect::V1);
    let number = ends.accepted.request(&head("POST / HTTP/1.1\r\nHost: h"), false).unwrap();
    ends.events();
    for _ in 0..1000 {
        ends.accepted.codec.binary(frame::data(number, b"", false));
    }
    ends.accepted.send(number, b"", true);
    let (events, _) = ends.events();
    assert_eq!(events, [Event::Body { number, bytes: Bytes::new(), over: true }]);
}

#[test]
fn many_small_frames_are_processed_in_turns() {
    // Masked and empty: 6 bytes each.
    let frame = |first: u8| [first, 0x80, 1, 2, 3, 4];
    for (name, first, next) in
        [("pings", 0x89, 0x89), ("pongs", 0x8a, 0x8a), ("empty fragments", 0x02, 0x00)]
    {
        let mut ends = open(Dialect::V1);
        ends.accepted.in_turns_of(100);
        let mut flood = frame(first).to_vec();
        flood.extend((1..250).flat_map(|_| frame(next)));
        // The end of the message that the fragments begin: 1 byte, not a valid frame of ours.
        let last = [if first == 0x02 { 0x80 } else { 0x82 }, 0x81, 0, 0, 0, 0, 9];
        flood.extend(last);
        ends.accepted.received(&flood, ends.now);
        for turn in ["the first", "the second"] {
            assert!(ends.accepted.has_more(), "{name}: {turn}");
            assert_eq!(ends.accepted.frames(), 100, "{name}: {turn}");
            assert!(!ends.accepted.has_events(), "{name}: {turn}");
            let said = std::mem::take(ends.accepted.output());
            assert!(said.len() < 100, "{name}: {turn}: pongs are bounded: {}", said.len());
            ends.accepted.resume();
        }
        assert!(!ends.accepted.has_more(), "{name}");
        let events = drain(&mut ends.accepted);
        assert!(matches!(events[..], [Event::Closed(Closed::Broken(_))]), "{name}: {events:?}");
    }
}

#[test]
fn interim_responses_are_bounded() {
    let interim = "HTTP/1.1 103 Early Hints\r\nX-Correlation-Id: 1";
    for many in [16, 17] {
        let mut ends = open(Dialect::V1);
        let number = ends.accepted.request(&head("GET / HTTP/1.1\r\nHost: h"), true).unwrap();
        ends.events();
        for _ in 0..many {
            let head = head(interim).into();
            ends.dialled.put(&Frame::Response { number, head, end: false });
        }
        let (_, events) = ends.events();
        let expected = [Event::Cancelled(number, Cancelled::Interim)];
        assert_eq!(events, expected[..many - 16], "{many}");

        let mut ends = open(Dialect::Text);
        let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
        let number = ends.accepted.request(&get, true).unwrap();
        ends.events();
        for _ in 0..many {
            ends.dialled.codec.text(&format!("{interim}\r\n\r\n"));
        }
        let (_, events) = ends.events();
        let expected = Cancelled::Invalid("more than 16 interim responses");
        assert_eq!(events, [Event::Cancelled(number, expected)][..many - 16], "{many}");
    }
}
