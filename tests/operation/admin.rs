//! The admin listener: what operators can read and do, and that no other client can.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::support::{
    ADMIN, Framing, Process, RUNTIME_DIRECTORY, Relay, Response, Wire, ask, assert_error,
    eventually,
};
use nix::sys::signal::Signal;

/// A relay with a listener for operators.
struct Administered {
    relay: Relay,
    operators: SocketAddr,
}

impl Administered {
    fn start(flags: &[&str]) -> Administered {
        let relay = Relay::start(&[&ADMIN[..], flags].concat());
        let operators = eventually("operators are served", || {
            let printed = relay.process().stdout();
            let place =
                printed.lines().find_map(|line| line.strip_prefix("operators are served on "));
            place.and_then(|place| place.parse().ok())
        });
        Administered { relay, operators }
    }

    fn ask(&self, method: &str, target: &str) -> Response {
        Wire::connect(self.operators).exchange(&ask(method, target))
    }

    fn ctl(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let address = self.operators.to_string();
        run_ctl(&[&["--admin", &address], arguments].concat())
    }
}

fn run_ctl(arguments: &[&str]) -> (Option<i32>, String, String) {
    let finished = Process::rdv(&[&["ctl"], arguments].concat()).finish();
    (finished.status.code(), finished.stdout, finished.stderr)
}

/// The routes for operators, with the method of each.
const ROUTES: [(&str, &str); 7] = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/control"),
    ("POST", "/control/suspend"),
    ("POST", "/control/resume"),
    ("GET", "/version"),
    ("GET", "/ping"),
];

#[test]
fn admin_routes_are_served_on_the_admin_listener_only() {
    let relay = Administered::start(&[]);
    for (method, target) in ROUTES {
        assert_eq!(relay.ask(method, target).status(), 200, "{method} {target}");
        if ["/version", "/ping"].contains(&target) {
            continue;
        }
        let refused = relay.relay.exchange(&ask(method, target));
        assert_error(target, &refused, (404, "BadRouteError", None));
        let wrong = if method == "GET" { "POST" } else { "GET" };
        let refused = relay.ask(wrong, target);
        assert_error(target, &refused, (405, "BadRouteError", None));
        assert!(refused.head.get("Allow").is_some_and(|allow| allow.contains(method)), "{target}");
    }
}

#[test]
fn streams_are_listed_on_the_admin_listener_only() {
    let relay = Administered::start(&[]);
    let id = relay.relay.create();
    let list = Wire::connect(relay.operators)
        .exchange(&ask("GET", "/stream").field("X-Forwarded-For", "192.0.2.1"));
    assert_eq!(list.json()[0]["id"], id.as_str());
    assert_eq!(relay.ask("GET", &format!("/stream/{id}/status")).json()["state"], "CREATED");
    let refused = relay.relay.get("/stream");
    assert_error("the public list", &refused, (403, "ForbiddenError", None));
    assert!(refused.text().contains("rdv ctl list"), "{}", refused.text());
}

#[test]
fn the_admin_listener_transfers_no_data() {
    let relay = Administered::start(&[]);
    let id = relay.relay.create();
    for (method, target, status) in [
        ("POST", "/stream".to_owned(), 405),
        ("GET", format!("/stream/{id}"), 405),
        ("PUT", format!("/stream/{id}"), 405),
        ("POST", format!("/stream/{id}"), 405),
        ("PUT", format!("/stream/{id}/status"), 405),
        ("PUT", format!("/stream/{id}/name"), 404),
        ("POST", format!("/stream/{id}/error"), 404),
    ] {
        assert_eq!(relay.ask(method, &target).status(), status, "{method} {target}");
    }
    assert_eq!(relay.relay.status(&id)["state"], "CREATED");
}

#[test]
fn the_admin_listener_cancels_streams() {
    let relay = Administered::start(&[]);
    let id = relay.relay.create();
    let mut waiting = relay.relay.waiting_destination(&id);
    assert_eq!(relay.ask("DELETE", &format!("/stream/{id}")).status(), 204);
    assert_error("waiting", &waiting.response(), (410, "StreamDeletedError", None));
}

