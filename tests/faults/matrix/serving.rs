//! Faults while the relay serves: transfers, disturbed exchanges, operators, a reload.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::scene::{FAULTS_LAST, LOOK, Outcome, Place, Scene, ended, serves, unless_ended};
use super::table::MayEnd;
use super::tracer::Tracer;
use crate::descriptors::ticks;
use crate::exchange::{Plan, Strictness, Target, Worker, mix};
use crate::injected::Fault;
use crate::support::{Ending, Relay, Response, Wire, ask, eventually, stream_of};
use crate::transfer::{BODIES, Exchanged, Verdict, assert_recovered, create, exchange};

/// Disturbed exchanges at once, besides the transfers, and the size of their bodies: strace is slow.
const DISTURBED: usize = 3;
const DISTURBED_BYTES_MAX: u64 = 300_000;

/// An upload in batches large enough for the relay to gather them.
const BATCHES: usize = 12;
const BATCH_BYTES: usize = 64 << 10;
const BATCH_PAUSE: Duration = Duration::from_millis(10);

/// The ids for which the relay reads random bytes at once.
const IDS_AT_ONCE: usize = 256;

/// More than the transfers at once can leave open for the next ones.
const IDLE_PIPES: usize = 2 * BODIES.len();

/// The part of the time for faults, in looks, in which a relay that waits for them to pass is
/// observed; and the clock ticks, of 10 ms, that it may use in it.
const OBSERVED: usize = 40;
const TICKS_MAX: u64 = 25;

pub(super) fn serve(fault: Option<Fault<'_>>, may_end: MayEnd) -> Scene {
    let place = Place::new();
    let mut relay = place.relay();
    let before = relay.descriptors();
    let ids: Vec<String> = BODIES.iter().map(|_| create(&relay)).collect();
    use_up_ids(&relay);
    let tracer = Tracer::attach(relay.process(), fault);
    let (transfers, log) = exercise(&relay, &ids, tracer, fault);
    if transfers.is_none() {
        // strace reports it a little later.
        eventually("each client is answered, or the relay ended", || relay.ended().then_some(()));
    }
    // The last fault may end it after each client was answered.
    let lives = eventually("the relay serves or ended", || {
        let ended = relay.ended();
        (ended || serves(relay.address())).then_some(!ended)
    });
    let checked = if lives {
        let transfers = transfers.expect("each client was answered");
        unless_ended(&mut relay, |relay| {
            let complete = transfers.iter().all(|one| one.verdict(relay) == Verdict::Complete);
            assert_recovered(relay);
            assert_quiet(relay);
            relay.await_descriptors(before, IDLE_PIPES);
            let printed = relay.process().stderr();
            assert!(!printed.contains("panicked"), "{printed}");
            complete
        })
    } else {
        None
    };
    let Some(complete) = checked else {
        return Scene { outcome: ended(relay.into_process(), may_end), log };
    };
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.finish().status.code(), Some(0));
    Scene { outcome: if complete { Outcome::Unharmed } else { Outcome::TransferFails }, log }
}

/// All that clients and operators do at once. Returns the transfers, unless a client failed, and the
/// log of strace.
fn exercise(
    relay: &Relay,
    ids: &[String],
    tracer: Tracer,
    fault: Option<Fault<'_>>,
) -> (Option<Vec<Exchanged>>, String) {
    thread::scope(|scope| {
        let transfers: Vec<_> = BODIES
            .into_iter()
            .zip(ids)
            .map(|(body, id)| scope.spawn(move || exchange(relay, id, body, &body.bytes())))
            .collect();
        let others = scope.spawn(|| {
            operate(relay);
            disturb(relay, fault);
        });
        relay.signal(Signal::SIGHUP);
        relay.signal(Signal::SIGUSR1);
        let mut used = Vec::new();
        for _ in 0..FAULTS_LAST {
            if others.is_finished() && transfers.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            used.push(ticks(relay.process()));
            thread::sleep(LOOK);
        }
        // Clients still wait for the fault to pass: until then the relay has little to do.
        let steady = fault.is_none_or(|fault| !is_wait(fault));
        if steady && used.len() == FAULTS_LAST as usize {
            let late = used[used.len() - 1] - used[used.len() - OBSERVED];
            assert!(late < TICKS_MAX, "it spins: {late} ticks in {OBSERVED} looks");
        }
        let log = tracer.detach();
        let served = others.join();
        let transfers: Vec<_> = transfers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (served.and_then(|()| transfers.into_iter().collect()).ok(), log)
    })
}

