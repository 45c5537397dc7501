//! `rdv doctor` as a process: its report on this machine, and on machines with lowered limits.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::support::{Finished, Process, Relay, parse, unprivileged_command};
use serde_json::Value;

/// A free port.
const FREE: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// One line: verdict, name, sentence.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    verdict: String,
    name: String,
    sentence: String,
}

fn lines(finished: &Finished) -> Vec<Line> {
    let line = |line: &str| {
        let mut words = line.splitn(2, "  ");
        let verdict = words.next().expect("a verdict").trim().to_owned();
        let rest = words.next().unwrap_or_else(|| panic!("a name in {line:?}")).trim_start();
        let (name, sentence) = rest.split_once(' ').unwrap_or_else(|| panic!("words in {line:?}"));
        Line { verdict, name: name.to_owned(), sentence: sentence.trim().to_owned() }
    };
    finished.stdout.lines().map(line).collect()
}

/// The only line with this name.
fn line(finished: &Finished, name: &str) -> Line {
    let mut found: Vec<Line> =
        lines(finished).into_iter().filter(|line| line.name == name).collect();
    assert_eq!(found.len(), 1, "lines about {name}: {found:?}");
    found.remove(0)
}

fn doctor(flags: &[&str]) -> Finished {
    Process::rdv(&[&["doctor"], flags].concat()).finish()
}

/// Doctor under a limit on open files that it cannot raise.
fn doctor_with_files(files: &str) -> Finished {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $1; shift; exec \"$@\"", "sh", files]);
    command.arg(env!("CARGO_BIN_EXE_rdv")).arg("doctor").args(FREE);
    Process::start(command).finish()
}

fn assert_line(finished: &Finished, name: &str, verdict: &str, parts: &[&str]) {
    let line = line(finished, name);
    assert_eq!(line.verdict, verdict, "{line:?}");
    for part in parts {
        assert!(line.sentence.contains(part), "{part:?} in {line:?}");
    }
    let bad = finished.stdout.lines().any(|line| line.starts_with("bad "));
    assert_eq!(finished.status.code(), Some(i32::from(bad)), "{}", finished.stdout);
}

#[test]
fn this_machine_passes_every_check() {
    let finished = doctor(&FREE);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
    for line in lines(&finished) {
        assert!(["ok", "warn"].contains(&line.verdict.as_str()), "{line:?}");
    }
    assert_line(&finished, "splice", "ok", &["256 KiB", "unchanged"]);
    assert_line(&finished, "listen", "ok", &["127.0.0.1:0 is free"]);
    assert_line(&finished, "kernel", "ok", &["Linux"]);
    let names: Vec<String> = lines(&finished).into_iter().map(|line| line.name).collect();
    let checks = [
        "kernel",
        "open-files",
        "pipe-max-size",
        "pipe-pages",
        "pipes",
        "splice",
        "congestion",
        "listen",
    ];
    assert_eq!(names, checks, "only what decides something");
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"));
    let documented = documented.expect("docs/operations.md");
    for name in checks {
        assert!(documented.contains(&format!("\n| `{name}` |")), "{name} is documented");
    }
}

#[test]
fn json_output_has_the_same_checks_as_text() {
    let names: Vec<String> = lines(&doctor(&FREE)).into_iter().map(|line| line.name).collect();
    let finished = doctor(&[&FREE[..], &["--json"]].concat());
    assert_eq!(finished.status.code(), Some(0));
    let report = parse(finished.stdout.as_bytes());
    let checks = report["checks"].as_array().expect("checks");
    let reported = checks.iter().map(|check| check["name"].as_str().expect("a name"));
    assert_eq!(reported.collect::<Vec<_>>(), names);
    for check in checks {
        let fine = check["verdict"] == "ok";
        assert_eq!(check["advice"] == Value::Null, fine, "{check}");
        assert!(check["found"].is_string(), "{check}");
    }
}

#[test]
fn an_unprivileged_user_sees_its_limits() {
    let (mut command, _directory) = unprivileged_command();
    command.arg("doctor").args(FREE);
    let finished = Process::start(command).finish();
    assert_line(&finished, "splice", "ok", &["unchanged"]);
    let pipes = line(&finished, "pipes");
    assert!(pipes.sentence.contains(" of 8 with 1 MiB"), "{pipes:?}");
}

