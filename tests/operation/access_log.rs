//! The access log over real requests: one line for each, however it ended, and none that a client
//! could forge.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::support::{Ask, Framing, Process, Relay, TEST_TIMEOUT, TRUSTING, Wire, ask, eventually};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use regex_lite::Regex;
use serde_json::Value;
use tempfile::TempDir;

/// A directory with a log file, or a replacement for it.
struct Log {
    directory: TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Log {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("access.log");
        Log { directory, path }
    }

    fn relay(&self, flags: &[&str]) -> Relay {
        Relay::start(&[&["--access-log", self.path()], flags].concat())
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("a path of ASCII")
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// Waits until the log has this number of lines.
    fn lines(&self, count: usize) -> Vec<String> {
        let lines = eventually(&format!("{count} lines"), || {
            let text = self.text();
            let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let lines: Vec<String> = complete.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        });
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }
}

fn times(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn the_access_log_is_off_by_default() {
    let relay = Relay::start(&[]);
    relay.await_turn();
    relay.signal(Signal::SIGUSR1);
    relay.await_turn();
    relay.signal(Signal::SIGTERM);
    assert!(!relay.finish().stdout.contains("GET /ping"));
}

#[test]
fn every_request_is_logged_in_one_line() {
    let log = Log::new();
    let relay = log.relay(&["--access-log-format", "%m %U%q %s %b"]);
    let mut wire = relay.connect();
    let id = "00000000-0000-4000-8000-000000000000";
    for (ask, expected) in [
        (ask("GET", "/ping?a"), "GET /ping?a 200 4"),
        (ask("HEAD", "/ping"), "HEAD /ping 200 -"),
        (ask("POST", "/stream"), "POST /stream 201 50"),
        (ask("POST", "/stream").body("x"), "POST /stream 400 "),
        (ask("OPTIONS", "*"), "OPTIONS * 204 -"),
        (ask("GET", &format!("/stream/{id}/status")), "GET /stream/00000000/status 404 "),
        (ask("DELETE", &format!("/stream/{id}")), "DELETE /stream/00000000 404 "),
        (ask("BREW", "/ping"), "BREW /ping 405 94"),
        (ask("GET", "/nope").field("Expect", "miracles"), "GET /nope 417 "),
        (ask("GET", "http://relay.test/ping"), "GET /ping 200 4"),
    ] {
        let answer = wire.exchange(&ask);
        let line = eventually("its line", || {
            let text = log.text();
            let complete = text.strip_suffix('\n')?;
            let line = complete.lines().last()?.to_owned();
            line.starts_with(expected).then_some(line)
        });
        if expected.ends_with(' ') {
            assert_eq!(line, format!("{expected}{}", answer.body.len()));
        } else {
            assert_eq!(line, expected);
        }
    }
    assert_eq!(log.text().lines().count(), 10);
}

#[test]
fn the_size_of_a_list_excludes_its_framing() {
    let log = Log::new();
    let relay = log.relay(&[&TRUSTING[..], &["--access-log-format", "%m %B"]].concat());
    for _ in 0..300 {
        relay.create();
    }
    let bytes = relay.get("/stream").body.len();
    let http10 = relay.exchange(&ask("GET", "/stream").http10()).body.len();
    assert!(bytes > 40_000 && http10 == bytes, "more than one piece");
    let lines = log.lines(302);
    assert_eq!(lines[300..], [format!("GET {bytes}"), format!("GET {bytes}")]);
}

#[test]
fn both_sides_of_a_transfer_are_logged_with_the_outcome() {
    let log = Log::new();
    let format = "%m %s %B %{stream}X %{side}X %{outcome}X %{bytes_transferred}X";
    let relay = log.relay(&["--access-log-format", format]);
    for framing in [Framing::Length(10), Framing::Chunked] {
        let before = log.text().lines().count();
        let mut pair = relay.pair(framing);
        pair.pass_first(b"01234");
        pair.pass(b"56789");
        pair.complete();
        let id = pair.id[..8].to_owned();
        let mut wanted = vec![
            format!("GET 200 10 {id} destination FINISHED 10"),
            format!("PUT 200 0 {id} source FINISHED 10"),
        ];
        wanted.sort();
        eventually("the lines of both sides", || {
            let text = log.text();
            let mut lines: Vec<_> =
                text.lines().skip(before).filter(|l| l.contains("FINISHED")).collect();
            lines.sort_unstable();
            (lines == wanted).then_some(())
        });
    }
}

#[test]
fn interrupted_requests_are_logged_with_their_outcome() {
    let log = Log::new();
    let format = "%m %s %B %{side}X %{outcome}X %{bytes_transferred}X %{transfer_ms}X";
    let relay = log.relay(&["--access-log-format", format]);
    let has = |what: &str, parts: &[&str]| {
        eventually(what, || {
            let text = log.text();
            text.lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
        });
    };

    let id = relay.create();
    relay.waiting_source(&id, Framing::Length(5)).reset();
    has("a source that left while it waited", &["PUT - 0 source - - -"]);

    let mut pair = relay.pair(Framing::Length(10));
    pair.pass_first(b"01234");
    pair.source.reset();
    has("a download that was cut", &["GET 200 5 destination SRC_DISCONNECTED 5 "]);
    has("an upload that was cut", &["PUT 400 ", " source SRC_DISCONNECTED 5 "]);

    let mut pair = relay.pair(Framing::Length(10));
    pair.pass_first(b"01234");
    pair.destination.reset();
    assert_eq!(pair.source.response().status(), 502);
    has("a destination that left", &["GET 200 5 destination DST_DISCONNECTED 5 "]);
    has("its source", &["PUT 502 ", " source DST_DISCONNECTED 5 "]);

    let mut pair = relay.pair(Framing::Length(10));
    pair.source.finish_sending();
    assert_eq!(pair.source.response().status(), 400);
    has("a source that left before its first byte", &["PUT 400 ", " source - - -"]);
    relay.report(&pair.id);
    has("the remaining side", &["GET 400 ", " destination CLIENT_ERROR 0 -"]);

    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    assert_eq!(relay.report(&id).status(), 200);
    assert_eq!(destination.response().status(), 400);
    has("a reported error", &["GET 400 ", " destination CLIENT_ERROR 0 -"]);

    let mut half = relay.connect();
    half.ask(&ask("POST", "/stream").length(10));
    relay.await_turn();
    half.reset();
    has("a body that was never sent", &["POST - 0 - - - -"]);
}

#[test]
fn a_timeout_is_logged_with_the_wait() {
    let log = Log::new();
    let relay = log.relay(&["--ttl", "2s", "--access-log-format", "%m %s %{outcome}X %{wait_ms}X"]);
    let id = relay.create();
    let get = relay.exchange(&ask("GET", &format!("/stream/{id}")));
    assert_eq!(get.status(), 504);
    let lines = log.lines(2);
    assert!(lines[1].starts_with("GET 504 TIMEOUT_NO_SRC "), "{}", lines[1]);
}

#[test]
fn requests_refused_by_the_parser_or_a_limit_are_logged() {
    let log = Log::new();
    let flags = ["--max-connections", "2", "--max-head", "1KiB", "--header-timeout", "1s"];
    let relay = log.relay(&flags);
    let head = |bytes: &[u8]| {
        let mut wire = relay.connect();
        wire.send(bytes);
        wire.response().status()
    };
    assert_eq!(head(b"GET \r\n\r\n"), 400);
    assert_eq!(head(b"GET / HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(head(format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(2000)).as_bytes()), 431);
    assert_eq!(head(b"GET / HTTP/1.1\r\n"), 408);
    let lines = log.lines(4);
    for (line, status) in lines.iter().zip([400, 505, 431, 408]) {
        assert!(line.starts_with("127.0.0.1:"), "{line}");
        assert!(line.contains(&format!("] \"- -\" {status} ")), "{line}");
    }
    let _held: Vec<Wire> = eventually("the places are free", || {
        let mut places: Vec<Wire> = (0..2).map(|_| relay.connect()).collect();
        let statuses: Vec<u16> = places
            .iter_mut()
            .map(|wire| {
                let _ = wire.try_send(ask("GET", "/ping").bytes());
                wire.response().status()
            })
            .collect();
        (statuses == [200, 200]).then_some(places)
    });
    assert_eq!(relay.connect().response().status(), 503);
    eventually("the refused connection", || log.text().contains("\"- -\" 503 ").then_some(()));
}

#[test]
fn no_header_can_forge_a_line() {
    let log = Log::new();
    let relay = log.relay(&["--access-log-preset", "combined"]);
    let evil: &[&[u8]] = &[
        b"x\" 200 1 \"-\" \"-",
        b"back\\slash\ttab",
        b"\xff\xfe not UTF-8",
        "next\u{85}line \u{2028} \u{202e}".as_bytes(),
        b"\x9b2J",
    ];
    for (count, value) in evil.iter().enumerate() {
        let mut wire = relay.connect();
        wire.send([b"GET /ping HTTP/1.1\r\nHost: h\r\nUser-Agent: ", *value, b"\r\n\r\n"].concat());
        assert_eq!(wire.response().status(), 200);
        let lines = log.lines(count + 1);
        let line = &lines[count];
        assert_eq!(times(line, "\""), 6, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// `COMMONAPACHELOG` of grok, expanded.
const COMMON_APACHE_LOG: &str = concat!(
    r#"^([0-9.]+|[0-9A-Fa-f:.]+) ([\w.@-]+) ([\w.@-]+) "#,
    r#"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "#,
    r#""(?:(\w+) (\S+)(?: HTTP/([0-9.]+))?|(.*?))" (\d{3}) (\d+|-)"#,
);

/// The addition in `COMBINEDAPACHELOG`: two quoted strings.
const COMBINED_APACHE_LOG: &str = r#" ("(?:\\.|[^\\"])*") ("(?:\\.|[^\\"])*")"#;

#[test]
fn programs_that_read_the_logs_of_apache_read_the_presets_named_after_it() {
    for (preset, rest) in [("apache-common", ""), ("apache-combined", COMBINED_APACHE_LOG)] {
        let expression = Regex::new(&format!("{COMMON_APACHE_LOG}{rest}$")).expect("an expression");
        let log = Log::new();
        let relay = log.relay(&["--access-log-preset", preset]);
        let evil = ask("GET", "/ping?a").field("User-Agent", "a \"b\" \\ é");
        assert_eq!(relay.exchange(&evil.field("Referer", "http://r/")).status(), 200);
        let mut wire = relay.connect();
        wire.send(b"GET \r\n\r\n");
        assert_eq!(wire.response().status(), 400);
        let id = relay.create();
        relay.waiting_source(&id, Framing::Length(5)).reset();
        for (request, status) in [
            ("GET /ping?a HTTP/1.1", "200"),
            ("-", "400"),
            ("POST /stream HTTP/1.1", "201"),
            (&format!("PUT /stream/{} HTTP/1.1", &id[..8]), "499"),
        ] {
            let quoted = format!(" \"{request}\" ");
            let line = eventually(request, || {
                log.text().lines().find(|line| line.contains(&quoted)).map(str::to_owned)
            });
            let parts = expression.captures(&line).unwrap_or_else(|| panic!("{preset}: {line}"));
            assert_eq!((&parts[1], &parts[9]), ("127.0.0.1", status), "{line}");
        }
    }
}

#[test]
fn identifiers_are_shortened_without_log_full_ids() {
    for (full, flags) in [(false, &[][..]), (true, &["--log-full-ids"][..])] {
        let log = Log::new();
        let format = "%r %U %q %{stream}X %{Referer}i";
        let base = ["--access-log-streams", "--access-log-format", format];
        let relay = log.relay(&[&base, flags].concat());
        let id = relay.create();
        let referer = format!("http://relay.test/stream/{id}");
        let with = |ask: Ask| ask.field("Referer", &referer);
        assert_eq!(
            relay.exchange(&with(ask("GET", &format!("/stream/{id}/status")))).status(),
            200
        );
        assert_eq!(relay.exchange(&with(ask("GET", &format!("/a?b=/stream/{id}")))).status(), 404);
        assert_eq!(relay.exchange(&with(ask("DELETE", &format!("/stream/{id}/")))).status(), 204);
        let text = log.lines(5).join("\n");
        assert_eq!(text.contains(&id), full, "{text}");
        assert!(text.contains(&id[..8]), "{text}");
        assert!(text.contains("outcome=CLIENT_ERROR source=- destination=-"), "{text}");
    }
}

#[test]
fn streams_are_logged_on_their_own_lines_if_enabled() {
    for entry in ["text", "JSON"] {
        let log = Log::new();
        let relay = log.relay(&["--access-log-streams=true", "--access-log-entry", entry]);
        let mut pair = relay.pair(Framing::Chunked);
        pair.pass_first(b"hello");
        pair.complete();
        let id = &pair.id[..8];
        let line = eventually("the line of the stream", || {
            log.text().lines().find(|line| line.contains("FINISHED")).map(str::to_owned)
        });
        if entry == "text" {
            let (_, line) = line.split_once("] ").expect("a time");
            assert!(line.starts_with(&format!("stream={id} outcome=FINISHED source=127.0.0.1:")));
            assert!(line.contains(" destination=127.0.0.1:"), "{line}");
            assert!(line.contains(" bytes=5 wait_ms="), "{line}");
        } else {
            let object: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!((&object["Stream"], &object["BytesTransferred"]), (&id.into(), &"5".into()));
            assert!(object["Destination"].as_str().expect("text").starts_with("127.0.0.1:"));
        }
    }
}

#[test]
fn json_lines_are_objects_with_the_configured_fields() {
    let log = Log::new();
    let relay = log.relay(&["--access-log-entry", "json"]);
    let evil = "\"},{\\ \u{1F600} \u{85}";
    relay.exchange(&ask("GET", "/ping?a=b").field("X-Forwarded-For", evil));
    let object: Value = serde_json::from_str(&log.lines(1)[0]).expect("JSON");
    assert_eq!(object["ForwardedFor"], evil);
    assert_eq!((&object["Path"], &object["Query"]), (&"/ping".into(), &"a=b".into()));
    assert_eq!((&object["Status"], &object["BytesReturned"]), (&"200".into(), &"4".into()));

    let log = Log::new();
    let fields = ["Relay=INSTANCE_ID", "Line=REQUEST_LINE", "Kind=TEXT:a:b"];
    let mut flags = vec!["--access-log-entry=json", "--instance-id=r1"];
    flags.extend(["--access-log-prefix=@cee: ", "--access-log-suffix=,\\n"]);
    for field in fields {
        flags.extend(["--access-log-field", field]);
    }
    let relay = log.relay(&flags);
    relay.await_turn();
    let line = r#"@cee: {"Kind":"a:b","Line":"GET /ping HTTP/1.1","Relay":"r1"},"#;
    assert_eq!(log.lines(1), [line]);
}

#[test]
fn times_are_utc_or_in_the_local_time_zone() {
    for (flag, offset) in [("--access-log-utc=true", "+0000"), ("--access-log-utc=false", "+0530")]
    {
        let log = Log::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        command.env("TZ", "IST-5:30").args(["serve", "--listen", "127.0.0.1:0", flag]);
        command.args(["--access-log", log.path(), "--access-log-format", "%{-0700 %%}t|%{%z}t|%t"]);
        let relay = Relay::from_command(command, 1);
        relay.await_turn();
        let line = &log.lines(1)[0];
        assert!(
            line.contains(&format!("|{offset}|")) && line.ends_with(&format!("{offset}]")),
            "{line}"
        );
    }
}

#[test]
fn the_log_is_appended_to_and_readable_by_its_owner_only() {
    let log = Log::new();
    for count in 1..=2 {
        let relay = log.relay(&["--access-log-preset", "common"]);
        relay.await_turn();
        relay.signal(Signal::SIGTERM);
        assert_eq!(relay.finish().status.code(), Some(0));
        log.lines(count);
    }
    let mode = fs::metadata(&log.path).expect("the log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn every_name_of_standard_output_works() {
    for name in ["stdout", "STDOUT", "-", "/dev/stdout"] {
        let relay = Relay::start(&["--access-log", name]);
        relay.await_turn();
        eventually("the line", || {
            relay.process().stdout().contains("\"GET /ping\" 200").then_some(())
        });
    }
}

#[test]
fn a_rotated_log_is_reopened_on_a_signal() {
    for buffer in ["1024", "0"] {
        let log = Log::new();
        let relay = log.relay(&["--access-log-buffer", buffer]);
        relay.await_turn();
        log.lines(1);
        let old = log.directory.path().join("access.log.1");
        fs::rename(&log.path, &old).expect("rename");
        relay.signal(Signal::SIGUSR1);
        eventually("a new file", || log.path.exists().then_some(()));
        relay.await_turn();
        log.lines(1);
        assert_eq!(fs::read_to_string(&old).expect("the old log").lines().count(), 1);
    }
}

#[test]
fn a_removed_log_directory_and_its_return_are_reported_once() {
    let log = Log::new();
    let inner = log.directory.path().join("inner");
    fs::create_dir(&inner).expect("a directory");
    let path = inner.join("access.log");
    let relay = Relay::start(&["--access-log", path.to_str().expect("ASCII")]);
    fs::remove_dir_all(&inner).expect("gone");
    let logged = |what| times(&relay.process().stderr(), what);
    for _ in 0..3 {
        relay.signal(Signal::SIGUSR1);
        relay.await_turn();
    }
    eventually("it is logged", || (logged("cannot reopen the access log") > 0).then_some(()));
    fs::create_dir(&inner).expect("back");
    eventually("it is written again", || {
        relay.await_turn();
        path.exists().then_some(())
    });
    eventually("that is logged", || (logged("is open again") > 0).then_some(()));
    assert_eq!((logged("cannot reopen the access log"), logged("is open again")), (1, 1));
}

#[test]
fn a_full_disk_is_reported_once_and_blocks_nothing() {
    for buffer in ["1024", "0"] {
        let relay = Relay::start(&["--access-log", "/dev/full", "--access-log-buffer", buffer]);
        for _ in 0..3 {
            relay.await_turn();
        }
        let mut pair = relay.pair(Framing::Chunked);
        pair.pass_first(b"hello");
        pair.complete();
        eventually("it is logged", || {
            relay.process().stderr().contains("cannot write the access log /dev/full").then_some(())
        });
        relay.signal(Signal::SIGTERM);
        drop(pair);
        let finished = relay.finish();
        assert_eq!(finished.status.code(), Some(0));
        assert_eq!(times(&finished.stderr, "cannot write"), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains("lines of the access log were dropped"));
    }
}

#[test]
fn a_stalled_reader_loses_lines_and_blocks_nothing() {
    let log = Log::new();
    nix::unistd::mkfifo(&log.path, Mode::S_IRWXU).expect("a FIFO");
    let relay = log.relay(&["--access-log-preset", "combined", "--access-log-buffer", "4"]);
    let mut wire = relay.connect();
    // 64 KiB fit into the FIFO, four lines into the buffer.
    let lengthy = ask("GET", "/ping").field("User-Agent", &"x".repeat(4000));
    let logged = |relay: &Relay| times(&relay.process().stderr(), "written too slowly");
    eventually("lines are dropped", || {
        assert_eq!(wire.exchange(&lengthy).status(), 200);
        (logged(&relay) > 0).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(wire.exchange(&lengthy).status(), 200);
    }
    assert_eq!(logged(&relay), 1, "once a burst");

    let reader = OpenOptions::new().read(true).open(&log.path).expect("a reader");
    let (sender, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    for _ in 0..16 {
        let line = lines.recv_timeout(TEST_TIMEOUT).expect("a line");
        assert!(line.contains("\"GET /ping HTTP/1.1\" 200 4 \"-\" \"xxx"), "{line}");
    }
    eventually("new lines come through", || {
        relay.get("/version");
        lines.try_iter().any(|line| line.contains("GET /version")).then_some(())
    });
    drop(wire);
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.finish().status.code(), Some(0));
}

#[test]
fn a_stuck_log_does_not_delay_the_exit() {
    let log = Log::new();
    nix::unistd::mkfifo(&log.path, Mode::S_IRWXU).expect("a FIFO");
    let relay = log.relay(&["--access-log-preset", "combined"]);
    let mut wire = relay.connect();
    let lengthy = ask("GET", "/ping").field("User-Agent", &"x".repeat(4000));
    for _ in 0..40 {
        assert_eq!(wire.exchange(&lengthy).status(), 200);
    }
    drop(wire);
    relay.signal(Signal::SIGTERM);
    let finished = relay.finish();
    assert_eq!(finished.status.code(), Some(0));
    assert!(
        finished.stderr.contains("last lines of the access log are lost"),
        "{}",
        finished.stderr
    );
}

#[test]
fn draining_loses_no_lines() {
    for signals in [1, 2] {
        let log = Log::new();
        let relay =
            log.relay(&["--access-log-format", "%m %s %B %{outcome}X", "--drain-timeout", "1h"]);
        let mut pair = relay.pair(Framing::Length(10));
        pair.pass_first(b"01234");
        let id = relay.create();
        let mut waiting = relay.waiting_destination(&id);
        relay.signal(Signal::SIGTERM);
        assert_eq!(waiting.response().status(), 503);
        if signals == 1 {
            pair.pass(b"56789");
            pair.complete();
        } else {
            relay.signal(Signal::SIGTERM);
        }
        assert_eq!(pair.destination.read_to_end().0, b"");
        drop((pair, waiting));
        assert_eq!(relay.finish().status.code(), Some(0));
        let text = log.text();
        let wanted: [&str; 2] = match signals {
            1 => ["GET 200 10 FINISHED", "PUT 200 0 FINISHED"],
            _ => ["GET 200 5 CLIENT_ERROR", "PUT 503 "],
        };
        assert!(text.lines().any(|line| line.starts_with("GET 503 ")), "{text}");
        for line in wanted {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line} in {text}");
        }
    }
}

#[test]
fn an_invalid_log_setting_is_a_one_line_error_at_startup() {
    let missing = Path::new("/nowhere/access.log").to_str().expect("ASCII");
    let rows: [(&[&str], i32, &[&str]); 9] = [
        (&["--access-log", missing], 1, &["cannot open the access log /nowhere/access.log"]),
        (&["--access-log", ""], 2, &["--access-log", "stdout"]),
        (&["--access-log-format", "%h %z"], 2, &["--access-log-format", "character 4", "'%z'"]),
        (&["--access-log-format", "%{never}t"], 2, &["'never' shows no time"]),
        (&["--access-log-preset", "fancy"], 2, &["--access-log-preset", "framework"]),
        (&["--access-log-field", "A=B"], 2, &["--access-log-field", "invalid type 'B'", "REMOTE"]),
        (&["--access-log-buffer=-1"], 2, &["--access-log-buffer"]),
        (&["--access-log-suffix", "\\x"], 2, &["--access-log-suffix"]),
        (
            &[
                "--access-log",
                "/dev/null",
                "--access-log-entry",
                "json",
                "--access-log-field",
                "A=PATH",
                "--access-log-field",
                "A=QUERY",
            ],
            1,
            &["--access-log-field", "duplicate field A"],
        ),
    ];
    for (flags, code, parts) in rows {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"][..], flags].concat();
        let finished = Process::rdv(&arguments).finish();
        assert_eq!(finished.status.code(), Some(code), "{flags:?}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{flags:?}: {}", finished.stderr);
        for part in parts {
            assert!(finished.stderr.contains(part), "{part:?} in {}", finished.stderr);
        }
    }
}
