//! Sides that leave before a byte was sent, and deadlines that expire in a later turn.

use super::*;
use crate::rendezvous::bottleneck::{Limit, SocketFigures};

const SIDES: [Side; 2] = [Side::Source, Side::Destination];

/// Creates a stream that these sides have joined, in this order; their clients are 1 and 2.
fn joined(sides: &[Side]) -> (Registry, StreamKey, Uuid, Now) {
    let (mut registry, now) = begin();
    let id = Uuid::from_u128(1);
    let key = registry.create(id, None, creator(1), now).unwrap();
    for (side, number) in sides.iter().zip(1..) {
        let _ = registry.connect(id, *side, Client(number), now);
    }
    (registry, key, id, now)
}

fn after(now: Now, ms: u64) -> Now {
    Now { monotonic: now.monotonic + Duration::from_millis(ms), ..now }
}

#[test]
fn a_lone_side_that_disconnects_leaves_the_stream_unchanged() {
    for side in SIDES {
        let (mut registry, key, id, now) = joined(&[side]);
        let deadline = registry.stream(key).deadline();
        registry.watch(id, true);
        let _ = registry.take_changes();
        assert_eq!(
            registry.leave(key, side.other(), now),
            LeaveOutcome::Absent,
            "the other never came"
        );
        assert!(!registry.has_changes());
        for round in 0..100 {
            assert_eq!(registry.leave(key, side, after(now, round)), LeaveOutcome::Alone);
            assert_eq!(registry.take_changes(), [id], "an event is due");
            let stream = registry.stream(key);
            assert_eq!((stream.state(), stream.deadline()), (StreamState::Created, deadline));
            assert_eq!(stream.clients(), [None, None]);
            assert_eq!(registry.tally().held, held(&registry));
            let again = registry.connect(id, side, Client(100 + round), after(now, round));
            assert_eq!(again, Connected::Waits(key));
            let _ = registry.take_changes();
        }
        assert_eq!(registry.next_deadline(), Some(deadline), "measured from creation");
        assert_eq!(registry.leave(key, side, now), LeaveOutcome::Alone);
        assert_eq!(registry.report(id, report(1), now), Registered::Kept, "for the next one");
    }
}

#[test]
fn a_disconnect_of_one_side_makes_the_other_wait_again() {
    for (first, leaves) in SIDES.into_iter().flat_map(|f| SIDES.map(|l| (f, l))) {
        let name = format!("{first:?} first, {leaves:?} leaves");
        let (mut registry, key, id, now) = joined(&[first, first.other()]);
        let deadline = registry.stream(key).deadline();
        let stays = if leaves == first { Client(2) } else { Client(1) };
        assert_eq!(
            registry.leave(key, leaves, after(now, 5)),
            LeaveOutcome::Waits(stays),
            "{name}"
        );
        let stream = registry.stream(key);
        assert_eq!((stream.waiting(), stream.deadline()), (Some(stays), deadline), "{name}");
        assert_eq!(registry.tally().held, held(&registry), "{name}");
        let taken = registry.connect(id, leaves.other(), Client(3), now);
        assert_eq!(taken, Connected::Occupied, "{name}");
        let paired = Connected::Paired { stream: key, other: stays };
        assert_eq!(registry.connect(id, leaves, Client(3), after(now, 6)), paired, "{name}");
        assert_eq!(registry.leave(key, leaves, now), LeaveOutcome::Waits(stays), "{name}");
        assert_eq!(registry.report(id, report(1), now), Registered::Delivered(stays), "{name}");
        assert_eq!(
            registry.leave(key, leaves.other(), now),
            LeaveOutcome::Absent,
            "{name}: it is over"
        );
    }
}

