use super::*;
use crate::http::repr_digest::ReprDigest;
use crate::rendezvous::Headers;
use serde_json::{Map, Value};
use std::net::IpAddr;

fn report(bytes: usize) -> PeerReport {
    PeerReport { status: 400, name: "Error".into(), message: "x".repeat(bytes) }
}

fn digest() -> Option<Box<ReprDigest>> {
    ReprDigest::of_lines([&b"sha-256=:AA==:"[..]]).map(Box::new)
}

#[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
fn begin() -> (Registry, Now) {
    let limits = Limits {
        streams: 100,
        streams_per_address: 2,
        unjoined_per_address: 0,
        ttl: Duration::from_mins(1),
        retention: Duration::from_mins(1),
    };
    (Registry::new(limits), Now { monotonic: Instant::now(), wall_ms: 0 })
}

/// Expires streams in the next turn after `now` without a budget; returns one waiting client.
fn expire(registry: &mut Registry, now: Now) -> Option<Client> {
    let monotonic = now.monotonic + Duration::from_nanos(1);
    registry.expire(Now { monotonic, ..now }, &mut { usize::MAX })
}

/// Returns a distinct address for each number.
fn creator(number: u128) -> IpAddr {
    IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()])
}

fn later(now: Now) -> Now {
    Now { monotonic: now.monotonic + Duration::from_hours(1), ..now }
}

#[test]
fn the_weight_of_streams_is_released_with_them() {
    let (mut registry, now) = begin();
    let field = Map::from_iter([("A".to_owned(), Value::from("b"))]);
    let headers = Headers { download: field.clone(), upload: field, ..Headers::default() };
    for act in 0..7 {
        let id = Uuid::from_u128(act);
        let key = registry.create(id, Some(Box::new(headers.clone())), creator(act), now).unwrap();
        let _ = registry.report(id, report(10), now);
        match act {
            0 => {}
            1 => assert_eq!(registry.report(id, report(20), now), Registered::Kept),
            2 => {
                let answer = registry.connect(id, Side::Source, Client(1), now);
                assert!(matches!(answer, Connected::Reported(_)));
            }
            3 => assert!(registry.delete(id, report(5), now).is_some()),
            4 => registry.end(key, Ending::Reported(Box::new(report(7))), now),
            5 => registry.end(key, Ending::Finished(None), now),
            _ => {
                let weight = registry.weight - report(10).weight();
                registry.end(key, Ending::Finished(digest()), now);
                assert_eq!(registry.weight, weight + digest().map_or(0, |d| d.weight()));
            }
        }
    }
    assert!(registry.weight > 0);
    let now = later(now);
    assert_eq!(expire(&mut registry, now), None);
    assert_eq!(expire(&mut registry, later(now)), None);
    assert_eq!((registry.len(), registry.weight, registry.creators()), (0, 0, 0));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_waiting_stream_is_small() {
    // 100,000 streams are held at once; rare fields are behind a pointer.
    assert!(size_of::<Stream>() <= 144, "{}", size_of::<Stream>());
}

#[test]
fn a_refused_address_evicts_no_ended_streams() {
    let (mut registry, now) = begin();
    registry.limits.streams = 3;
    let create = |registry: &mut Registry, number| {
        registry.create(Uuid::from_u128(number), None, creator(number / 10), now)
    };
    let ended = create(&mut registry, 11).unwrap();
    registry.end(ended, Ending::Finished(None), now);
    for number in [12, 13] {
        assert!(create(&mut registry, number).is_ok(), "an ended stream counts no more");
    }
    assert_eq!(create(&mut registry, 14), Err(CreateError::Address));
    assert!(registry.get(Uuid::from_u128(11)).is_some(), "nothing was forgotten for it");
    assert!(create(&mut registry, 21).is_ok(), "others are not concerned");
    assert_eq!(create(&mut registry, 22), Err(CreateError::Registry));
    assert_eq!(registry.creators(), 2);
}

/// Counts the states again, to compare with the tally.
fn held(registry: &Registry) -> [usize; StreamState::ALL.len()] {
    StreamState::ALL
        .map(|state| registry.from_sequence(0).filter(|stream| stream.state() == state).count())
}

#[test]
fn a_stream_waits_for_its_ttl_and_no_longer() {
    let (mut registry, now) = begin();
    let at = |s| Now { monotonic: now.monotonic + Duration::from_secs(s), ..now };
    let id = Uuid::from_u128;
    let keys: Vec<_> =
        (0..5).map(|n| registry.create(id(n), None, creator(n), now).unwrap()).collect();
    for (key, seconds) in [(1, 10), (2, 600), (3, 600), (4, 20)] {
        registry.wait_until(keys[key], at(seconds).monotonic, now);
    }
    let _ = registry.connect(id(1), Side::Source, Client(1), at(1));
    assert_eq!(registry.report(id(2), report(1), at(1)), Registered::Kept);
    for (side, client) in [(Side::Source, 2), (Side::Destination, 3)] {
        let _ = registry.connect(id(4), side, Client(client), at(1));
    }
    registry.wait_until(keys[4], at(2).monotonic, at(1));

    assert_eq!(registry.next_deadline(), Some(at(10).monotonic), "the paired one waits no more");
    assert_eq!(expire(&mut registry, at(10)), Some(Client(1)));
    assert_eq!(expire(&mut registry, at(30)), None);
    assert_eq!(registry.get(id(0)).map(Stream::state), Some(StreamState::Created));
    assert_eq!(expire(&mut registry, at(60)), None);
    assert_eq!(registry.get(id(0)).map(Stream::state), Some(StreamState::TimeoutNoSrcNoDst));
    let reported = registry.connect(id(2), Side::Source, Client(4), at(599));
    assert!(matches!(reported, Connected::Reported(_)), "a report is kept as long");
    assert_eq!(expire(&mut registry, at(600)), None);
    assert_eq!(registry.get(id(3)).map(Stream::state), Some(StreamState::TimeoutNoSrcNoDst));
    assert_eq!(registry.get(id(4)).map(Stream::state), Some(StreamState::Streaming));
    registry.wait_until(keys[3], at(900).monotonic, at(600));
    assert_eq!(registry.next_deadline(), Some(at(659).monotonic), "what is over does not wait");
}

#[test]
fn the_tally_follows_every_operation() {
    let (mut registry, now) = begin();
    let [source, destination] = [Side::Source, Side::Destination];
    let mut acts = 0_u128;
    for first in [None, Some(source), Some(destination)] {
        for second in [None, Some(source), Some(destination)] {
            for last in 0..5 {
                acts += 1;
                let id = Uuid::from_u128(acts);
                let key = registry.create(id, None, creator(acts), now).unwrap();
                for side in first.into_iter().chain(second) {
                    registry.connect(id, side, Client(1), now);
                    assert_eq!(registry.tally().held, held(&registry));
                }
                match last {
                    0 => registry.end(key, Ending::Finished(None), now),
                    1 => registry.end(key, Ending::Disconnected(source), now),
                    2 => drop(registry.delete(id, report(1), now)),
                    3 => drop(registry.report(id, report(1), now)),
                    _ => {}
                }
                registry.connect(id, source, Client(2), now);
                assert_eq!(registry.tally().held, held(&registry));
            }
        }
    }
    let active = registry.active() as u64;
    let ended: u64 = registry.tally().ended.iter().sum();
    assert_eq!(u128::from(ended + active), acts);

    let now = later(now);
    while expire(&mut registry, now).is_some() {}
    assert_eq!(registry.tally().held, held(&registry));
    assert!(registry.tally().ended[StreamState::TimeoutNoDst as usize] > 0);
    assert_eq!(registry.tally().ended[..StreamState::ACTIVE], [0; StreamState::ACTIVE]);
}

#[test]
fn the_numbers_of_states_follow_the_order_of_their_table() {
    for (number, state) in StreamState::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, number, "{}", state.name());
    }
    assert_eq!(
        StreamState::ALL[StreamState::ACTIVE],
        StreamState::Finished,
        "the first that is over"
    );
}