#[test]
fn a_suspended_relay_refuses_new_streams_and_serves_existing_ones() {
    let relay = Administered::start(&[]);
    let mut running = relay.relay.pair(Framing::Length(10));
    running.pass_first(b"01234");
    let made = relay.relay.create();
    assert_eq!(relay.ask("POST", "/control/suspend").json()["state"], "suspended");
    let refused = relay.relay.exchange(&ask("POST", "/stream"));
    assert_error("a new stream", &refused, (503, "TooBusyError", None));
    assert!(refused.head.get("Retry-After").is_some());
    running.pass(b"56789");
    running.complete();
    let mut source = relay.relay.waiting_source(&made, Framing::Length(2));
    source.send(b"hi");
    let download = relay.relay.exchange(&ask("GET", &format!("/stream/{made}")));
    assert_eq!(download.text(), "hi", "a stream that was made before");
    assert_eq!(relay.relay.get("/ping").status(), 200);
    assert_eq!(relay.ask("POST", "/control/resume").json()["state"], "serving");
    relay.relay.create();
}

#[test]
fn readyz_reports_why_the_relay_is_not_ready() {
    let relay = Administered::start(&["--drain-timeout", "1h"]);
    let ready = relay.ask("GET", "/readyz");
    assert_eq!((ready.status(), ready.json()["ready"].as_bool()), (200, Some(true)));
    relay.ask("POST", "/control/suspend");
    let suspended = relay.ask("GET", "/readyz");
    assert_eq!((suspended.status(), &suspended.json()["reasons"][0]), (503, &"suspended".into()));
    relay.ask("POST", "/control/resume");
    let mut running = relay.relay.pair(Framing::Length(10));
    running.pass_first(b"01234");
    relay.relay.signal(Signal::SIGTERM);
    let draining = eventually("it drains", || {
        Some(relay.ask("GET", "/readyz")).filter(|answer| answer.status() == 503)
    });
    assert_eq!(draining.json()["reasons"][0], "draining");
    assert_eq!(relay.ask("GET", "/healthz").status(), 200, "it is still alive");
    let refused = relay.ask("POST", "/control/resume");
    assert_error("resume", &refused, (409, "StoppingError", None));
    running.pass(b"56789");
    running.complete();
    assert_eq!(relay.relay.finish().status.code(), Some(0));
}

#[test]
fn readyz_reports_descriptor_exhaustion() {
    let mut command = Command::new("sh");
    let serve = "ulimit -n 64 && exec \"$0\" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
                 --admin-hosts relay.test --max-connections 1000";
    command.arg("-c").arg(serve).arg(env!("CARGO_BIN_EXE_rdv"));
    let relay = Relay::from_command(command, 1);
    let printed = eventually("operators are served", || {
        let printed = relay.process().stdout();
        printed.contains("operators are served on").then_some(printed)
    });
    let place = printed.lines().find_map(|line| line.strip_prefix("operators are served on "));
    let operators = place.and_then(|place| place.parse().ok()).expect("an address");
    let mut operator = Wire::connect(operators);
    assert_eq!(operator.exchange(&ask("GET", "/readyz")).status(), 200);
    // The limit is lower than the number of clients; refused connections linger, and use up the
    // rest.
    let mut clients = Vec::new();
    let lacking = eventually("descriptors are out", || {
        clients.extend((0..20).map(|_| relay.connect()));
        Some(operator.exchange(&ask("GET", "/readyz"))).filter(|answer| answer.status() == 503)
    });
    assert_eq!(lacking.json()["reasons"][0], "out of descriptors");
    for _ in 0..3 {
        // In sequence: each uses the descriptor reserved for operators.
        let mut next = Wire::connect(operators);
        assert_eq!(next.exchange(&ask("GET", "/healthz")).text(), "alive");
    }
    drop(clients);
    eventually("it recovers", || {
        (operator.exchange(&ask("GET", "/readyz")).status() == 200).then_some(())
    });
}

