//! Complete small exchanges: `POST /stream`, a `PUT` of 1 KiB, and the `GET`, in sequence.

use super::started;
use crate::client::Client;
use crate::measure::{median, now, since};
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::{Result, failure};

/// Payload of one exchange.
const PAYLOAD: [u8; 1024] = [b'x'; 1024];

/// The order of the requests, and the use of connections.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) upload_first: bool,
    keep: bool,
}

pub(super) const VARIANTS: [Variant; 4] = [
    Variant { name: "new connections, GET first", upload_first: false, keep: false },
    Variant { name: "new connections, PUT first", upload_first: true, keep: false },
    Variant { name: "kept-alive, GET first", upload_first: false, keep: true },
    Variant { name: "kept-alive, PUT first", upload_first: true, keep: true },
];

/// The server that sends the same responses and does nothing else.
const BASELINE: &str = "bare server";

/// Microseconds of relay CPU per exchange.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let count = bench.size(5000, 20);
    let builds = bench.builds();
    let names: Vec<_> = builds.iter().map(|build| build.name).chain([BASELINE]).collect();
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    for variant in VARIANTS {
        let mut costs = vec![Vec::new(); names.len()];
        for _ in 0..bench.runs() {
            // New processes each time, so that closed connections do not use up the ports.
            let relays = builds.iter().map(|build| bench.rdv(build));
            let relays = relays.chain([bench.own(BASELINE, "responder")]);
            for (relay, costs) in relays.zip(&mut costs) {
                let Some(mut relay) = started(relay, report) else { return Ok(()) };
                let cost = measure(&mut relay, variant, count)?;
                costs.push(cost.cpu_us);
            }
        }
        let floor = costs.last().cloned().unwrap_or_default();
        let ratios = costs[0].iter().zip(&floor).map(|(cost, floor)| cost / floor);
        figures.push((variant, median(ratios)));
        for (name, costs) in names.iter().zip(costs) {
            rows.push((format!("{name}, {}", variant.name), [Figure::of(costs)]));
        }
    }
    let title = format!("small, {count} exchanges of 1 KiB in sequence");
    report.table(title, "exchange", &[Column::with_spread("CPU µs each", 1)], rows);
    for (variant, ratio) in figures {
        let what = format!("small, {}: CPU, rdv / {BASELINE}", variant.name);
        report.at_most(&what, Some(ratio), 1.25);
    }
    Ok(())
}

/// The cost of one exchange.
pub(super) struct Cost {
    /// Microseconds of the relay's CPU.
    pub(super) cpu_us: f64,
    /// Exchanges per second.
    pub(super) per_second: f64,
}

/// Runs `count` exchanges in sequence.
pub(super) fn measure(relay: &mut Relay, variant: Variant, count: u32) -> Result<Cost> {
    let cost = attempt(relay, variant, count);
    relay.check_alive()?;
    cost.map_err(|error| failure(format!("{}: {error}", variant.name)))
}

fn attempt(relay: &Relay, variant: Variant, count: u32) -> Result<Cost> {
    let connect = || Client::connect(relay.address);
    let mut kept = (connect()?, connect()?);
    exchange(&mut kept.0, &mut kept.1, variant)?;
    let (before, begin) = (relay.cpu()?, now());
    for _ in 0..count {
        if variant.keep {
            exchange(&mut kept.0, &mut kept.1, variant)?;
        } else {
            let id = connect()?.create_stream()?;
            meet(&mut connect()?, &mut connect()?, &id, variant)?;
        }
    }
    let cpu = relay.cpu()?.saturating_sub(before);
    Ok(Cost {
        cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(count),
        per_second: f64::from(count) / since(begin).as_secs_f64(),
    })
}

/// One exchange over two connections.
fn exchange(source: &mut Client, destination: &mut Client, variant: Variant) -> Result<()> {
    let id = destination.create_stream()?;
    meet(source, destination, &id, variant)
}

fn meet(source: &mut Client, destination: &mut Client, id: &str, variant: Variant) -> Result<()> {
    let put = format!("PUT /stream/{id}");
    let get = format!("GET /stream/{id}");
    let length = format!("Content-Length: {}\r\n", PAYLOAD.len());
    if variant.upload_first {
        source.send(&put, &length, &PAYLOAD)?;
        destination.send(&get, "", b"")?;
    } else {
        destination.send(&get, "", b"")?;
        source.send(&put, &length, &PAYLOAD)?;
    }
    destination.expect("GET", &PAYLOAD)?;
    source.expect("PUT", b"")
}
