//! Sources of settings, with real processes: flags, environment, a file; and reloading the file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{
    Authority, Process, Relay, ask, assert_error, eventually, unprivileged_command,
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// A directory with a settings file.
fn file_of(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rdv.toml").to_str().expect("UTF-8").to_owned();
    fs::write(&path, text).expect("a file");
    (directory, path)
}

/// The output of a command, and its exit status.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(arguments).envs(variables.iter().copied());
    let finished = Process::start(command).finish();
    (finished.status.code(), finished.stdout, finished.stderr)
}

/// Waits until the relay has logged this.
fn await_log(relay: &Relay, text: &str) {
    eventually(text, || relay.process().stderr().contains(text).then_some(()));
}

#[test]
fn check_config_accepts_a_valid_configuration() {
    let (_directory, path) = file_of("ttl = \"5s\"\n");
    let (status, printed, _) = run(&["check-config", "--config", &path], &[]);
    assert_eq!((status, printed), (Some(0), format!("{path}: the configuration is valid\n")));
}

#[test]
fn check_config_rejects_what_serve_would_fail_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (here, missing, file) = (at(""), at("missing/log"), at("file"));
    fs::write(&file, "").expect("a file");
    let (socket, tokens) = (at("missing/socket"), at("tokens"));
    fs::write(&tokens, "short\n").expect("a file");
    let long = format!("/tmp/{}", "long".repeat(30));
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let [certificate, key] =
        [identity.certificate(), identity.key()].map(|path| path.to_str().expect("UTF-8"));
    let rows: [(&str, &[&str], &str); 13] = [
        ("nodes without a number", &["--node-url", "http://r-{node}"], "node-url needs node-id"),
        (
            "one URL for all nodes",
            &["--node-id", "7", "--node-url", "http://r"],
            "expected {node} or {hex}",
        ),
        ("a log in no directory", &["--access-log", &missing], "no such file or directory"),
        ("a log that is a directory", &["--access-log", &here], "not a directory"),
        ("a log below a file", &["--access-log", &format!("{file}/log")], "ot a directory"),
        (
            "a JSON field twice",
            &[
                "--access-log",
                &at("new"),
                "--access-log-entry=json",
                "--access-log-field=A=PATH",
                "--access-log-field=A=PATH",
            ],
            "A",
        ),
        ("a socket in no directory", &["--admin-listen", &socket], "no such file or directory"),
        ("a file as a socket", &["--admin-listen", &file], "not a socket"),
        ("a path too long for a socket", &["--admin-listen", &long], "too long"),
        ("an address of another machine", &["--listen", "192.0.2.1:0"], "no such address"),
        (
            "one of another machine for HTTPS",
            &["--tls-listen", "192.0.2.1:0", "--tls-cert", certificate, "--tls-key", key],
            "no such address",
        ),
        (
            "an unknown congestion control",
            &["--congestion-control", "carrier-pigeon"],
            "the kernel does not know the congestion control \"carrier-pigeon\"",
        ),
        ("tokens that others can read", &["--tokens", &tokens], "run: chmod 600"),
    ];
    for (what, flags, why) in rows {
        let (status, _, printed) = run(&[&["check-config"], flags].concat(), &[]);
        assert!(matches!(status, Some(1 | 2)), "{what}: {printed}");
        assert!(printed.contains(why) && printed.lines().count() == 1, "{what}: {printed}");
        let listen = ["serve", "--listen", "127.0.0.1:0"];
        let (status, _, printed) = run(&[&listen, flags].concat(), &[]);
        assert!(matches!(status, Some(1 | 2)), "serve agrees: {what}: {printed}");
    }
    let names = fs::read_dir(directory.path()).expect("a directory");
    assert_eq!(names.count(), 2, "check-config makes no file");
}

#[test]
fn check_config_rejects_paths_without_permission() {
    let (mut command, _directory) = unprivileged_command();
    command.args(["check-config", "--access-log", "/proc/sys/rdv.log"]);
    let finished = Process::start(command).finish();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("/proc/sys/rdv.log"), "{}", finished.stderr);
}

#[test]
fn check_config_warns_of_addresses_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("admin.sock").to_str().expect("UTF-8").to_owned();
    let relay = Relay::start(&["--admin-listen", &socket]);
    let address = relay.address().to_string();
    let flags = ["check-config", "--listen", &address, "--admin-listen", &socket];
    let (status, printed, warned) = run(&flags, &[]);
    assert_eq!((status, warned.lines().count()), (Some(0), 2), "{warned}");
    assert!(printed.contains("the configuration is valid"), "{printed}");
    for used in [&address, &socket] {
        assert!(warned.contains(&format!("rdv: warning: {used} is in use")), "{warned}");
    }
    relay.await_turn();
}

