//! Slow links: two network namespaces with a rate-limited link between them. Needs root, iproute2,
//! and a kernel with veth and tbf (tc-tbf(8)); skipped without them.

use crate::support::{Line, Process, Relay, command_in_namespace, eventually, parse, run, skip};
use serde_json::Value;

/// A transfer over a slow link.
#[derive(Debug)]
struct Case {
    name: &'static str,
    slow: Slow,
    /// Maximum time of a segment in the queue before it is dropped.
    queue: &'static str,
    /// More arguments for the uploading curl.
    upload: &'static [&'static str],
    /// More arguments for the downloading curl.
    download: &'static [&'static str],
    side: &'static str,
}

/// The end of the link whose rate is limited.
#[derive(Clone, Copy, Debug)]
enum Slow {
    /// The relay's output.
    Out,
    /// The client's output.
    In,
}

impl Slow {
    /// Limits the rate at this end.
    fn down(self, line: &Line, queue: &str) -> Result<(), String> {
        let limited = match self {
            Slow::Out => &line.near,
            Slow::In => &line.far,
        };
        let limit = format!("tbf rate 8mbit burst 16kb latency {queue}");
        run(&format!("tc -n {limited} qdisc add dev line root {limit}"))
    }
}

fn curl(arguments: &[&str]) -> Vec<String> {
    let quiet = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "120"];
    quiet.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect()
}

/// Runs a transfer over a slow link; waits until this verdict holds for a second or more.
fn assert_side(case: &Case) {
    let laid = Line::create().and_then(|line| case.slow.down(&line, case.queue).map(|()| line));
    let line = match laid {
        Ok(line) => line,
        Err(reason) => return skip("slow link", &format!("{}: {reason}", case.name)),
    };
    let serve = [env!("CARGO_BIN_EXE_rdv"), "serve", "--listen", "192.0.2.1:0"];
    let relay = Relay::from_command(command_in_namespace(&line.near, &serve.map(str::to_owned)), 1);
    let ask = |arguments: &[&str]| -> Value {
        let output = command_in_namespace(&line.near, &curl(arguments)).output().expect("curl");
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
    let _destination = Process::start(command_in_namespace(destination, &curl(&download)));
    let _source = Process::start(command_in_namespace(source, &curl(&upload)));
    let mut last = Value::Null;
    eventually(&format!("{case:?}"), || {
        last = ask(&[&status])["bottleneck"].take();
        let long = last["window_ms"].as_u64() >= Some(1000);
        (long && last["side"] == case.side).then_some(())
    });
}

#[test]
fn a_slow_link_is_distinguished_from_slow_peers() {
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
