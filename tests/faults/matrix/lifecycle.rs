//! Faults while the relay starts, hands over to a new process, and ends.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scene::{
    FAULTS_LAST, LOOK, Outcome, Place, Scene, ended, is_debug_abort, serves, unless_ended,
};
use super::table::MayEnd;
use super::tracer::{self, Tracer};
use crate::injected::{Fault, traced};
use crate::support::{Lineage, Process, RUNTIME_DIRECTORY, Relay, ask, eventually};
use crate::transfer::{BODIES, Verdict, attempt, create};

pub(super) fn start(fault: Option<Fault<'_>>, may_end: MayEnd) -> Scene {
    let place = Place::new();
    let flags = place.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let log = place.directory.path().join("strace.log");
    let command = traced(fault.map_or("all", |fault| fault.call), fault, &log, &flags);
    let mut process = Process::start(command);
    let mut address = None;
    eventually("it listens or gives up", || {
        // A relay that gives up can have created its sockets before.
        address = listening_at(&process).filter(|address| serves(*address));
        (address.is_some() || process.ended()).then_some(())
    });
    let logged = || fs::read_to_string(&log).expect("the log of strace");
    let gave_up = |process, log| {
        // A message is always permitted here.
        let may_end = if may_end == MayEnd::Never { MayEnd::WithMessage } else { may_end };
        let outcome = ended(process, may_end);
        let outcome = if outcome == Outcome::Ends { Outcome::NoStart } else { outcome };
        Scene { outcome, log }
    };
    let Some(address) = address else {
        return gave_up(process, logged());
    };
    let log = logged();
    tracer::release(&process);
    let mut relay = Relay::at(process, address);
    let served = unless_ended(&mut relay, |relay| {
        for body in BODIES {
            assert_eq!(attempt(relay, body), Verdict::Complete, "{body:?}");
        }
    });
    if served.is_none() {
        return gave_up(relay.into_process(), log);
    }
    relay.signal(Signal::SIGTERM);
    let end = relay.finish();
    assert!(!end.stderr.contains("panicked"), "{}", end.stderr);
    let outcome = match end.status.code() {
        None if may_end == MayEnd::Aborted => Outcome::Aborts,
        code => {
            assert_eq!(code, Some(0), "{}", end.stderr);
            Outcome::Unharmed
        }
    };
    Scene { outcome, log }
}

/// The address of a relay. It may fail to print that: then the name of its admin socket has the port.
fn listening_at(process: &Process) -> Option<SocketAddr> {
    let printed = process.stdout();
    let printed =
        printed.split_once("listening on http://").and_then(|(_, rest)| rest.lines().next());
    let sockets = fs::read_dir(process.runtime()).expect("its directory").flatten();
    let mut names = sockets.filter_map(|file| file.file_name().into_string().ok());
    let port = names.find_map(|name| name.strip_suffix(".sock")?.parse::<u16>().ok());
    let address = printed.and_then(|address| address.parse().ok());
    address.or(port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))))
}

/// Processes that took over without a line in the log. They have the first one's directory in their
/// environment.
struct Strays(PathBuf);

impl Drop for Strays {
    fn drop(&mut self) {
        let place = format!("{RUNTIME_DIRECTORY}={}", self.0.display());
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = environment.split(|byte| *byte == 0).any(|one| one == place.as_bytes());
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(id) = id.filter(|_| ours) {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }
}

pub(super) fn hand_over(fault: Option<Fault<'_>>, may_end: MayEnd) -> Scene {
    let place = Place::new();
    let mut line = Lineage { first: place.relay(), successors: Vec::new() };
    let _strays = Strays(line.first.process().runtime().to_owned());
    let tracer = Tracer::attach(line.first.process(), fault);
    line.order(Signal::SIGUSR2);
    for _ in 0..2 * FAULTS_LAST {
        let log = line.log();
        let over = log.contains("serves now") || log.contains("no hand-over");
        if line.first.ended() || (over && serves(line.address())) {
            break;
        }
        thread::sleep(LOOK);
    }
    let log = tracer.detach();
    let served = eventually("a process serves or none is left", || {
        // In this order: a process that takes over serves before the old one ends.
        let ended = line.first.ended();
        let served = serves(line.address());
        (served || ended).then_some(served)
    });
    let outcome = match line.log() {
        printed if !served && is_debug_abort(&printed) => Outcome::DebugAborts,
        _ if !served => Outcome::Ends,
        printed if printed.contains("serves now") => Outcome::Unharmed,
        printed if printed.contains("no hand-over") => Outcome::NoHandOver,
        _ => Outcome::NotLogged,
    };
    let panicked = line.log().contains("panicked");
    assert!(may_end == MayEnd::Aborted || !panicked, "{}", line.log());
    let may_end = may_end != MayEnd::Never || outcome == Outcome::DebugAborts;
    assert!(served || may_end, "no process is left: {}", line.log());
    Scene { outcome, log }
}

pub(super) fn shut_down(fault: Option<Fault<'_>>, may_end: MayEnd) -> Scene {
    let place = Place::new();
    let mut relay = place.relay();
    let id = create(&relay);
    let mut waiting = relay.waiting_destination(&id);
    let mut idle = relay.connect();
    idle.exchange(&ask("GET", "/ping"));
    let tracer = Tracer::attach(relay.process(), fault);
    relay.signal(Signal::SIGTERM);
    eventually("it ends", || relay.ended().then_some(()));
    let log = tracer.detach();
    let answer = waiting.try_response();
    assert!(!answer.is_ok_and(|answer| answer.status() == 200), "a download without an upload");
    let end = relay.finish();
    assert!(may_end == MayEnd::Aborted || !end.stderr.contains("panicked"), "{}", end.stderr);
    let outcome = match end.status.code() {
        Some(0) => Outcome::Unharmed,
        Some(1) if end.stderr.lines().last().is_some_and(|last| last.starts_with("rdv: ")) => {
            Outcome::Ends
        }
        None if is_debug_abort(&end.stderr) => Outcome::DebugAborts,
        _ if may_end == MayEnd::Aborted => Outcome::Aborts,
        _ => panic!("{}: {}", end.status, end.stderr),
    };
    Scene { outcome, log }
}
