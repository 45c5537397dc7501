//! The text dialect: a request is sent once the response before it is complete.

use super::*;

fn get(id: usize) -> Vec<u8> {
    head(&format!("GET /{id} HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: {id}"))
}

/// The paths of the requests among the events.
fn paths(events: &[Event]) -> Vec<String> {
    let path = |head: &[u8]| String::from_utf8_lossy(head).split(' ').nth(1).map(str::to_owned);
    let heads = events.iter().filter_map(|event| {
        if let Event::Request { head, .. } = event { path(head) } else { None }
    });
    heads.collect()
}

#[test]
fn requests_are_sent_one_at_a_time_and_in_order() {
    let mut ends = open(Dialect::Text);
    let numbers = [0, 1, 2].map(|id| ends.accepted.request(&get(id), true).unwrap());
    let mut asked = paths(&ends.events().0);
    for (id, number) in numbers.into_iter().enumerate() {
        assert_eq!(
            numbers.map(|other| ends.accepted.is_queued(other)),
            [0, 1, 2].map(|at| at > id)
        );
        assert_eq!(asked, [format!("/{id}")]);
        ends.dialled.codec.text(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{id}"));
        let (events, here) = ends.events();
        assert!(matches!(here[0], Event::Response { number: of, .. } if of == number), "{here:?}");
        asked = paths(&events);
        assert_eq!(body(&here), (id.to_string().into_bytes(), true));
    }
}

#[test]
fn a_response_waits_for_no_request_that_waits() {
    let mut ends = open(Dialect::Text);
    for id in 0..2 {
        ends.accepted.request(&get(id), true).unwrap();
    }
    let number = ends.dialled.request(&get(7), true).unwrap();
    let (_, here) = ends.events();
    let theirs = here.iter().find_map(|event| {
        if let Event::Request { number, .. } = event { Some(*number) } else { None }
    });
    ends.accepted.respond(theirs.unwrap(), &head("HTTP/1.1 204 No Content"), true);
    let (events, _) = ends.events();
    let [Event::Response { number: of, over: true, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*of, number);
}

#[test]
fn an_abandoned_request_has_its_turn_until_its_response_is_complete() {
    let mut ends = open(Dialect::Text);
    let numbers = [0, 1, 2].map(|id| ends.accepted.request(&get(id), true).unwrap());
    ends.accepted.cancel(numbers[1], CancelReason::Gone);
    ends.accepted.cancel(numbers[0], CancelReason::Late);
    assert_eq!(paths(&ends.events().0), ["/0"]);
    ends.dialled.codec.text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla");
    assert_eq!(ends.events(), (vec![], vec![]));
    ends.dialled.codec.text("te");
    let (events, here) = ends.events();
    assert_eq!(here, [Event::Sent(numbers[2])]);
    assert_eq!(paths(&events), ["/2"], "the cancelled one was never sent");
}

#[test]
fn a_response_that_nothing_waits_for_ends_the_connection_if_it_does_not_end() {
    let mut ends = open(Dialect::Text);
    let number = ends.accepted.request(&get(0), true).unwrap();
    ends.accepted.request(&get(1), true).unwrap();
    ends.accepted.cancel(number, CancelReason::Late);
    ends.carry();
    let mut reset = false;
    for _ in 0..9 {
        ends.now += SILENCE / 2;
        ends.accepted.tick(ends.now);
        reset = ends.accepted.ends_with_reset();
        ends.carry();
    }
    assert!(reset && ends.accepted.output().is_empty(), "without a close frame");
    assert_eq!(drain(&mut ends.accepted), [Event::Closed(Closed::Here)]);
}