#[test]
fn waiting_streams_are_handed_over_and_leave_no_state() {
    let (mut registry, now) = begin();
    let field = Map::from_iter([("A".to_owned(), Value::from("b"))]);
    let headers = Headers { download: field.clone(), upload: field, ..Headers::default() };
    for number in 0..5 {
        let id = Uuid::from_u128(number);
        registry.create(id, Some(Box::new(headers.clone())), creator(number), now).unwrap();
    }
    let _ = registry.report(Uuid::from_u128(0), report(10), now);
    registry.connect(Uuid::from_u128(1), Side::Source, Client(1), now);
    let joins = [(2, Side::Source, 12), (2, Side::Destination, 13), (3, Side::Source, 14)];
    for (number, side, client) in joins {
        registry.connect(Uuid::from_u128(number), side, Client(client), now);
    }
    let key = StreamKey(3);
    registry.end(key, Ending::Disconnected(Side::Source), now);

    assert_eq!(registry.tally().held, held(&registry));
    let given = registry.give_away_waiting();
    assert_eq!(registry.tally().held, held(&registry));
    let what = |ReleasedStream { stream: s, .. }: &ReleasedStream| {
        (s.id().as_u128(), s.waiting(), s.pending_report().is_some())
    };
    let given: Vec<_> = given.iter().map(what).collect();
    assert_eq!(given, [(0, None, true), (1, Some(Client(1)), false), (4, None, false)]);
    assert_eq!((registry.len(), registry.active()), (2, 1), "the paired and the ended one stay");
    assert!(registry.get(Uuid::from_u128(1)).is_none());

    registry.end(StreamKey(2), Ending::Finished(None), now);
    assert_eq!(expire(&mut registry, later(now)), None);
    assert_eq!((registry.len(), registry.weight), (0, 0));
}