#[test]
fn the_admin_listener_is_exempt_from_max_connections() {
    let relay = Administered::start(&["--max-connections", "2"]);
    let mut inside = [relay.relay.connect(), relay.relay.connect()];
    for wire in &mut inside {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
    let mut third = relay.relay.connect();
    assert_error("one more", &third.response(), (503, "TooBusyError", None));
    let mut operators: Vec<Wire> = (0..5).map(|_| Wire::connect(relay.operators)).collect();
    for operator in &mut operators {
        assert_eq!(operator.exchange(&ask("GET", "/healthz")).text(), "alive");
    }
    assert_eq!(inside[0].exchange(&ask("GET", "/ping")).status(), 200);
}

#[test]
fn ctl_stop_drains_the_relay() {
    let relay = Administered::start(&["--drain-timeout", "1h"]);
    let mut running = relay.relay.pair(Framing::Chunked);
    running.pass_first(b"01234");
    assert_eq!(relay.ask("POST", "/control/stop").json()["state"], "draining");
    let idle = Wire::connect(relay.operators);
    running.complete();
    assert_eq!(relay.relay.finish().status.code(), Some(0), "an operator holds it back no longer");
    drop(idle);
}

#[test]
fn ctl_covers_every_admin_operation() {
    let relay = Administered::start(&[]);
    let id = relay.relay.create();
    let (status, printed, _) = relay.ctl(&["status"]);
    assert_eq!(status, Some(0));
    assert!(printed.starts_with("serving: 0 connections, 1 active stream, 0 of them"), "{printed}");
    let (status, printed, _) = relay.ctl(&["list"]);
    assert_eq!(status, Some(0));
    assert!(
        printed.lines().count() == 2 && printed.contains(&id) && printed.contains("CREATED"),
        "{printed}"
    );
    let (_, printed, _) = relay.ctl(&["list", "--json"]);
    assert_eq!(crate::support::parse(printed.as_bytes())[0]["id"], id.as_str());
    let cancelled = relay.ctl(&["cancel", &id]);
    assert_eq!(cancelled, (Some(0), format!("{id} is cancelled\n"), String::new()));
    let (_, printed, _) = relay.ctl(&["list", "--active"]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let (status, printed, _) = relay.ctl(&["agents"]);
    assert_eq!((status, printed.lines().count()), (Some(0), 1), "{printed}");
    let (status, _, printed) = relay.ctl(&["cancel", &id]);
    assert_eq!(status, Some(1));
    assert_eq!(printed, "rdv: the relay answered 404: The specified session id does not exist\n");
    assert!(relay.ctl(&["suspend"]).1.starts_with("suspended:"));
    assert!(relay.ctl(&["resume"]).1.starts_with("serving:"));
    assert!(relay.ctl(&["stop"]).1.starts_with("draining:"));
    assert_eq!(relay.relay.finish().status.code(), Some(0));
}

#[test]
fn the_admin_socket_is_private_and_removed_at_exit() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("admin.sock");
    let place = path.to_str().expect("UTF-8");
    let relay = Relay::start(&["--admin-listen", place]);
    let mode = fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--unix-socket", place, "http://rdv/readyz"])
        .output()
        .expect("these tests need curl(1): install the package `curl`");
    assert_eq!(crate::support::parse(&curl.stdout)["ready"], true);
    assert!(run_ctl(&["--admin", place, "status"]).1.starts_with("serving:"));

    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", place];
    let second = Process::rdv(&arguments).finish();
    let process = relay.process().id();
    let why = format!("rdv: cannot listen on {place}: process {process} is serving there\n");
    assert_eq!((second.status.code(), second.stderr), (Some(1), why));
    let (_, printed, _) = run_ctl(&["--admin", place, "--json", "status"]);
    assert_eq!(
        crate::support::parse(printed.as_bytes())["pid"],
        process,
        "the first one is undisturbed"
    );
    relay.signal(Signal::SIGTERM);
    relay.finish();
    assert!(!path.exists());
    let (status, _, printed) = run_ctl(&["--admin", place, "status"]);
    assert_eq!(status, Some(1));
    assert!(printed.contains("is the relay running with --admin-listen"), "{printed}");
}

#[test]
fn ctl_health_reports_liveness_and_readiness_by_its_exit_status() {
    let relay = Administered::start(&[]);
    let passed = |text: &str| (Some(0), text.to_owned(), String::new());
    assert_eq!(relay.ctl(&["health"]), passed("alive\n"));
    assert_eq!(relay.ctl(&["health", "--ready"]), passed("ready\n"));
    relay.ctl(&["suspend"]);
    assert_eq!(relay.ctl(&["health"]), passed("alive\n"), "a restart would not help");
    let refused = "rdv: the relay answered 503: suspended\n".to_owned();
    assert_eq!(relay.ctl(&["health", "--ready"]), (Some(1), String::new(), refused));
    assert_eq!(run_ctl(&["--admin", "/nowhere/rdv.sock", "health"]).0, Some(1), "no relay");
}

#[test]
fn ctl_reads_the_address_from_the_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, path) = (directory.path().join("rdv.toml"), directory.path().join("admin.sock"));
    let (file, path) = (file.to_str().expect("UTF-8"), path.to_str().expect("UTF-8"));
    fs::write(file, format!("admin-listen = \"{path}\"\n")).expect("a file");
    let _relay = Relay::start(&["--config", file]);
    // Of another user, for one: an operator needs no other setting.
    fs::write(file, format!("admin-listen = \"{path}\"\ntokens = \"/nonexistent/tokens\"\n"))
        .expect("a file");
    for (name, value) in [("RDV_CONFIG", file), ("RDV_ADMIN_LISTEN", path)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        command.args(["ctl", "status"]).env(name, value);
        let finished = Process::start(command).finish();
        assert!(finished.stdout.starts_with("serving:"), "{name}: {}", finished.stderr);
    }
}

