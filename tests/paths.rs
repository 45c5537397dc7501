//! Slow paths: two network namespaces with a line between them whose rate is limited. Needs root,
//! iproute2, and a kernel with veth and tbf (tc-tbf(8)); without them it says so and checks nothing.

mod support;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use support::{Process, Relay, eventually, parse};

/// A transfer over a slow line.
#[derive(Debug)]
struct Case {
    name: &'static str,
    slow: Slow,
    /// How long a segment may wait in the queue before it is dropped.
    queue: &'static str,
    /// More arguments for the curl that uploads.
    upload: &'static [&'static str],
    /// More arguments for the curl that downloads.
    download: &'static [&'static str],
    side: &'static str,
}

/// A namespace for the relay and one for a client, joined by a line.
struct Line {
    near: String,
    far: String,
}

/// At which end of the line its rate is limited.
#[derive(Clone, Copy, Debug)]
enum Slow {
    /// What the relay sends.
    Out,
    /// What the client sends.
    In,
}

static LINES: AtomicU32 = AtomicU32::new(0);

impl Line {
    /// `None`, with a note, where that cannot be had.
    fn lay(case: &Case) -> Option<Line> {
        let number = LINES.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("rdv-{}-{number}-{end}", std::process::id());
        let line = Line { near: name("near"), far: name("far") };
        let (near, far) = (line.near.as_str(), line.far.as_str());
        let limited = match case.slow {
            Slow::Out => near,
            Slow::In => far,
        };
        let steps = [
            format!("ip netns add {near}"),
            format!("ip netns add {far}"),
            format!("ip -n {near} link add line type veth peer name line netns {far}"),
            format!("ip -n {near} address add 192.0.2.1/24 dev line"),
            format!("ip -n {far} address add 192.0.2.2/24 dev line"),
            format!("ip -n {near} link set line up"),
            format!("ip -n {far} link set line up"),
            format!("ip -n {near} link set lo up"),
            format!(
                "tc -n {limited} qdisc add dev line root tbf rate 8mbit burst 16kb latency {}",
                case.queue
            ),
        ];
        for step in steps {
            if let Err(reason) = run(&step) {
                println!("{}: skipped: {step}: {reason}", case.name);
                return None;
            }
        }
        Some(line)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for end in [&self.near, &self.far] {
            let _ = run(&format!("ip netns delete {end}"));
        }
    }
}

fn run(command: &str) -> Result<(), String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(said()) }
}

/// A command in a namespace.
fn within(namespace: &str, words: &[String]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command
}

fn curl(arguments: &[&str]) -> Vec<String> {
    let quiet = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "30"];
    quiet.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect()
}

/// A transfer over a slow line; waits for this verdict over a second or more.
fn assert_side(case: &Case) {
    let Some(line) = Line::lay(case) else { return };
    let serve = [env!("CARGO_BIN_EXE_rdv"), "serve", "--listen", "192.0.2.1:0"];
    let relay = Relay::from_command(within(&line.near, &serve.map(str::to_owned)), 1);
    let ask = |arguments: &[&str]| -> Value {
        let output = within(&line.near, &curl(arguments)).output().expect("curl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        parse(&output.stdout)
    };
    let created = ask(&["-X", "POST", &relay.url("/stream")]);
    let url = relay.url(&format!("/stream/{}", created["stream"].as_str().expect("an id")));
    let (source, destination) = match case.slow {
        Slow::Out => (&line.near, &line.far),
        Slow::In => (&line.far, &line.near),
    };
    let upload = [&["-T", "/dev/zero", &url], case.upload].concat();
    let download = [&["-o", "/dev/null", &url], case.download].concat();
    let status = format!("{url}/status");
    let _destination = Process::start(within(destination, &curl(&download)));
    let _source = Process::start(within(source, &curl(&upload)));
    let mut last = Value::Null;
    eventually(&format!("{case:?}"), || {
        last = ask(&[&status])["bottleneck"].take();
        let long = last["window_ms"].as_u64() >= Some(1000);
        (long && last["side"] == case.side).then_some(())
    });
}

#[test]
fn a_slow_line_is_told_from_slow_programs_at_its_ends() {
    let slowly: &[&str] = &["--limit-rate", "100K"];
    let cases = [
        Case {
            name: "out, with losses",
            slow: Slow::Out,
            queue: "50ms",
            upload: &[],
            download: &[],
            side: "network_out",
        },
        Case {
            name: "out, with a long queue",
            slow: Slow::Out,
            queue: "1s",
            upload: &[],
            download: &[],
            side: "network_out",
        },
        Case {
            name: "in, with losses",
            slow: Slow::In,
            queue: "50ms",
            upload: &[],
            download: &[],
            side: "network_in",
        },
        Case {
            name: "in, with a long queue",
            slow: Slow::In,
            queue: "1s",
            upload: &[],
            download: &[],
            side: "network_in",
        },
        Case {
            name: "a slower source",
            slow: Slow::In,
            queue: "1s",
            upload: slowly,
            download: &[],
            side: "source",
        },
        Case {
            name: "a slower destination",
            slow: Slow::Out,
            queue: "1s",
            upload: &[],
            download: slowly,
            side: "destination",
        },
    ];
    std::thread::scope(|scope| {
        for case in &cases {
            scope.spawn(move || assert_side(case));
        }
    });
}