/// An operator's requests: each is answered completely or visibly not.
fn operate(relay: &Relay) {
    let _ = call_nobody(&mut relay.connect());
    refuse(relay);
    send_batches(relay);
    for target in ["/metrics", "/stream", "/socket", "/ready"] {
        let mut wire = Wire::connect_unix(&relay.admin_socket());
        let _ = wire.try_send(ask("GET", target).bytes());
        let _ = wire.try_response();
    }
}

/// A request that needs an id, for an agent that does not exist.
fn call_nobody(wire: &mut Wire) -> Result<Response, Ending> {
    let _ = wire.try_send(ask("GET", "/api/unknown/").bytes());
    wire.try_response()
}

/// The relay reads random bytes for several ids at once: the next call needs more.
fn use_up_ids(relay: &Relay) {
    let mut wire = relay.connect();
    for _ in 0..IDS_AT_ONCE {
        assert_eq!(call_nobody(&mut wire).expect("an answer").status(), 404);
    }
}

/// A request that is refused while more of it follows: the relay discards the rest.
fn refuse(relay: &Relay) {
    let mut wire = relay.connect();
    let _ = wire.try_send("PUT /\r\n\r\n");
    let _ = wire.try_response();
}

/// An upload that the relay reads in batches, and acknowledged by the receiver's kernel.
fn send_batches(relay: &Relay) {
    let mut wire = relay.connect();
    let _ = wire.try_send(ask("POST", "/stream").body(r#"{"receipt":"acked"}"#).bytes());
    let Ok(created) = wire.try_response() else { return };
    if created.status() != 201 || created.ending != Ending::Complete {
        return;
    }
    let id = stream_of(&created);
    let (mut source, mut destination) = (relay.connect(), relay.connect());
    let _ = destination.try_send(ask("GET", &format!("/stream/{id}")).bytes());
    let put = ask("PUT", &format!("/stream/{id}")).length(BATCHES * BATCH_BYTES);
    thread::scope(|scope| {
        scope.spawn(|| {
            let batch = vec![0; BATCH_BYTES];
            let mut sent = source.try_send(put.bytes());
            for _ in 0..BATCHES {
                // Not so fast that the relay finds the next batch with this one.
                thread::sleep(BATCH_PAUSE);
                sent = sent.and_then(|()| source.try_send(&batch));
            }
            let _ = source.try_response();
        });
        let _ = destination.try_response();
    });
}

/// Exchanges of the soak test: clients disconnect, stall, delete, report, and read events meanwhile.
fn disturb(relay: &Relay, fault: Option<Fault<'_>>) {
    let target = Target::new(relay.address(), Strictness::Faulty);
    let words = fault.map_or(String::new(), |fault| format!("{fault:?}"));
    let seed = words.bytes().fold(0, |seed, byte| mix(seed, u64::from(byte)));
    let plans = (0..).map(|number| Plan::of(mix(seed, number)));
    let plans = plans.filter(|plan| plan.size <= DISTURBED_BYTES_MAX);
    thread::scope(|scope| {
        for plan in plans.take(DISTURBED) {
            let target = &target;
            scope.spawn(move || {
                let verdict = Worker::new(target).run(&plan);
                let (problems, details) = (verdict.problems, verdict.details);
                assert!(problems.is_empty(), "{problems:?}: {details}; planned: {plan:?}");
            });
        }
    });
}

/// Whether this fault keeps a thread from waiting, or claims that none waits where one does.
fn is_wait(fault: Fault<'_>) -> bool {
    ["epoll_wait", "futex", "clock_nanosleep", "poll"].contains(&fault.call)
        || (fault.call == "accept4" && fault.error == "EAGAIN")
}

/// With nothing to do, the relay uses no time.
fn assert_quiet(relay: &Relay) {
    eventually("the relay rests", || {
        let before = ticks(relay.process());
        thread::sleep(5 * LOOK);
        (ticks(relay.process()) == before).then_some(())
    });
}
