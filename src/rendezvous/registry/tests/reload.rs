//! Limits that change while streams are held.

use super::*;

#[test]
fn a_shorter_retention_applies_to_every_ended_stream() {
    let (mut registry, now) = begin();
    let ids = [1, 2].map(Uuid::from_u128);
    for id in ids {
        registry.create(id, None, creator(1), now).unwrap();
    }
    assert!(registry.delete(ids[0], report(1), now).is_some());
    let retention = Duration::from_secs(2);
    registry.set_limits(Limits { retention, ..registry.limits }, now);
    assert!(registry.delete(ids[1], report(1), now).is_some());
    assert_eq!(registry.next_deadline(), Some(now.monotonic + retention));
    let late = Now { monotonic: now.monotonic + retention, ..now };
    assert_eq!(expire(&mut registry, late), None);
    assert_eq!(registry.len(), 0, "the second does not wait for the retention of the first");
}

#[test]
fn a_longer_retention_applies_to_later_ends() {
    let (mut registry, now) = begin();
    let ids = [1, 2].map(Uuid::from_u128);
    for id in ids {
        registry.create(id, None, creator(1), now).unwrap();
        assert!(registry.delete(id, report(1), now).is_some());
        registry.set_limits(Limits { retention: Duration::from_hours(2), ..registry.limits }, now);
    }
    assert_eq!(expire(&mut registry, later(now)), None);
    assert_eq!((registry.get(ids[0]).is_some(), registry.get(ids[1]).is_some()), (false, true));
}
