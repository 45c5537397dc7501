//! The relay's loop as far as it decides which client waits for which: it takes in events, then
//! gives each task in the run queue its share; and clients that send `GET /ping` at random points.

use super::super::choices::Choices;
use super::Flooder;
use super::clock::Clock;
use crate::http::head::{FieldSlots, HeadLimits, parse};
use crate::relay::{ConnId, RunQueue, Task};
use std::time::Duration;

/// Turns of one run: a ping waits for two at most.
const TURNS: usize = 16;

/// Clients that send `GET /ping`, one request at a time each.
const PINGERS: usize = 8;

/// Longest pause before the first ping.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(1);

/// A ping as curl sends it, and about as many bytes as its answer has.
const PING: &[u8] =
    b"GET /ping HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.14.1\r\n\r\n";

/// The relay's limits on heads by default.
const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };

/// All clients, the run queue, and virtual time.
#[derive(Default)]
pub(super) struct Turns {
    clock: Clock,
    queue: RunQueue,
    flooders: Vec<Box<dyn Flooder>>,
    /// Whether each of them is in the run queue.
    queued: Vec<bool>,
    /// When each ping is sent, and whether it is in the run queue.
    pings: Vec<(Duration, bool)>,
    latencies: Vec<Duration>,
}

impl Turns {
    /// Adds this many clients that flood.
    pub(super) fn add<F: Flooder + 'static>(&mut self, clients: usize, mut new: impl FnMut() -> F) {
        self.flooders.extend((0..clients).map(|_| -> Box<dyn Flooder> { Box::new(new()) }));
        self.queued.resize(self.flooders.len(), false);
    }

    /// Runs some turns; returns the latencies of the pings.
    pub(super) fn run(mut self, choices: &mut Choices<'_>) -> Vec<Duration> {
        self.pings = (0..PINGERS).map(|_| (pause(FIRST_PAUSE_MAX, choices), false)).collect();
        let mut before = Vec::new();
        for turn in 0..TURNS {
            if turn == TURNS / 2 {
                before = self.flooders.iter().map(|flooder| flooder.progress()).collect();
            }
            self.turn(choices);
        }
        for (flooder, before) in self.flooders.iter().zip(before) {
            assert!(flooder.progress() > before, "a client of the flood starves");
        }
        self.latencies
    }

    fn turn(&mut self, choices: &mut Choices<'_>) {
        self.clock.begin_turn();
        self.notice(choices);
        self.queue.begin_turn();
        while let Some(task) = self.queue.pop() {
            match task {
                Task::Conn(id) => self.advance(id.index as usize, choices),
                Task::Transfer(id) => unreachable!("{id:?} was never queued"),
            }
        }
    }

    /// Takes in the events: all clients of the flood have one, in any order between the pings.
    fn notice(&mut self, choices: &mut Choices<'_>) {
        let now = self.clock.now();
        let count = self.flooders.len();
        let first = choices.below(count + 1);
        for place in (first..count).chain(0..first).chain(count..count + PINGERS) {
            let queued = match place.checked_sub(count) {
                None => &mut self.queued[place],
                Some(pinger) if self.pings[pinger].0 <= now => &mut self.pings[pinger].1,
                Some(_) => continue,
            };
            if !std::mem::replace(queued, true) {
                self.clock.event();
                self.queue.push(task(place));
            }
        }
    }

    fn advance(&mut self, place: usize, choices: &mut Choices<'_>) {
        let share = self.queue.share();
        let Some(flooder) = self.flooders.get_mut(place) else {
            return self.answer(place - self.flooders.len(), choices);
        };
        let goes_on = flooder.turn(share, &mut self.clock, choices);
        let (held, most) = (flooder.held_bytes(), flooder.held_max());
        assert!(held <= most, "{held} bytes are held, of at most {most}");
        self.queued[place] = goes_on;
        if goes_on {
            self.queue.push_spent(task(place));
        }
    }

    fn answer(&mut self, pinger: usize, choices: &mut Choices<'_>) {
        let mut slots = FieldSlots::new();
        let head = parse(PING, &mut slots, &LIMITS).expect("a valid head");
        assert!(head.is_some(), "a complete head");
        self.clock.request();
        let now = self.clock.now();
        self.latencies.push(now.saturating_sub(self.pings[pinger].0));
        // In this turn, the next or the one after that.
        self.pings[pinger] = (now + pause(2 * self.clock.since_begin(), choices), false);
    }
}

fn task(place: usize) -> Task {
    let index = u32::try_from(place).expect("a few thousand clients");
    Task::Conn(ConnId { index, generation: 1 })
}

fn pause(longest: Duration, choices: &mut Choices<'_>) -> Duration {
    let micros = usize::try_from(longest.as_micros()).expect("a turn is short");
    Duration::from_micros(choices.below(micros + 1) as u64)
}
