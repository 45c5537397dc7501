//! TLS at both ends: the relay's own, and that of a proxy that passes all requests to a plain relay.
//! The CPU of the proxy includes that of its relay.

use std::env;
use std::process::Command;
use std::time::Duration;

use super::comparison::Comparison;
use super::transfers::MIB;
use super::{missing, started};
use crate::children::Worker;
use crate::measure::Deadline;
use crate::options::SinkMode;
use crate::peers::{Bench, HAPROXY, Relay};
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::tls::SUITE;
use crate::transfer::{Load, Sample};
use crate::{Result, failure};

const COLUMNS: [Column; 3] = [
    Column::new("connections/s", 0),
    Column::with_spread("connections/CPU s", 0),
    Column::new("CPU µs each", 0),
];

/// A relay without TLS, for comparison.
const PLAIN: &str = "rdv, plain";

/// Transfers, then connections.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    transfers(bench, report);
    let mut relays = relays(bench, report);
    for (name, resume) in [("full handshakes", false), ("resumed sessions", true)] {
        connections(bench, report, &mut relays, (name, resume))?;
    }
    Ok(())
}

/// The relays with TLS, and one without.
fn relays(bench: &Bench, report: &mut Report) -> Vec<Relay> {
    let builds = bench.builds();
    let mut relays: Vec<Relay> =
        builds.iter().filter_map(|build| started(bench.rdv_tls(build), report)).collect();
    let Some(build) = builds.first() else { return relays };
    for (proxy, program, package) in [
        (bench.nginx_tls(build), "nginx", "nginx-light"),
        (bench.haproxy_tls(build), "haproxy", "haproxy"),
    ] {
        match proxy {
            Ok(Some(relay)) => relays.push(relay),
            Ok(None) => missing(program, package),
            Err(error) => report.failed("start", &error),
        }
    }
    relays.extend(started(bench.rdv_with(PLAIN, &[]), report));
    relays
}

/// One stream, and 100 at once.
fn transfers(bench: &Bench, report: &mut Report) {
    let mut comparison = Comparison::from(relays(bench, report));
    for (what, streams, length) in [
        ("one stream", 1, bench.size(2048 * MIB, 8 * MIB)),
        ("100 streams", bench.size(100, 8), bench.size(16 * MIB, MIB)),
    ] {
        let load = Load::new(streams, length, SinkMode::Read);
        let title = format!("tls, {streams} of {} KiB, reading sink ({SUITE})", length >> 10);
        comparison.run(bench, report, &title, &load);
        let cpu = comparison.ratio("rdv", HAPROXY, Sample::cpu_per_gib);
        report.at_most(&format!("tls, {what}: CPU, rdv / {HAPROXY}"), cpu, 1.0);
    }
}

/// New connections with one `GET /ping` each.
fn connections(
    bench: &Bench,
    report: &mut Report,
    relays: &mut [Relay],
    (name, resume): (&str, bool),
) -> Result<()> {
    let mut entries: Vec<(&mut Relay, Vec<Connections>)> =
        relays.iter_mut().map(|relay| (relay, Vec::new())).collect();
    let time = Duration::from_millis(bench.size(2000, 200));
    for _ in 0..bench.runs() {
        for (relay, samples) in &mut entries {
            samples.push(Connections::measure(relay, time, resume)?);
        }
    }
    let row = |(relay, samples): &(&mut Relay, Vec<Connections>)| {
        let figure = |figure: fn(&Connections) -> f64| Figure::of(samples.iter().map(figure));
        let figures = [
            figure(|sample| sample.count / sample.seconds),
            figure(|sample| sample.count / sample.cpu),
            figure(|sample| sample.cpu * 1e6 / sample.count),
        ];
        (relay.name.clone(), figures)
    };
    let title = format!("tls, {name}, GET /ping each, 4 at a time ({SUITE})");
    report.table(title, "relay", &COLUMNS, entries.iter().map(row).collect());
    Ok(())
}

/// Connections of one run.
struct Connections {
    count: f64,
    seconds: f64,
    /// CPU seconds of the relay and its proxy.
    cpu: f64,
}

impl Connections {
    fn measure(relay: &mut Relay, time: Duration, resume: bool) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["connect", "--server", &relay.client_address().to_string()]);
        command.args(["--millis", &time.as_millis().to_string()]);
        if let Some(certificate) = relay.certificate() {
            command.arg("--tls").arg(certificate);
        }
        if resume {
            command.arg("--resume");
        }
        let before = relay.cpu()?;
        let client = Worker::start("connect", &mut command, "")?;
        let lines = client.finish(Deadline::after(time + Duration::from_secs(20)));
        let cpu = relay.cpu()?.saturating_sub(before).as_secs_f64();
        relay.check_alive()?;
        let lines = lines.map_err(|error| failure(format!("{}: {error}", relay.name)))?;
        let line = lines.iter().find_map(|line| line.strip_prefix("connected "));
        let (count, seconds) = line
            .and_then(|line| line.split_once(' '))
            .ok_or_else(|| failure("connect printed no figures"))?;
        Ok(Self { count: count.parse()?, seconds: seconds.parse()?, cpu })
    }
}