#[test]
fn the_log_can_be_off_or_on_stderr_and_a_misspelt_word_is_warned_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = |log: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--access-log", log]);
        command.current_dir(directory.path()).env("RDV_ACCESS_LOG_FORMAT", "line %m %U");
        let relay = Relay::from_command(command, 1);
        relay.await_turn();
        relay.signal(Signal::SIGTERM);
        relay.finish()
    };
    for log in ["off", "none", "NONE", "stderr"] {
        let finished = start(log);
        let lines = finished.stderr.matches("line GET /ping").count();
        assert_eq!(lines, usize::from(log == "stderr"), "{log}: {}", finished.stderr);
        assert!(!finished.stderr.contains("did you mean"), "{}", finished.stderr);
    }
    let names = || fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(names(), 0, "no file was made");
    for (log, meant) in [("of", "off"), ("stdrr", "stderr"), ("nnone", "none")] {
        let finished = start(log);
        let warning = format!("a file named {log}; did you mean {meant}?");
        assert!(finished.stderr.contains(&warning), "{}", finished.stderr);
        let (status, _, warned) = run(&["check-config", "--access-log", log], &[]);
        assert_eq!((status, warned.contains(&warning)), (Some(0), true), "{warned}");
    }
    assert_eq!(names(), 3, "they are files nevertheless");
}

#[test]
fn a_misspelt_word_is_warned_of_on_reload() {
    let (directory, path) = file_of("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--config", &path]);
    command.current_dir(directory.path());
    let relay = Relay::from_command(command, 1);
    fs::write(&path, "access-log = \"of\"\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "a file named of; did you mean off?");
}

#[test]
fn an_invalid_configuration_is_rejected_by_every_command() {
    let (_directory, path) = file_of("\nretention = \"60s\"\ntttl = \"5s\"\n");
    let wanted = format!("rdv: {path}:3: tttl: unknown setting; did you mean ttl?\n");
    for (command, status) in [("check-config", 1), ("print-config", 1), ("serve", 2)] {
        let (ended, _, printed) = run(&[command, "--config", &path], &[]);
        assert_eq!((ended, printed), (Some(status), wanted.clone()), "{command}");
        let (ended, _, printed) = run(&[command], &[("RDV_CONFIG", &path)]);
        assert_eq!((ended, printed), (Some(status), wanted.clone()), "{command} by RDV_CONFIG");
    }
    let (ended, _, printed) = run(&["check-config"], &[("RDV_TTL", "5")]);
    assert_eq!(ended, Some(1));
    assert!(printed.starts_with("rdv: RDV_TTL=5: expected a number with a unit"), "{printed}");
}

#[test]
fn the_relay_ignores_variables_of_the_clients() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    for name in ["RDV_RELAY", "RDV_CLIENT_CONFIG", "RDV_CACERT"] {
        command.env(name, OsStr::from_bytes(b"/nonexistent/\xff"));
    }
    let relay = Relay::from_command(command, 1);
    relay.await_turn();
    relay.signal(Signal::SIGINT);
    let finished = relay.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(!finished.stderr.contains("RDV_"), "{}", finished.stderr);
}

#[test]
fn print_config_prints_effective_values_with_their_origin() {
    let (_directory, path) = file_of("ttl = \"5s\"\nretention = \"5s\"\nmax-streams = 5\n");
    let arguments = ["print-config", "--config", &path, "--ttl", "7s"];
    let (status, printed, _) = run(&arguments, &[("RDV_RETENTION", "6s")]);
    assert_eq!(status, Some(0));
    for line in [
        "ttl = \"7s\"  # flag".to_owned(),
        "retention = \"6s\"  # environment RDV_RETENTION".to_owned(),
        format!("max-streams = 5  # {path}:3"),
        "idle-timeout = \"6h\"  # default".to_owned(),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in {printed}");
    }
}

