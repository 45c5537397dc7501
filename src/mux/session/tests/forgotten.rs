//! Responses that arrive after their requests were forgotten.

use super::*;

#[test]
fn a_late_response_without_an_id_is_not_taken_for_that_of_another_request() {
    let mut ends = open(Dialect::Text);
    let asked = head("GET / HTTP/1.1\r\nHost: h");
    // One more than the limit.
    for _ in 0..257 {
        let number = ends.accepted.request(&asked, true).unwrap();
        ends.accepted.cancel(number, CancelReason::Late);
    }
    ends.accepted.request(&asked, true).unwrap();
    ends.events();
    for _ in 0..257 {
        ends.dialled.codec.text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    }
    let (_, events) = ends.events();
    assert!(matches!(&events[..], [Event::Closed(Closed::Broken(_))]), "{events:?}");
}

#[test]
fn late_responses_with_ids_disturb_nobody() {
    let mut ends = open(Dialect::Text);
    let asked = |id: usize| head(&format!("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: {id}"));
    let answer = |id: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Correlation-Id: {id}\r\n\r\n{id:03}")
    };
    for id in 0..257 {
        let number = ends.accepted.request(&asked(id), true).unwrap();
        ends.accepted.cancel(number, CancelReason::Late);
    }
    let number = ends.accepted.request(&asked(257), true).unwrap();
    ends.events();
    for id in 0..=257 {
        ends.dialled.codec.text(&answer(id));
    }
    let (_, events) = ends.events();
    assert_eq!(body(&events), (b"257".to_vec(), true));
    assert!(events.iter().all(|event| event.number() == Some(number)), "{events:?}");
}
