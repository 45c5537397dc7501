//! The streams of a window, for the operators' page: the newest before a position, without visiting
//! all of them.

use super::role::StreamRole;
use crate::api::watch::Window;
use crate::rendezvous::{Registry, Stream};
use slab::Slab;
use uuid::Uuid;

/// A stream, with its position in the order of creation first.
type Numbered = (u64, Uuid);

/// Returns the streams of a window, the newest first, and the end of the next one, if there are more.
pub(super) fn find(
    registry: &Registry,
    roles: &Slab<StreamRole>,
    window: Window,
) -> (Vec<Uuid>, Option<u64>) {
    let end = window.before.unwrap_or(u64::MAX);
    // One more than is shown, where the next window begins.
    let most = window.rows + 1;
    let found: Vec<Numbered> = if window.active_only {
        newest_active(registry, roles, (end, most))
    } else {
        registry.before_sequence(end).take(most).map(numbered).collect()
    };
    let next = found.get(window.rows).map(|(sequence, _)| sequence + 1);
    (found.into_iter().take(window.rows).map(|(_, id)| id).collect(), next)
}

/// Returns the newest active streams before a position. Those that ended are not visited: after a
/// busy minute they are a hundred thousand. Of the others only those with a side are all visited,
/// and the number of connections is limited.
fn newest_active(
    registry: &Registry,
    roles: &Slab<StreamRole>,
    (end, most): (u64, usize),
) -> Vec<Numbered> {
    let sides = roles.iter().filter_map(|(_, role)| role.side());
    let joined = sides.map(|(stream, _)| registry.stream(stream));
    let joined = joined.filter(|stream| stream.is_active() && stream.sequence() < end);
    let unjoined = registry.unjoined_before(end).take(most);
    let mut all: Vec<_> = joined.chain(unjoined).map(numbered).collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    // Both sides of a stream have a role.
    all.dedup();
    all.truncate(most);
    all
}

fn numbered(stream: &Stream) -> Numbered {
    (stream.sequence(), stream.id())
}