#[test]
fn the_relay_applies_the_configuration() {
    let (_directory, path) = file_of("max-json-body = 10\n");
    let relay = Relay::start(&["--config", &path]);
    let long = ask("POST", "/stream").body(r#"{"upload_headers":{}}"#);
    assert_eq!(relay.exchange(&long).status(), 413);
}

#[test]
fn sighup_reloads_the_configuration() {
    let (_directory, path) = file_of("max-json-body = 10\nmax-pipes = 3\n");
    let relay = Relay::start(&["--config", &path]);
    let long = ask("POST", "/stream").body(r#"{"upload_headers":{}}"#);
    assert_eq!(relay.exchange(&long).status(), 413);

    fs::write(&path, "max-json-body = 100\nmax-pipes = 4\nmax-streams = 1\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "changed: max-streams, max-json-body");
    await_log(&relay, "these settings need a restart: max-pipes");
    assert_eq!(relay.exchange(&long).status(), 201);
    let refused = relay.exchange(&ask("POST", "/stream"));
    assert_error("one stream is allowed now", &refused, (503, "TooBusyError", None));
}

#[test]
fn sighup_changes_max_ttl_for_new_streams() {
    let (_directory, path) = file_of("max-ttl = \"90s\"\n");
    let relay = Relay::start(&["--config", &path]);
    let ask = ask("POST", "/stream").body(r#"{"ttl_seconds":100000}"#);
    assert_eq!(relay.exchange(&ask).json()["ttl_seconds"], 90);
    fs::write(&path, "max-ttl = \"2h\"\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "changed: max-ttl");
    assert_eq!(relay.exchange(&ask).json()["ttl_seconds"], 7200);
}

#[test]
fn sighup_changes_the_urls_of_nodes_and_keeps_the_own_number() {
    let (_directory, path) = file_of("node-id = 7\n");
    let relay = Relay::start(&["--config", &path]);
    let target = "/stream/00ab0000-0000-8000-8000-000000000000";
    assert_error("no URL", &relay.get(target), (421, "MisdirectedError", None));
    fs::write(&path, "node-id = 171\nnode-url = \"http://r-{hex}.example/\"\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "changed: node-url");
    await_log(&relay, "these settings need a restart: node-id");
    let answer = relay.get(target);
    let location = format!("http://r-00ab.example{target}");
    assert_eq!(answer.head.get("Location"), Some(location.as_str()), "{}", answer.text());
    assert!(relay.create().starts_with("0007"));
    fs::write(&path, "node-url = \"http://r-{hex}.example/\"\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "node-url needs node-id");
}

#[test]
fn a_reload_leaves_running_transfers_alone() {
    let (_directory, path) = file_of("");
    let relay = Relay::start(&["--config", &path]);
    let mut pair = relay.pair(crate::support::Framing::Length(10));
    pair.pass_first(b"01234");
    fs::write(&path, "max-connections = 2\nmax-streams = 1\nttl = \"100ms\"\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "changed: ttl, max-connections, max-streams");
    pair.pass(b"56789");
    pair.complete();
}

#[test]
fn an_invalid_file_changes_nothing() {
    let (directory, path) = file_of("max-json-body = 10\n");
    let relay = Relay::start(&["--config", &path]);
    let long = ask("POST", "/stream").body(r#"{"upload_headers":{}}"#);
    for (wrong, why) in [
        ("max-json-body = 100\nttl = 5\n", ":2: ttl = 5: expected a number with a unit"),
        ("max-json-body = \n", "the configuration stays as it is: "),
    ] {
        fs::write(&path, wrong).expect("a file");
        relay.signal(Signal::SIGHUP);
        await_log(&relay, why);
        assert_eq!(relay.exchange(&long).status(), 413, "{wrong}");
    }
    fs::remove_file(Path::new(&path)).expect("removed");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "no such file or directory");
    assert_eq!(relay.exchange(&long).status(), 413, "without the file");
    drop(directory);
}

#[test]
fn sighup_switches_the_access_log() {
    let (directory, path) = file_of("");
    let [first, second] = ["one", "two"].map(|name| directory.path().join(name));
    let settings = |log: &Path| {
        let name = log.file_name().and_then(|name| name.to_str()).expect("a name");
        let format = format!("{name} %m %{{X-Name}}i");
        format!("access-log = \"{}\"\naccess-log-format = \"{format}\"\n", log.display())
    };
    let await_line = |log: &Path, line: &str| {
        eventually(line, || {
            let text = fs::read_to_string(log).ok()?;
            text.lines().any(|found| found == line).then_some(())
        });
    };
    fs::write(&path, settings(&first)).expect("a file");
    let relay = Relay::start(&["--config", &path]);
    let named = ask("GET", "/ping").field("X-Name", "value");
    relay.exchange(&named);
    await_line(&first, "one GET value");
    let mut pair = relay.pair(crate::support::Framing::Length(10));
    pair.pass_first(b"01234");

    fs::write(&path, settings(&second)).expect("a file");
    relay.signal(Signal::SIGHUP);
    await_log(&relay, "changed: access-log, access-log-format");
    relay.exchange(&named);
    await_line(&second, "two GET value");
    pair.pass(b"56789");
    pair.complete();
    for line in ["two PUT -", "two GET -"] {
        await_line(&second, line);
    }

    fs::write(&path, "access-log = \"off\"\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    let printed = "changed: access-log, access-log-format";
    eventually("it is off", || {
        (relay.process().stderr().matches(printed).count() == 2).then_some(())
    });
    let before = fs::read_to_string(&second).expect("the log");
    relay.exchange(&named);
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.finish().status.code(), Some(0));
    assert_eq!(fs::read_to_string(&second).expect("the log"), before);
}
