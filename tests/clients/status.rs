//! `rdv status` and `rdv cancel`: the state of a stream, and its end.

use crate::support::{Framing, Relay, eventually};
use crate::workdir::{Workdir, assert_complete, assert_ended};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn status_prints_the_current_state() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let id = relay.create();
    let url = relay.url(&format!("/stream/{id}"));
    for place in [&id, &url, &format!("{url}/a%20name")] {
        let printed = here.run(&["status", place]);
        assert_complete(place, &printed);
        assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), ("CREATED, 0 B\n", ""));
    }
    let printed = here.run(&["status", "--json", &id]);
    let status: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(status, relay.status(&id));
    assert_eq!(printed.stdout.lines().count(), 1);
    assert_complete("cancel", &here.run(&["cancel", &id]));
    let printed = here.run(&["status", &id]);
    assert_complete("status", &printed);
    assert!(printed.stdout.starts_with("CLIENT_ERROR, 0 B; "), "{}", printed.stdout);
    assert_ended("again", &here.run(&["cancel", &id]), 5, "create a new one");
}

#[test]
fn follow_prints_every_state_until_the_end() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    for json in [false, true] {
        let id = relay.create();
        let flags = if json { &["--json"][..] } else { &[] };
        let following = here.start(&[&["status", "--follow", &id], flags].concat());
        eventually("the first line", || following.stdout().ends_with('\n').then_some(()));
        let mut destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&Framing::Length(6).put(&id));
        source.send("abc");
        destination.head();
        assert_eq!(destination.body(3), b"abc");
        source.send("def");
        assert_eq!(destination.rest().0, b"def");
        let printed = following.finish();
        assert_complete("follow", &printed);
        let lines: Vec<&str> = printed.stdout.lines().collect();
        let state = |line: &&str| {
            if json {
                let status: Value = serde_json::from_str(line).expect(line);
                status["state"].as_str().expect(line).to_owned()
            } else {
                line.split(',').next().expect(line).to_owned()
            }
        };
        let states: Vec<String> = lines.iter().map(state).collect();
        assert_eq!(states.first().map(String::as_str), Some("CREATED"), "{states:?}");
        assert_eq!(states.last().map(String::as_str), Some("FINISHED"), "{states:?}");
        assert!(lines.last().is_some_and(|line| line.contains('6')), "{lines:?}");
    }
}

#[test]
fn following_an_ended_stream_exits_at_once() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let id = relay.create();
    assert_complete("cancel", &here.run(&["cancel", &id]));
    let printed = here.run(&["status", "-f", &id]);
    assert_complete("follow", &printed);
    assert!(printed.stdout.starts_with("CLIENT_ERROR") && printed.stdout.lines().count() == 1);
}

#[test]
fn a_killed_relay_is_not_the_end_of_a_stream() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let id = relay.create();
    let following = here.start(&["status", "--follow", &id]);
    eventually("the first line", || following.stdout().ends_with('\n').then_some(()));
    relay.signal(Signal::SIGKILL);
    assert_ended("follow", &following.finish(), 7, "the response was interrupted");
}

#[test]
fn a_closed_standard_output_is_a_local_error() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = here.command(&["status", &relay.create()]);
    let got = command.stdout(writer).output().expect("rdv");
    assert_eq!(got.status.code(), Some(1));
    assert_eq!(got.stderr, b"rdv: cannot write to standard output: broken pipe\n");
}
