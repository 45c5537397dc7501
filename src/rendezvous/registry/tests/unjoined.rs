//! Streams that no side has joined: limited per address, and the oldest are removed first.

use super::*;

fn limited(streams: usize, unjoined_per_address: usize) -> (Registry, Now) {
    let limits = Limits {
        streams,
        streams_per_address: 0,
        unjoined_per_address,
        ttl: Duration::from_mins(1),
        retention: Duration::from_mins(1),
    };
    (Registry::new(limits), begin().1)
}

fn after(now: Now, seconds: u64) -> Now {
    Now { monotonic: now.monotonic + Duration::from_secs(seconds), ..now }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[test]
fn the_unjoined_streams_of_an_address_are_bounded_and_joined_ones_do_not_count() {
    let (mut registry, now) = limited(100, 2);
    let create = |registry: &mut Registry, number, address| {
        registry.create(id(number), None, creator(address), now)
    };
    let first = create(&mut registry, 1, 1).unwrap();
    create(&mut registry, 2, 1).unwrap();
    assert_eq!(create(&mut registry, 3, 1), Err(CreateError::AddressUnjoined));
    assert!(create(&mut registry, 4, 2).is_ok(), "others are not concerned");

    let has_room = |registry: &mut Registry, number| {
        let made = create(registry, number, 1).is_ok();
        assert!(!made || registry.delete(id(number), report(0), now).is_some());
        made
    };
    assert_eq!(registry.connect(id(1), Side::Source, Client(1), now), Connected::Waits(first));
    assert!(has_room(&mut registry, 10), "joined");
    assert_eq!(registry.leave(first, Side::Source, now), LeaveOutcome::Alone);
    assert!(!has_room(&mut registry, 11), "left");
    assert_eq!(registry.report(id(1), report(5), now), Registered::Kept);
    assert!(!has_room(&mut registry, 12), "reported on");
    assert!(registry.delete(id(1), report(1), now).is_some());
    assert!(has_room(&mut registry, 13), "over");
    assert_eq!(registry.unjoined(), 2);
    while expire(&mut registry, later(now)).is_some() {}
    assert_eq!(registry.unjoined(), 0);
    assert_eq!(registry.unjoined.share(creator(1)).streams, 0);
}

#[test]
fn an_adopted_stream_counts_but_is_never_refused_for_its_address() {
    let (mut registry, now) = limited(100, 1);
    let adopted = |number| AdoptedStream {
        id: id(number),
        headers: None,
        creator: Some(creator(1)),
        created: now,
        deadline: after(now, 60).monotonic,
    };
    for number in 1..4 {
        assert!(registry.adopt(adopted(number), now).is_ok());
    }
    let create =
        |registry: &mut Registry, number| registry.create(id(number), None, creator(1), now);
    assert_eq!(create(&mut registry, 4), Err(CreateError::AddressUnjoined));
    let given = registry.give_away_waiting();
    assert_eq!((given.len(), registry.unjoined()), (3, 0));
    assert!(create(&mut registry, 4).is_ok(), "what was given away counts no more");
}

#[test]
fn heavy_unjoined_streams_do_not_fill_the_registry() {
    let (mut registry, now) = limited(100, 50);
    let headers = |parts: usize| {
        let text = Value::from("x".repeat(WEIGHT_MAX / 10 / parts - 1000));
        let download = Map::from_iter([("A".to_owned(), text)]);
        Some(Box::new(Headers { download, ..Headers::default() }))
    };
    let create = |registry: &mut Registry, number, address, headers| {
        registry.create(id(number), headers, creator(address), now)
    };
    create(&mut registry, 1, 1, headers(2)).unwrap();
    create(&mut registry, 2, 1, headers(2)).unwrap();
    assert_eq!(create(&mut registry, 3, 1, headers(2)), Err(CreateError::AddressUnjoined));
    assert_eq!(registry.report(id(1), report(9000), now), Registered::Full, "a report weighs, too");
    assert!(create(&mut registry, 3, 1, None).is_ok(), "what weighs nothing has room");
    assert!(create(&mut registry, 4, 2, headers(2)).is_ok(), "others are not concerned");
    let _ = registry.connect(id(1), Side::Source, Client(1), now);
    assert!(create(&mut registry, 5, 1, headers(2)).is_ok(), "a joined one counts no more");
    registry.limits.unjoined_per_address = 0;
    assert!(create(&mut registry, 6, 1, headers(1)).is_ok(), "switched off");
}

#[test]
fn the_oldest_stream_beyond_the_default_ttl_is_evicted_for_a_new_one() {
    let (mut registry, now) = limited(3, 0);
    registry.keep_records();
    let hour = after(now, 3600).monotonic;
    for (number, seconds) in [(1, 0), (2, 1), (3, 2)] {
        let at = after(now, seconds);
        let key = registry.create(id(number), None, creator(1), at).unwrap();
        registry.wait_until(key, hour, at);
    }
    registry.connect(id(1), Side::Source, Client(1), now);
    registry.watch(id(2), true);
    let create = |registry: &mut Registry, number, seconds| {
        registry.create(id(number), None, creator(2), after(now, seconds))
    };
    assert_eq!(
        create(&mut registry, 4, 61),
        Err(CreateError::Registry),
        "not yet: 60 s are its own"
    );
    assert!(create(&mut registry, 4, 62).is_ok());
    assert!(registry.get(id(1)).is_some(), "a joined one never gives way");
    assert!(registry.get(id(2)).is_none(), "the oldest of the others did");
    let record = registry.take_record().unwrap();
    assert_eq!((record.id, record.state), (id(2), StreamState::TimeoutNoSrcNoDst));
    assert_eq!(registry.take_changes(), [id(2)], "its followers are told");
    assert_eq!(registry.watched(id(2)).map(Stream::state), Some(StreamState::TimeoutNoSrcNoDst));
    assert_eq!(registry.tally().ended[StreamState::TimeoutNoSrcNoDst as usize], 1);

    assert!(create(&mut registry, 5, 63).is_ok(), "then the next one");
    assert_eq!(
        create(&mut registry, 6, 63),
        Err(CreateError::Registry),
        "the new ones have their time"
    );
    assert!(registry.delete(id(4), report(1), after(now, 64)).is_some());
    assert!(create(&mut registry, 6, 64).is_ok(), "an ended one gives way first");
    assert_eq!(registry.tally().held, held(&registry));
}

#[test]
fn a_refused_address_evicts_no_stream() {
    let (mut registry, now) = limited(2, 1);
    let hour = after(now, 3600).monotonic;
    for number in 1..3 {
        let key = registry.create(id(number), None, creator(number), now).unwrap();
        registry.wait_until(key, hour, now);
    }
    let late = after(now, 100);
    assert_eq!(registry.create(id(3), None, creator(1), late), Err(CreateError::AddressUnjoined));
    assert_eq!(registry.active(), 2);
    assert!(registry.create(id(3), None, creator(3), late).is_ok());
}

#[test]
fn one_request_removes_a_bounded_number_of_streams() {
    let (mut registry, now) = limited(5000, 0);
    for number in 0..5000 {
        let key = registry.create(id(number), None, creator(1), now).unwrap();
        registry.end(key, Ending::Finished(None), now);
    }
    registry.limits.streams = 10;
    assert_eq!(registry.create(id(9999), None, creator(1), now), Err(CreateError::Registry));
    assert_eq!(registry.len(), 4000);
    for _ in 0..3 {
        assert_eq!(registry.create(id(9999), None, creator(1), now), Err(CreateError::Registry));
    }
    assert!(registry.create(id(9999), None, creator(1), now).is_ok());
    assert_eq!(registry.len(), 10);
}

#[test]
fn streams_that_give_way_at_once_are_noticed() {
    let (mut registry, now) = begin();
    registry.limits.streams = 2;
    let url = Some("https://hooks.example/".into());
    let headers = Headers { notify_url: url, ..Headers::default() };
    let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
    for id in [first, second] {
        registry.create(id, Some(Box::new(headers.clone())), creator(1), now).unwrap();
        // A subscriber, too, reads how it ended.
        registry.watch(id, id == second);
    }
    let late = later(now);
    registry.limits.streams = 1;
    let key = registry.by_id[&first];
    assert!(registry.take_notice(Stream::id).is_none(), "none has ended");
    registry.create(third, None, creator(3), late).unwrap();
    assert!(!registry.streams.contains(key as usize) || registry.get(first).is_none());
    let read = |stream: &Stream| (stream.id(), stream.is_active());
    assert_eq!(registry.take_notice(read), Some((first, false)));
    assert_eq!(registry.take_notice(read), Some((second, false)));
    assert_eq!(registry.take_notice(read), None);
    assert!(registry.watched(first).is_none() && registry.watched(second).is_some());
    registry.forget_departed();
    assert!(registry.watched(second).is_none());
}

#[test]
fn the_oldest_overdue_stream_gives_way_after_a_hand_over_too() {
    let (mut registry, now) = begin();
    registry.limits.streams = 2;
    let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
    let key = registry.create(first, None, creator(1), now).unwrap();
    let late = later(now);
    registry.wait_until(key, later(late).monotonic, now);
    registry.create(second, None, creator(2), late).unwrap();
    let limits = registry.limits;
    let given = registry.give_away_waiting();
    let mut successor = Registry::new(limits);
    for ReleasedStream { stream, creator } in given {
        let created = Now { monotonic: stream.created(), ..late };
        let (id, deadline) = (stream.id(), stream.deadline());
        let adopted = AdoptedStream { id, headers: None, creator, created, deadline };
        assert!(successor.adopt(adopted, late).is_ok());
    }
    assert!(successor.create(third, None, creator(3), late).is_ok(), "the first is overdue");
    let held: Vec<_> = successor.from_sequence(0).map(Stream::id).collect();
    assert_eq!(held, [second, third], "the first gave way, though its deadline is the last");
}