#[test]
fn an_unprivileged_user_is_warned_of_a_pipe_size_above_the_limit() {
    let most = fs::read_to_string("/proc/sys/fs/pipe-max-size").expect("pipe-max-size");
    let wanted = (most.trim().parse::<usize>().expect("a number") * 2).to_string();
    let (mut command, _directory) = unprivileged_command();
    command.args(["doctor", "--pipe-size", &wanted]).args(FREE);
    let finished = Process::start(command).finish();
    assert_line(&finished, "pipe-max-size", "warn", &[&wanted, "fs.pipe-max-size"]);
    assert_line(&finished, "pipes", "warn", &["0 of 8"]);
}

#[test]
fn too_few_descriptors_are_reported() {
    let few = doctor_with_files("256");
    assert_line(&few, "open-files", "warn", &["hard limit 256", "LimitNOFILE=", "ulimit -Hn"]);
    let hopeless = doctor_with_files("48");
    assert_line(&hopeless, "open-files", "bad", &["hard limit 48"]);
}

#[test]
fn fewer_connections_need_fewer_descriptors() {
    let flags = ["--max-connections", "10", "--max-pipes", "4", "--max-lingering", "0"];
    let finished = doctor(&[&FREE[..], &flags].concat());
    assert_line(&finished, "open-files", "ok", &["68 needed"]);
    assert_line(&finished, "pipes", "ok", &["4 of 4", "0 of 0"]);
}

#[test]
fn settings_are_read_from_the_file_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rdv.toml");
    let path = path.to_str().expect("a path");
    fs::write(path, "max-pipes = 3\nlisten = \"127.0.0.1:0\"\n").expect("a file");
    assert_line(&doctor(&["--config", path]), "pipes", "ok", &["3 of 3"]);
    fs::write(path, "max-pipe = 3\n").expect("a file");
    let finished = doctor(&["--config", path]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("max-pipe"), "{}", finished.stderr);
}

#[test]
fn a_port_served_by_a_relay_is_ok() {
    let relay = Relay::start(&[]);
    let address = relay.address().to_string();
    let finished = doctor(&["--listen", &address]);
    assert_line(&finished, "listen", "ok", &[&address, env!("CARGO_PKG_VERSION")]);
    relay.await_turn();
}

#[test]
fn a_port_served_by_a_relay_that_requires_the_proxy_protocol_is_ok() {
    let relay = Relay::start(&["--proxy-protocol", "required"]);
    let address = relay.address().to_string();
    let finished = doctor(&["--listen", &address]);
    assert_line(&finished, "listen", "ok", &[&address, env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_port_in_use_by_another_program_is_bad() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = silent.local_addr().expect("an address").to_string();
    let finished = doctor(&["--listen", &address]);
    assert_line(&finished, "listen", "bad", &[&address, "another address"]);
}

#[test]
fn an_address_of_another_machine_is_named() {
    let finished = doctor(&["--listen", "192.0.2.1:0"]);
    assert_line(&finished, "listen", "bad", &["192.0.2.1"]);
}

#[test]
fn a_forbidden_splice_is_reported() {
    let strace = |flags: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=splice:error=EPERM"]);
        command.arg(env!("CARGO_BIN_EXE_rdv")).arg("doctor").args(FREE).args(flags);
        Process::start(command).finish()
    };
    assert!(Command::new("strace").arg("--version").output().is_ok(), "install strace");
    assert_line(&strace(&[]), "splice", "bad", &["EPERM", "seccomp", "--no-splice"]);
    assert_line(&strace(&["--no-splice"]), "splice", "ok", &["EPERM", "does without"]);
}

#[test]
fn the_congestion_control_of_the_setting_is_checked() {
    let finished = doctor(&[&FREE[..], &["--congestion-control", "reno"]].concat());
    assert_line(&finished, "congestion", "ok", &["rdv takes reno"]);
    let finished = doctor(&[&FREE[..], &["--congestion-control", "carrier-pigeon"]].concat());
    assert_line(&finished, "congestion", "bad", &["does not know", "\"carrier-pigeon\""]);
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn an_invalid_flag_is_a_one_line_error() {
    let finished = doctor(&["--pipe-size", "large"]);
    assert_eq!(finished.status.code(), Some(2));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
}
