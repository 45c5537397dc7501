//! Streams with a path.

use super::*;

fn create(registry: &mut Registry, number: u128, now: Now) -> StreamKey {
    let headers = Headers { path: Some("a/b".into()), ..Headers::default() };
    let id = Uuid::from_u128(number);
    registry.create(id, Some(Box::new(headers)), creator(number), now).unwrap()
}

fn found(registry: &Registry) -> Option<u128> {
    registry.at_path("a/b").map(|stream| stream.id().as_u128())
}

#[test]
fn a_path_belongs_to_one_stream_until_that_ends() {
    let (mut registry, now) = begin();
    for (number, name) in (1..).zip(["ended", "deleted", "reported", "timed out", "given away"]) {
        assert_eq!(found(&registry), None, "before {name}");
        let (id, key) = (Uuid::from_u128(number), create(&mut registry, number, now));
        registry.connect(id, Side::Source, Client(1), now);
        assert_eq!(found(&registry), Some(number), "{name}");
        match name {
            "ended" => registry.end(key, Ending::Finished(None), now),
            "deleted" => _ = registry.delete(id, report(1), now),
            "reported" => _ = registry.report(id, report(1), now),
            "timed out" => {
                registry.wait_until(key, now.monotonic, now);
                assert_eq!(expire(&mut registry, now), Some(Client(1)));
            }
            _ => assert_eq!(registry.give_away_waiting().len(), 1),
        }
        #[cfg(feature = "fuzzing")]
        registry.assert_consistent();
    }
    assert_eq!((found(&registry), registry.len()), (None, 4));
    let key = create(&mut registry, 9, now);
    assert_eq!(expire(&mut registry, later(now)), None, "both are removed");
    assert_eq!((found(&registry), registry.stream(key).is_active()), (None, false));
}

#[test]
fn a_stream_that_is_forgotten_does_not_take_its_path_from_a_later_one() {
    let (mut registry, now) = begin();
    let first = create(&mut registry, 1, now);
    registry.end(first, Ending::Finished(None), now);
    let second = create(&mut registry, 2, now);
    registry.wait_until(second, later(now).monotonic + Duration::from_hours(1), now);
    assert_eq!(expire(&mut registry, later(now)), None);
    assert_eq!((found(&registry), registry.len()), (Some(2), 1));
}

#[test]
fn the_length_of_a_path_counts_as_weight() {
    let (mut registry, now) = begin();
    let path = "x".repeat(WEIGHT_MAX);
    let headers = Headers { path: Some(path.into()), ..Headers::default() };
    let made = registry.create(Uuid::from_u128(1), Some(Box::new(headers)), creator(1), now);
    assert_eq!(made, Err(CreateError::Registry));
    let key = create(&mut registry, 2, now);
    assert!(registry.weight > 3);
    registry.end(key, Ending::Finished(None), now);
    expire(&mut registry, later(now));
    assert_eq!(registry.weight, 0);
}