#[test]
fn an_invalid_admin_address_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a-file");
    fs::write(&file, "precious").expect("a file");
    let file = file.to_str().expect("UTF-8");
    for (place, why) in [
        (file, "there is a file that is not a socket"),
        ("/nonexistent/admin.sock", "no such file or directory"),
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", place];
        let finished = Process::rdv(&arguments).finish();
        assert_eq!(finished.status.code(), Some(1));
        let wanted = format!("rdv: cannot listen on {place}: {why}");
        assert!(finished.stderr.starts_with(&wanted), "{}", finished.stderr);
    }
    assert_eq!(fs::read_to_string(file).expect("it is still there"), "precious");
    let finished = Process::rdv(&["serve", "--admin-listen", "localhost"]).finish();
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("expected a path such as /run/rdv/admin.sock"));
}

#[test]
fn ctl_reports_an_invalid_response() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("other.sock");
    let other = UnixListener::bind(&path).expect("a socket");
    let place = path.to_str().expect("UTF-8").to_owned();
    let asking = std::thread::spawn(move || run_ctl(&["--admin", &place, "status"]));
    let (mut client, _) = other.accept().expect("a client");
    let _ = client.read(&mut [0; 1024]);
    drop(client);
    let (status, _, printed) = asking.join().expect("ctl");
    assert_eq!(status, Some(1));
    assert!(printed.contains("closed the connection without an answer"), "{printed}");
}

/// A relay with the test's own runtime directory, as a service has.
fn in_directory(directory: &Path, flags: &[&str]) -> Relay {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
    command.env(RUNTIME_DIRECTORY, directory);
    Relay::from_command(command, 1)
}

/// The output of `rdv ctl` with this runtime directory.
fn ctl_in(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.arg("ctl").args(arguments).env(RUNTIME_DIRECTORY, directory);
    let finished = Process::start(command).finish();
    (finished.status.code(), finished.stdout, finished.stderr)
}

