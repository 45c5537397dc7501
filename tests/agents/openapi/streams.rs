//! Bodies in practice: live events, large files, many concurrent calls.

use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use crate::openapi::setup::{Service, expose, installed, ready};
use crate::support::{Ending, Process, Relay, Wire, ask, eventually, is_pattern, pattern};

/// `curl` without a configuration file, and with a timeout.
fn curl(arguments: &[&str]) -> Command {
    let quiet = ["curl", "-q", "-sS", "-f", "--max-time", "120"];
    let words: Vec<_> = quiet.iter().chain(arguments).map(|&word| word.to_owned()).collect();
    ready(&words)
}

/// Sends a request to the service directly; checks the response.
fn call_service(service: &Service, method: &str, path: &str) -> String {
    let response = Wire::connect(service.address).exchange(&ask(method, path));
    assert_eq!(response.status(), 200, "{path}: {}", response.text());
    response.text().to_owned()
}

#[test]
fn events_arrive_as_they_happen_and_end_with_their_reader() {
    let Some(installed) = installed() else { return };
    for tunnels in ["0", "4"] {
        let (service, relay) = (Service::start(&installed), Relay::start(&[]));
        let _agent = expose(&service, &relay, &["--tunnels", tunnels]);
        let reader = Process::start(curl(&["-N", &relay.url("/api/store/watch")]));
        let sees = |event: &str| {
            eventually(event, || reader.stdout().ends_with(event).then_some(()));
        };
        sees("data: begun\n\n");
        for event in ["data: tick 1\n\n", "data: tick 2\n\n"] {
            call_service(&service, "POST", "/ticks");
            sees(event);
        }
        assert_eq!(call_service(&service, "GET", "/watchers"), "1", "{tunnels}");
        drop(reader);
        eventually("the service sees the disconnect", || {
            (call_service(&service, "GET", "/watchers") == "0").then_some(())
        });
    }
}

#[test]
fn a_large_file_is_returned_unchanged() {
    const BYTES: usize = 64 << 20;
    let Some(installed) = installed() else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let path = |name: &str| scene.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::write(path("there"), pattern(5, BYTES)).expect("a file");
    let service = Service::start(&installed);
    for tunnels in ["0", "4"] {
        let relay = Relay::start(&[]);
        let _agent = expose(&service, &relay, &["--tunnels", tunnels]);
        let url = relay.url("/api/store/files/large");
        // With a known length, and without.
        for sent in [["-T", &path("there")], ["-T", "-"]] {
            let mut upload = curl(&[&sent[..], &[&url]].concat());
            let upload = upload.stdin(fs::File::open(path("there")).expect("a file")).output();
            let upload = upload.expect("curl");
            let printed = String::from_utf8_lossy(&upload.stderr);
            assert!(upload.status.success(), "{tunnels} {sent:?}: {printed}");
            let stdout = String::from_utf8_lossy(&upload.stdout).into_owned();
            assert!(
                stdout.contains(&format!("\"bytes\":{BYTES},")),
                "{tunnels} {sent:?}: {stdout}"
            );
        }
        let download = curl(&["-o", &path("back"), &url]).status().expect("curl");
        assert!(download.success(), "{tunnels}: {download}");
        let back = fs::read(path("back")).expect("a file");
        is_pattern(5, BYTES, &back).expect("what was sent");
    }
}

#[test]
fn a_hundred_concurrent_calls_get_their_own_responses() {
    const CALLS: usize = 100;
    let Some(installed) = installed() else { return };
    let service = Service::start(&installed);
    for tunnels in ["0", "4"] {
        let relay = Relay::start(&[]);
        let _agent = expose(&service, &relay, &["--tunnels", tunnels]);
        let together = Barrier::new(CALLS);
        thread::scope(|scope| {
            for number in 0..CALLS {
                let (relay, together) = (&relay, &together);
                scope.spawn(move || {
                    let mut wire = relay.connect();
                    together.wait();
                    let target = format!("/api/store/greeting?name={number}");
                    let response = wire.exchange(&ask("GET", &target));
                    let printed = (response.status(), response.text(), response.ending);
                    let greeting = format!("{{\"text\":\"Hello, {number}\"}}");
                    assert_eq!(printed, (200, greeting.as_str(), Ending::Complete), "{tunnels}");
                });
            }
        });
    }
}