#[test]
fn a_wait_is_measured_from_the_remaining_side() {
    let (mut registry, key, id, now) = joined(&[]);
    registry.keep_records();
    let _ = registry.connect(id, Side::Destination, Client(1), after(now, 10));
    let _ = registry.connect(id, Side::Source, Client(2), after(now, 30));
    assert_eq!(registry.stream(key).waited(after(now, 30).monotonic), Duration::from_millis(20));
    let _ = registry.leave(key, Side::Destination, after(now, 40));
    let _ = registry.connect(id, Side::Destination, Client(3), after(now, 90));
    assert_eq!(registry.stream(key).waited(after(now, 95).monotonic), Duration::from_millis(60));
    registry.end(key, Ending::Finished(None), after(now, 100));
    let record = registry.take_record().unwrap();
    assert_eq!(record.waited, Some(Duration::from_millis(60)));
    assert_eq!(record.transferred_in, Some(Duration::from_millis(10)));
    assert_eq!(record.clients, [Some(Client(2)), Some(Client(3))]);
    assert_eq!(registry.take_record(), None, "leaving is no end");
}

#[test]
fn a_side_left_alone_after_the_ttl_times_out_in_the_next_turn() {
    for leaves in SIDES {
        let (mut registry, key, id, now) = joined(&SIDES);
        let late = later(now);
        let stays = if leaves == Side::Source { Client(2) } else { Client(1) };
        assert_eq!(registry.leave(key, leaves, late), LeaveOutcome::Waits(stays));
        assert_eq!(registry.expire(late, &mut 9), None, "not in this turn");
        assert_eq!(registry.next_deadline(), Some(late.monotonic));
        assert_eq!(expire(&mut registry, late), Some(stays));
        let state = registry.get(id).map(Stream::state);
        assert_eq!(state, Some(Ending::TimedOut(Some(leaves)).state()));
    }
}

#[test]
fn the_bottleneck_of_an_abandoned_transfer_is_discarded() {
    let (mut registry, key, _, now) = joined(&SIDES);
    let none = Duration::ZERO;
    let bottleneck = Bottleneck {
        limit: Limit::Source,
        window: none,
        source_waited: none,
        destination_waited: none,
        rate_waited: none,
        source: SocketFigures::default(),
        destination: SocketFigures::default(),
    };
    registry.set_bottleneck(key, Box::new(bottleneck));
    assert!(registry.stream(key).bottleneck().is_some());
    let _ = registry.leave(key, Side::Destination, now);
    assert!(registry.stream(key).bottleneck().is_none());
}

#[test]
fn a_deadline_set_in_a_turn_expires_in_a_later_one() {
    let (mut registry, now) = begin();
    (registry.limits.ttl, registry.limits.retention) = (Duration::ZERO, Duration::ZERO);
    let id = Uuid::from_u128;
    registry.create(id(1), None, creator(1), now).unwrap();
    let past = registry.create(id(2), None, creator(2), now).unwrap();
    registry.wait_until(past, now.monotonic.checked_sub(Duration::from_secs(1)).unwrap(), now);
    let created =
        Now { monotonic: now.monotonic.checked_sub(Duration::from_secs(9)).unwrap(), ..now };
    let adopted = AdoptedStream {
        id: id(3),
        headers: None,
        creator: None,
        created,
        deadline: created.monotonic,
    };
    registry.adopt(adopted, now).unwrap();
    assert!(registry.delete(id(1), report(1), now).is_some());

    let mut budget = 9;
    assert_eq!(registry.expire(now, &mut budget), None);
    assert_eq!((registry.active(), registry.len(), budget), (2, 3, 9), "nothing in this turn");
    let next = after(now, 1);
    assert_eq!(registry.expire(next, &mut budget), None);
    assert_eq!((registry.active(), registry.len(), budget), (0, 2, 6), "what ends stays a turn");
    assert_eq!(expire(&mut registry, next), None);
    assert!(registry.is_empty());
}

#[test]
fn a_turn_ends_a_bounded_number_of_streams() {
    let (mut registry, now) = begin();
    for number in 0..10 {
        let id = Uuid::from_u128(number);
        registry.create(id, None, creator(number), now).unwrap();
        if number % 2 == 0 {
            registry.connect(id, Side::Source, Client(u64::try_from(number).unwrap()), now);
        }
    }
    let now = later(now);
    let mut answered = Vec::new();
    for left in [7, 4, 1, 0] {
        let mut budget = 3;
        while let Some(client) = registry.expire(now, &mut budget) {
            answered.push(client);
        }
        assert_eq!(registry.active(), left);
        assert!(registry.next_deadline().is_some_and(|at| left == 0 || at < now.monotonic));
    }
    assert_eq!(answered, [0, 2, 4, 6, 8].map(Client));
}