#[test]
fn a_default_admin_socket_is_created_and_found_by_ctl() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path().join("rdv");
    let (status, _, printed) = ctl_in(&at, &["list"]);
    assert_eq!(status, Some(1));
    assert!(printed.contains("is it running?"), "{printed}");
    let relay = in_directory(&at, &[]);
    let path = at.join(format!("{}.sock", relay.address().port()));
    assert!(
        relay.process().stdout().contains(&format!("operators are served on {}\n", path.display()))
    );
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&at), mode(&path)), (0o700, 0o600));
    let id = relay.create();
    let (status, printed, _) = ctl_in(&at, &["list"]);
    assert!(status == Some(0) && printed.contains(&id), "{printed}");

    let other = in_directory(&at, &[]);
    let (status, _, printed) = ctl_in(&at, &["status"]);
    assert_eq!(status, Some(1));
    for relay in [&relay, &other] {
        assert!(printed.contains(&format!("{}.sock", relay.address().port())), "{printed}");
        let port = relay.address().port().to_string();
        let (_, printed, _) = ctl_in(&at, &["--json", "status", "--port", &port]);
        assert_eq!(crate::support::parse(printed.as_bytes())["pid"], relay.process().id());
    }
    other.signal(Signal::SIGTERM);
    other.finish();
    assert!(ctl_in(&at, &["status"]).1.starts_with("serving:"), "one is left");
    relay.signal(Signal::SIGTERM);
    relay.finish();
    assert_eq!(fs::read_dir(&at).expect("the directory").count(), 0);
}

#[test]
fn the_admin_socket_of_a_user_is_in_xdg_runtime_dir() {
    // Root has another directory, so this takes another user.
    let (mut command, directory) = crate::support::unprivileged_command();
    let session = directory.path().join("session");
    fs::create_dir(&session).expect("a directory");
    fs::set_permissions(&session, fs::Permissions::from_mode(0o777)).expect("for the user");
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env(RUNTIME_DIRECTORY, "").env("XDG_RUNTIME_DIR", &session);
    let relay = Relay::from_command(command, 1);
    let path = session.join(format!("rdv/{}.sock", relay.address().port()));
    let place = path.to_str().expect("UTF-8");
    assert!(run_ctl(&["--admin", place, "status"]).1.starts_with("serving:"));
}

#[test]
fn the_admin_socket_can_be_disabled() {
    let directory = tempfile::tempdir().expect("a directory");
    let relay = in_directory(directory.path(), &["--admin-listen", "none"]);
    assert_eq!(fs::read_dir(directory.path()).expect("the directory").count(), 0);
    assert!(!relay.process().stdout().contains("operators are served"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["ctl", "status"]).env("RDV_ADMIN_LISTEN", "none");
    let finished = Process::start(command).finish();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("admin-listen = \"none\""), "{}", finished.stderr);
}

#[test]
fn a_failure_to_create_the_default_admin_socket_is_a_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "precious").expect("a file");
    let relay = in_directory(&file, &[]);
    relay.await_turn();
    eventually("it warns", || relay.process().stderr().contains("no admin socket: ").then_some(()));
    assert_eq!(fs::read_to_string(file).expect("it is still there"), "precious");
}

#[test]
fn a_stale_admin_socket_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("admin.sock");
    let place = path.to_str().expect("UTF-8");
    let killed = Relay::start(&["--admin-listen", place]);
    killed.signal(Signal::SIGKILL);
    killed.finish();
    assert!(path.exists());
    assert!(ctl_in(directory.path(), &["status"]).2.contains("no relay"), "no relay serves there");
    let relay = Relay::start(&["--admin-listen", place]);
    let (_, printed, _) = ctl_in(directory.path(), &["--json", "status"]);
    assert_eq!(crate::support::parse(printed.as_bytes())["pid"], relay.process().id());
}

#[test]
fn the_admin_socket_of_another_relay_is_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("admin.sock");
    let place = path.to_str().expect("UTF-8");
    let relay = Relay::start(&["--admin-listen", place]);
    fs::remove_file(&path).expect("removed");
    let other = Relay::start(&["--admin-listen", place]);
    relay.signal(Signal::SIGTERM);
    relay.finish();
    let (_, printed, _) = run_ctl(&["--admin", place, "--json", "status"]);
    assert_eq!(crate::support::parse(printed.as_bytes())["pid"], other.process().id());
}
