//! The bounds of every setting that is a time, a size or a number: its minimum and its maximum are
//! accepted, values beyond are refused.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command as Program;

use crate::support::{
    ADMIN, Observed, Process, Relay, Scrape, TEST_TIMEOUT, Wire, ask, eventually,
};
use clap::error::ErrorKind;
use clap::{Args as _, Command};
use rdv::client::Ctl;
use rdv::client::commands::{Cancel, Pipe, Post, Receive, Send, Status};
use rdv::connector::destination::DestinationCommand;
use rdv::connector::source::SourceSettings;
use rdv::ops::Settings;
use rdv::socket::call::Call;
use rdv::socket::expose::command::Expose;

/// A setting, accepted values, and refused values.
struct Row(&'static str, &'static [&'static str], &'static [&'static str]);

/// Times of at least 100 ms.
const TIMES: (&[&str], &[&str]) = (&["100ms", "8760h"], &["99ms", "0s", "8760h 1ms"]);
/// Times that can be disabled with 0.
const TIMES_OR_NONE: (&[&str], &[&str]) = (&["0s", "8760h"], &["8760h 1ms"]);
/// Times of at least a second.
const SECONDS: (&[&str], &[&str]) = (&["1s", "8760h"], &["999ms", "8760h 1ms"]);
const COUNTS_FROM_0: (&[&str], &[&str]) = (&["0", "16777216"], &["-1", "16777217"]);
const COUNTS_FROM_1: (&[&str], &[&str]) = (&["1", "16777216"], &["0", "16777217"]);
const COUNTS_FROM_2: (&[&str], &[&str]) = (&["2", "16777216"], &["1", "0", "16777217"]);
const UP_TO_A_PIB: (&[&str], &[&str]) = (&["0", "1", "1PiB"], &["-1", "1125899906842625"]);
const FROM_64_KIB: (&[&str], &[&str]) = (&["64KiB"], &["65535", "0", "1125899906842625"]);
const RETRIES: (&[&str], &[&str]) = (&["0", "4294967295"], &["-1", "4294967296"]);

const fn row(name: &'static str, both: (&'static [&'static str], &'static [&'static str])) -> Row {
    Row(name, both.0, both.1)
}

const RELAY: &[Row] = &[
    row("ttl", TIMES),
    row("max-ttl", SECONDS),
    row("retention", TIMES_OR_NONE),
    row("idle-timeout", TIMES),
    row("header-timeout", TIMES),
    row("keep-alive-timeout", TIMES),
    row("linger-timeout", TIMES),
    Row("linger-bytes", &["4KiB", "1GiB"], &["4095", "0", "1073741825"]),
    row("drain-timeout", TIMES_OR_NONE),
    row("max-connections", COUNTS_FROM_2),
    row("max-streams", COUNTS_FROM_1),
    row("max-lingering", COUNTS_FROM_0),
    Row("max-head", &["256", "1MiB"], &["255", "0", "1048577"]),
    Row("max-json-body", &["2", "64MiB"], &["1", "0", "67108865"]),
    Row("pipe-size", &["4KiB", "256MiB"], &["4095", "0", "268435457"]),
    row("max-pipes", COUNTS_FROM_0),
    Row("max-concurrent", &["0", "2", "16777216"], &["1", "16777217"]),
    Row("max-connections-per-address", &["0", "1", "16777216"], &["-1", "16777217"]),
    Row("max-streams-per-address", &["0", "1", "16777216"], &["-1", "16777217"]),
    row("max-unjoined-streams-per-address", COUNTS_FROM_0),
    row("max-stream-bytes", UP_TO_A_PIB),
    Row("max-rate", &["0", "1", "1TiB"], &["-1", "1099511627777"]),
    Row("too-busy-status", &["400", "599"], &["399", "600"]),
    row("retry-after", SECONDS),
    row("max-agents", COUNTS_FROM_0),
    row("max-handshakes", COUNTS_FROM_1),
    row("max-agent-requests", COUNTS_FROM_1),
    row("max-tunnels", COUNTS_FROM_0),
    row("agent-timeout", TIMES),
    row("agent-heartbeat", TIMES),
    row("name-lease", TIMES_OR_NONE),
    Row("heartbeat", &["0s", "100ms", "8760h"], &["99ms", "8760h 1ms"]),
    row("handover-timeout", TIMES),
    row("handover-drain-timeout", TIMES_OR_NONE),
    Row("node-id", &["0", "65535"], &["-1", "65536"]),
    row("max-followers", COUNTS_FROM_0),
    row("event-keep-alive", TIMES),
    row("access-log-buffer", COUNTS_FROM_0),
];

const SOURCE: &[Row] = &[
    Row("max-body", &["1", "1PiB"], &["0", "1125899906842625"]),
    Row("memory-body", &["0", "1GiB"], &["-1", "1073741825"]),
    Row("memory", &["64KiB", "1TiB"], &["65535", "1099511627777"]),
    row("spill-max", UP_TO_A_PIB),
    row("signature-tolerance", SECONDS),
    row("ack-timeout", TIMES),
    row("consumer-timeout", TIMES),
    row("queue", COUNTS_FROM_1),
    Row("queue-bytes", &["64KiB", "1TiB"], &["65535", "1099511627777"]),
    row("spool-max", FROM_64_KIB),
    row("spool-keep", UP_TO_A_PIB),
    row("ttl", SECONDS),
    row("max-connections", COUNTS_FROM_1),
    row("header-timeout", TIMES),
    row("keep-alive-timeout", TIMES),
    row("max-concurrent", COUNTS_FROM_0),
    row("max-connections-per-address", COUNTS_FROM_0),
    row("retry-after", SECONDS),
    row("drain-timeout", TIMES_OR_NONE),
    row("access-log-buffer", COUNTS_FROM_0),
];

const DESTINATION: &[Row] = &[
    Row("success", &["200", "599"], &["199", "600"]),
    Row("parallel", &["1", "256"], &["0", "257"]),
    row("retries", RETRIES),
    Row("backoff", &["1ms", "8760h"], &["0s", "8760h 1ms"]),
    Row("backoff-max", &["1ms", "8760h"], &["0s", "8760h 1ms"]),
    row("timeout", TIMES),
    row("connect-timeout", TIMES),
];

const EXPOSE: &[Row] = &[
    Row("tunnels", &["0", "64"], &["-1", "65"]),
    row("name-timeout", TIMES_OR_NONE),
    row("drain-timeout", TIMES_OR_NONE),
    row("connect-timeout", TIMES),
    row("heartbeat", TIMES),
];

const CLIENTS: &[Row] = &[
    row("receipt-timeout", TIMES_OR_NONE),
    row("ttl", SECONDS),
    row("connect-timeout", TIMES),
    row("retries", RETRIES),
    Row("max-size", &["1", "1PiB"], &["0", "1125899906842625"]),
    row("max-entries", COUNTS_FROM_1),
];

/// Every command with settings, and their bounds.
fn commands() -> Vec<(Command, &'static [Row])> {
    let new = || Command::new("rdv").no_binary_name(true);
    vec![
        (Settings::augment_args(new()), RELAY),
        (SourceSettings::augment_args(new()), SOURCE),
        (DestinationCommand::augment_args(new()), DESTINATION),
        (Expose::augment_args(new()), EXPOSE),
        (Send::augment_args(new()), CLIENTS),
        (Receive::augment_args(new()), CLIENTS),
        (Post::augment_args(new()), CLIENTS),
        (Call::augment_args(new()), CLIENTS),
        (Status::augment_args(new()), CLIENTS),
        (Cancel::augment_args(new()), CLIENTS),
        (Ctl::augment_args(new()), CLIENTS),
    ]
}

/// The settings of a command that are a time, a size or a number.
fn measured(command: &Command) -> BTreeSet<String> {
    let is_measure = |name: &str| ["TIME", "BYTES", "N", "STATUS", "STATUS,…"].contains(&name);
    let arguments = command.get_arguments().filter(|argument| {
        argument.get_value_names().is_some_and(|names| names.iter().any(|name| is_measure(name)))
    });
    arguments.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

/// The error for this value, if any; errors about other settings are ignored.
fn fault(command: &Command, name: &str, value: &str) -> Option<String> {
    let error = command.clone().try_get_matches_from([format!("--{name}={value}")]).err()?;
    (error.kind() == ErrorKind::ValueValidation).then(|| error.to_string())
}

#[test]
fn every_setting_enforces_its_bounds() {
    for (command, rows) in commands() {
        for name in measured(&command) {
            let row = rows.iter().find(|row| row.0 == name);
            let Row(_, taken, refused) = row.unwrap_or_else(|| panic!("no bounds for --{name}"));
            for value in *taken {
                assert_eq!(fault(&command, &name, value), None, "--{name}={value}");
            }
            for value in *refused {
                let why = fault(&command, &name, value);
                let why = why.unwrap_or_else(|| panic!("--{name}={value} is taken"));
                assert!(why.contains(&name) && why.contains(value), "{why}");
            }
        }
    }
    let pipe = Pipe::augment_args(Command::new("pipe"));
    for end in pipe.get_subcommands() {
        let unknown: Vec<_> = measured(end)
            .into_iter()
            .filter(|name| !CLIENTS.iter().any(|row| row.0 == name))
            .collect();
        assert_eq!(unknown, [""; 0], "they are those of the other clients");
    }
}

#[test]
fn flags_environment_and_file_enforce_the_same_bounds() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rdv.toml");
    for Row(name, _, refused) in RELAY {
        let value = refused[0];
        let variable = format!("RDV_{}", name.replace('-', "_").to_uppercase());
        std::fs::write(&path, format!("{name} = \"{value}\"\n")).expect("a file");
        for (what, (argument, environment), status) in [
            ("serve", (format!("--{name}={value}"), None), 2),
            ("check-config", (format!("--{name}={value}"), None), 2),
            ("serve", ("--no-splice".into(), Some((&variable, value))), 2),
            ("check-config", ("--no-splice".into(), Some((&variable, value))), 1),
            ("check-config", (format!("--config={}", path.display()), None), 1),
        ] {
            let mut command = Program::new(env!("CARGO_BIN_EXE_rdv"));
            command.arg(what).arg(&argument).envs(environment);
            let ended = Process::start(command).finish();
            assert_eq!(ended.status.code(), Some(status), "{what} {argument}: {}", ended.stderr);
            let named = ended.stderr.contains(name) || ended.stderr.contains(&variable);
            assert!(named && ended.stderr.contains(value), "{}", ended.stderr);
            assert!(ended.stderr.contains("expected "), "{}", ended.stderr);
        }
    }
}

/// One request on a new connection, and everything received in response.
fn exchange(at: SocketAddr, request: &str) -> Option<String> {
    let mut socket = send(at, request)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn send(at: SocketAddr, request: &str) -> Option<TcpStream> {
    let mut socket = TcpStream::connect(at).ok()?;
    socket.set_read_timeout(Some(TEST_TIMEOUT)).expect("a timeout");
    socket.write_all(request.as_bytes()).ok()?;
    Some(socket)
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ")
}

/// A stream of one byte from one end to the other. Each side has its own address, because a limit
/// can allow only one per address.
fn passes(relay: &Relay) -> Option<()> {
    let [near, far] = [relay.addresses()[0], relay.addresses()[1]];
    let head = "Host: h\r\nConnection: close\r\n";
    let created = exchange(near, &format!("POST /stream HTTP/1.1\r\n{head}\r\n"))?;
    let (_, body) = created.split_once("\"stream\":\"")?;
    let id = &body[..36];
    let put = format!("PUT /stream/{id} HTTP/1.1\r\n{head}Content-Length: 1\r\n\r\nx");
    let mut source = send(near, &put)?;
    let download = exchange(far, &format!("GET /stream/{id} HTTP/1.1\r\n{head}\r\n"))?;
    let mut uploaded = String::new();
    source.read_to_string(&mut uploaded).ok()?;
    (is_ok(&download) && download.ends_with("\r\n\r\nx") && is_ok(&uploaded)).then_some(())
}

fn turns(relay: &Observed) -> f64 {
    // With the smallest timeouts a connection can be closed before its request on a busy machine.
    let scrape = eventually("a scrape", || {
        let mut wire = Wire::connect(relay.admin_address());
        wire.try_send(ask("GET", "/metrics").bytes()).ok()?;
        let answer = wire.try_response().ok()?;
        (answer.status() == 200).then(|| Scrape(answer.text().to_owned()))
    });
    scrape.value("rdv_loop_turn_duration_seconds_count")
}

/// While another process starts and exits, a busy loop takes thousands of turns.
const FEW_TURNS: f64 = 200.0;

#[test]
fn the_smallest_and_the_largest_value_work_without_spinning() {
    for Row(name, taken, _) in RELAY {
        for value in *taken {
            let flag = format!("--{name}={value}");
            let flags = [&ADMIN[..], &[&flag]].concat();
            let relay = Observed::of(Relay::listening(&["127.0.0.1:0", "[::1]:0"], &flags));
            eventually(&format!("an exchange with {flag}"), || passes(&relay));
            let _idle = TcpStream::connect(relay.address()).expect("a connection");
            let before = turns(&relay);
            Process::rdv(&["check-config", &flag]).finish();
            let taken = turns(&relay) - before;
            assert!(taken < FEW_TURNS, "{flag}: {taken} turns with nothing to do");
        }
    }
}
