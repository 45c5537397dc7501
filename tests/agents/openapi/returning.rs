//! Interruptions of relay, agent and network: no call hangs, and calls work again.

use std::fs;

use nix::sys::signal::Signal;

use crate::openapi::setup::{Service, expose, exposing, installed};
use crate::support::{
    ClosedPort, Line, Process, Relay, command_in_namespace, eventually, run, skip,
};

const GREETING: &str = "/api/store/greeting?name=x";

/// The agent and its API are reachable.
fn await_greeting(relay: &Relay) {
    eventually("calls are answered", || (relay.get(GREETING).status() == 200).then_some(()));
}

#[test]
fn the_agent_reconnects_to_a_restarted_relay() {
    let Some(installed) = installed() else { return };
    let port = ClosedPort::new();
    let listen = || Relay::listening(&[&port.address().to_string()], &[]);
    let (service, relay) = (Service::start(&installed), listen());
    let agent = expose(&service, &relay, &[]);
    await_greeting(&relay);
    relay.signal(Signal::SIGKILL);
    relay.finish();
    let relay = listen();
    await_greeting(&relay);
    assert_eq!(agent.stdout().lines().count(), 1, "the URL is what it was");
}

#[test]
fn a_killed_agent_regains_its_name_at_once() {
    let Some(installed) = installed() else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let secret = scene.path().join("secret");
    fs::write(&secret, "a secret of some length").expect("a file");
    let with = ["--secret-file", secret.to_str().expect("UTF-8")];
    let (service, relay) = (Service::start(&installed), Relay::start(&[]));
    for _ in 0..3 {
        let agent = expose(&service, &relay, &with);
        assert_eq!(relay.get(GREETING).status(), 200);
        agent.signal(Signal::SIGKILL);
        agent.finish();
    }
}

/// A call by curl, from the network of the relay; the last line it prints is the status.
fn call(line: &Line, relay: &Relay, path: &str) -> Process {
    let url = relay.url(path);
    let words = ["curl", "-q", "-sS", "-N", "-w", "%{http_code}", "--max-time", "60", &url];
    Process::start(command_in_namespace(&line.near, &words.map(str::to_owned)))
}

/// The line is cut at this end, with calls in progress, and restored.
fn cut_and_restore(service: &Service, line: &Line, end: &str) {
    let serve = ["serve", "--listen", "127.0.0.1:0", "--listen", "192.0.2.1:0"];
    let serve =
        [&[env!("CARGO_BIN_EXE_rdv")], &serve[..], &["--open-agents", "--agent-heartbeat", "3s"]]
            .concat();
    let serve: Vec<_> = serve.into_iter().map(str::to_owned).collect();
    let relay = Relay::from_command(command_in_namespace(&line.near, &serve), 2);
    let flags = ["--heartbeat", "3s", "--connect-timeout", "1s", "--tunnels", "2"];
    let agent = exposing(service, relay.addresses()[1], &flags);
    let agent = Process::start(command_in_namespace(&line.far, &agent));
    eventually("the URL is printed", || agent.stdout().ends_with("/api/store\n").then_some(()));

    let begun = call(line, &relay, "/api/store/watch");
    eventually("events come", || begun.stdout().starts_with("data: begun").then_some(()));
    let held: Vec<_> = (0..3).map(|_| call(line, &relay, "/api/store/hold")).collect();
    eventually("all calls are at the service", || {
        let watchers = call(line, &relay, "/api/store/watchers").finish().stdout;
        (watchers == "4200").then_some(())
    });

    run(&format!("ip -n {end} link set line down")).expect("a cut");
    for held in held {
        assert!(held.finish().stdout.ends_with("502"));
    }
    let begun = begun.finish();
    assert_eq!(begun.status.code(), Some(18), "its response is incomplete: {}", begun.stderr);
    let gone = call(line, &relay, "/api/store/watchers").finish();
    assert!(gone.stdout.ends_with("404"), "{}", gone.stdout);
    eventually("the agent notices", || agent.stderr().contains("next attempt in ").then_some(()));

    run(&format!("ip -n {end} link set line up")).expect("a restored link");
    eventually("calls are answered", || {
        let greeting = call(line, &relay, GREETING).finish().stdout;
        greeting.ends_with("200").then_some(())
    });
}

#[test]
fn a_network_cut_ends_only_the_calls_in_flight() {
    let Some(installed) = installed() else { return };
    std::thread::scope(|scope| {
        for cut_here in [true, false] {
            let installed = &installed;
            scope.spawn(move || {
                let line = match Line::create() {
                    Ok(line) => line,
                    Err(reason) => return skip("interrupted link", &reason),
                };
                let end = if cut_here { &line.near } else { &line.far };
                let service = command_in_namespace(&line.far, &installed.serving());
                cut_and_restore(&Service::from_command(service), &line, end);
            });
        }
    });
}
