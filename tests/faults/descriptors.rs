//! Actual exhaustion of descriptors.

use std::fs;
use std::process::Command;

use crate::support::{Ending, Process, Relay, Wire, ask, eventually};
use crate::transfer::{BODIES, Verdict, assert_recovered, attempt};

/// Clients that connect at once while none can be accepted.
const CROWD: usize = 200;

/// Number of further connections available.
const ROOM: usize = 10;

/// Clock ticks per second of the kernel's CPU times: `USER_HZ` is 100 on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A relay that starts with this limit on descriptors.
fn with_descriptors(count: usize, flags: &[&str]) -> Relay {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {count}; exec \"$@\""), "sh"]);
    command.args([env!("CARGO_BIN_EXE_rdv"), "serve", "--listen", "127.0.0.1:0"]).args(flags);
    Relay::from_command(command, 1)
}

/// Lowers the limit of a running relay: only this number of further descriptors can be opened.
fn leave_room_for(relay: &Relay, more: usize) {
    let id = relay.process().id();
    let open = fs::read_dir(format!("/proc/{id}/fd")).expect("/proc");
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    let taken: Vec<u64> = open.flatten().filter_map(number).collect();
    // The kernel returns the lowest free number, below the limit.
    let limit = (0..).filter(|number| !taken.contains(number)).nth(more).expect("a free number");
    let arguments = [format!("--pid={id}"), format!("--nofile={limit}:{limit}")];
    let status = Command::new("prlimit").args(arguments).status().expect("prlimit of util-linux");
    assert!(status.success());
}

/// The CPU time the relay has used, in clock ticks.
pub(crate) fn ticks(process: &Process) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("/proc");
    let (_, after_name) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc(5); the third comes first here.
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn ping(wire: &mut Wire) -> Option<u16> {
    let _ = wire.try_send(ask("GET", "/ping").bytes());
    wire.try_response().ok().filter(|a| a.ending == Ending::Complete).map(|a| a.status())
}

#[test]
fn without_descriptors_new_clients_are_refused_and_others_served() {
    let relay = Relay::start(&[]);
    let before = relay.descriptors();
    let mut inside: Vec<Wire> = (0..5).map(|_| relay.connect()).collect();
    for wire in &mut inside {
        assert_eq!(ping(wire), Some(200));
    }
    let used = ticks(relay.process());
    leave_room_for(&relay, ROOM);
    let mut crowd: Vec<Wire> = (0..CROWD).map(|_| relay.connect()).collect();
    // 16 are refused in each pause of 100 ms: this takes more than a second.
    let mut served = 0;
    for wire in &mut crowd {
        match ping(wire) {
            Some(200) => served += 1,
            Some(503) | None => {}
            Some(other) => panic!("answered {other}"),
        }
    }
    assert_eq!(served, ROOM, "as many as there is room for");
    for wire in &mut inside {
        assert_eq!(ping(wire), Some(200), "those connected before");
    }
    let spent = ticks(relay.process()) - used;
    assert!(spent < TICKS_PER_SECOND / 2, "{spent} ticks: it did not sit still in its pauses");
    drop((inside, crowd));
    eventually("there is room again", || (ping(&mut relay.connect()) == Some(200)).then_some(()));
    assert_recovered(&relay);
    relay.await_descriptors(before, 2);
}

#[test]
fn transfers_complete_when_no_pipe_can_be_opened() {
    let relay = Relay::start(&[]);
    let before = relay.descriptors();
    // Three connections are open during a transfer, and the spare descriptor is not needed.
    leave_room_for(&relay, 3);
    for body in BODIES {
        assert_eq!(attempt(&relay, body), Verdict::Complete, "{body:?}");
    }
    relay.await_descriptors(before, 1);
}

#[test]
fn with_few_descriptors_transfers_still_complete() {
    for count in [64, 256, 1024] {
        let relay = with_descriptors(count, &[]);
        for body in BODIES {
            assert_eq!(attempt(&relay, body), Verdict::Complete, "{count} descriptors: {body:?}");
        }
    }
}