#[test]
fn changes_of_watched_streams_are_recorded_once() {
    let (mut registry, now) = begin();
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    registry.create(one, None, creator(1), now).unwrap();
    registry.create(other, None, creator(1), now).unwrap();
    registry.connect(one, Side::Source, Client(1), now);
    assert!(!registry.has_changes(), "nobody watches");
    registry.watch(one, true);
    registry.connect(one, Side::Destination, Client(2), now);
    registry.connect(other, Side::Source, Client(3), now);
    assert!(registry.delete(one, report(1), now).is_some());
    assert_eq!(registry.take_changes(), [one]);
    assert!(registry.take_changes().is_empty());
    registry.watch(other, true);
    registry.watch(other, false);
    assert!(registry.delete(other, report(1), now).is_some());
    assert!(!registry.has_changes(), "nobody watches any more");
}

#[test]
fn a_watched_stream_is_kept_until_its_end_was_read() {
    let (mut registry, now) = begin();
    registry.limits.streams = 1;
    let id = Uuid::from_u128(1);
    registry.create(id, None, creator(1), now).unwrap();
    registry.watch(id, true);
    assert!(registry.delete(id, report(1), now).is_some());
    registry.create(Uuid::from_u128(2), None, creator(1), now).unwrap();
    assert!(registry.get(id).is_none());
    assert_eq!(registry.take_changes(), [id]);
    assert_eq!(registry.watched(id).map(Stream::state), Some(StreamState::ClientError));
    registry.forget_departed();
    assert!(registry.watched(id).is_none());
}

#[test]
fn a_record_of_each_end_is_kept_once_enabled() {
    let (mut registry, now) = begin();
    let at = |ms| Now { monotonic: now.monotonic + Duration::from_millis(ms), ..now };
    let ended = registry.create(Uuid::from_u128(1), None, creator(1), now).unwrap();
    registry.end(ended, Ending::Finished(None), now);
    registry.keep_records();
    assert_eq!(registry.take_record(), None, "nobody wanted that one");

    let id = Uuid::from_u128(2);
    let key = registry.create(id, None, creator(1), now).unwrap();
    let _ = registry.connect(id, Side::Destination, Client(7), at(5));
    let _ = registry.connect(id, Side::Source, Client(8), at(25));
    registry.transferred(key, 99);
    registry.end(key, Ending::Finished(None), at(125));
    registry.end(key, Ending::Failed(Side::Source), at(500));
    let lonely = Uuid::from_u128(3);
    registry.create(lonely, None, creator(1), at(130)).unwrap();
    assert!(registry.delete(lonely, report(0), at(140)).is_some());

    let record = registry.take_record().unwrap();
    assert_eq!(
        (record.id, record.state, record.bytes_transferred),
        (id, StreamState::Finished, 99)
    );
    assert_eq!(record.clients, [Some(Client(8)), Some(Client(7))]);
    assert_eq!(record.waited, Some(Duration::from_millis(20)));
    assert_eq!(record.transferred_in, Some(Duration::from_millis(100)));
    let record = registry.take_record().unwrap();
    assert_eq!((record.id, record.state), (lonely, StreamState::ClientError));
    assert_eq!((record.waited, record.transferred_in), (None, None));
    assert_eq!(registry.take_record(), None);
}

#[test]
fn the_total_weight_of_streams_is_bounded() {
    let (mut registry, now) = begin();
    let text = Value::from("x".repeat(WEIGHT_MAX / 3));
    let headers = || {
        let download = Map::from_iter([("A".to_owned(), text.clone())]);
        Some(Box::new(Headers { download, ..Headers::default() }))
    };
    let first = registry.create(Uuid::from_u128(1), headers(), creator(1), now).unwrap();
    registry.create(Uuid::from_u128(2), headers(), creator(2), now).unwrap();
    let third = Uuid::from_u128(3);
    assert_eq!(registry.create(third, headers(), creator(3), now), Err(CreateError::Registry));
    let heavy = report(WEIGHT_MAX / 2);
    assert_eq!(registry.report(Uuid::from_u128(2), heavy, now), Registered::Full);

    registry.end(first, Ending::Finished(None), now);
    assert!(registry.create(third, headers(), creator(3), now).is_ok(), "history gives way");
    assert!(registry.get(Uuid::from_u128(1)).is_none());
}

mod leaving;
mod paths;
mod reload;
mod unjoined;
