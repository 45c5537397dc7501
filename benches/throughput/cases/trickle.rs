//! A slow source: one byte every 100 ms, each of which must arrive immediately.
//!
//! Source and sink are threads of one process, so one clock serves both.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::started;
use crate::chunks::Decoder;
use crate::client::Client;
use crate::measure::{median, now};
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::wire::{Body, Framing, WRITE_BYTES, Wire};
use crate::{Result, failure};

/// Time between two bytes.
const PAUSE: Duration = Duration::from_millis(100);
/// The bulk before the single bytes, in the variants with bulk.
const BULK_BYTES: u64 = 256 << 20;
/// Maximum median and maximum latency of a byte, in milliseconds.
const LIMITS: (f64, f64) = (0.2, 5.0);

const COLUMNS: [Column; 2] = [Column::new("median ms", 3), Column::new("longest ms", 3)];

/// The upload before the single bytes, and the framing of the body.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    bulk: bool,
    chunked: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant { name: "known length, from the start", bulk: false, chunked: false },
    Variant { name: "unknown length, from the start", bulk: false, chunked: true },
    Variant { name: "known length, after bulk", bulk: true, chunked: false },
    Variant { name: "unknown length, after bulk", bulk: true, chunked: true },
];

/// One body of this case.
#[derive(Clone, Copy)]
struct Plan {
    chunked: bool,
    bulk: u64,
    trickle: u32,
}

/// Latency of each byte through the relay, and through the plain loop for comparison.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut relays = Vec::new();
    for build in &bench.builds() {
        relays.extend(started(bench.rdv(build), report));
    }
    relays.extend(started(bench.own("plain splice", "plain-splice"), report));
    let mut rows = Vec::new();
    for variant in VARIANTS {
        for relay in &mut relays {
            let bulk = if variant.bulk { bench.size(BULK_BYTES, 4 << 20) } else { 0 };
            let plan = Plan { chunked: variant.chunked, bulk, trickle: bench.size(50, 5) };
            let times = measure(relay, plan);
            relay.check_alive()?;
            let times = times.map_err(|error| {
                failure(format!("trickle, {}, {}: {error}", relay.name, variant.name))
            })?;
            let longest = times.iter().copied().fold(0.0, f64::max);
            let median = median(times);
            let figures = [median, longest].map(|time| Figure::of([time]));
            rows.push((format!("{}, {}", relay.name, variant.name), figures));
            if relay.name == "rdv" {
                let what = format!("trickle, {}", variant.name);
                report.at_most(&format!("{what}: median ms"), Some(median), LIMITS.0);
                report.at_most(&format!("{what}: longest ms"), Some(longest), LIMITS.1);
            }
        }
    }
    report.table("trickle, a byte every 100 ms", "body", &COLUMNS, rows);
    Ok(())
}

/// The latency of each byte from source to sink, in milliseconds.
fn measure(relay: &Relay, plan: Plan) -> Result<Vec<f64>> {
    let id = relay.streams(1)?.remove(0);
    let mut destination = Client::connect(relay.address)?;
    destination.send(&format!("GET /stream/{id}"), "", b"")?;
    let mut source = Client::connect(relay.address)?;
    let (arrived, arrivals) = channel();
    let sink = thread::spawn(move || {
        receive(destination, plan, |position| {
            // The channel is closed if the source failed.
            let _ = arrived.send((position, now()));
        })
    });
    let sent = send(&mut source, plan, &id, &arrivals);
    let sent = match sent {
        Ok(sent) => sent,
        Err(error) => {
            source.socket.shutdown(std::net::Shutdown::Both)?;
            return Err(error);
        }
    };
    sink.join().map_err(|_| failure("the sink panicked"))??;
    if source.head()?.0 != 200 {
        return Err(failure("the upload was refused"));
    }
    sent.into_iter().map(|(position, at)| latency(position, at, &arrivals)).collect()
}

/// Milliseconds from `at` until the payload up to and including byte `position` arrived.
fn latency(position: u64, at: Duration, arrivals: &Receiver<(u64, Duration)>) -> Result<f64> {
    let arrival = arrivals.iter().find(|(received, _)| *received > position);
    let (_, arrival) = arrival.ok_or_else(|| failure(format!("byte {position} is missing")))?;
    Ok(arrival.saturating_sub(at).as_secs_f64() * 1e3)
}

/// Uploads; returns the position and the time of each single byte.
fn send(
    source: &mut Client,
    plan: Plan,
    id: &str,
    arrivals: &Receiver<(u64, Duration)>,
) -> Result<Vec<(u64, Duration)>> {
    let framing = if plan.chunked { Framing::Chunks(65_524) } else { Framing::Length };
    let total = plan.bulk + u64::from(plan.trickle);
    let bulk = Wire::new(Body { framing, length: plan.bulk, seed: 0 });
    let (last, piece): (&[u8], &[u8]) =
        if plan.chunked { (b"0\r\n\r\n", b"1\r\nx\r\n") } else { (b"", b"x") };
    let bulk_bytes = bulk.len() - last.len() as u64;
    let wire_bytes = bulk_bytes + u64::from(plan.trickle) * piece.len() as u64 + last.len() as u64;
    let head = Body { framing, length: total, seed: 0 };
    source.socket.write_all(head.upload_head(id, "127.0.0.1", wire_bytes).as_bytes())?;
    let mut position = 0;
    while position < bulk_bytes {
        let bytes = bulk.at(position);
        let left = usize::try_from(bulk_bytes - position)?;
        let bytes = &bytes[..bytes.len().min(left).min(WRITE_BYTES)];
        source.socket.write_all(bytes)?;
        position += bytes.len() as u64;
    }
    // The first single byte must not queue behind the bulk.
    if plan.bulk > 0 {
        arrivals.iter().find(|(received, _)| *received == plan.bulk);
    }
    let mut sent = Vec::new();
    for index in 0..plan.trickle {
        thread::sleep(PAUSE);
        sent.push((plan.bulk + u64::from(index), now()));
        source.socket.write_all(piece)?;
    }
    source.socket.write_all(last)?;
    Ok(sent)
}

/// Downloads, and reports the payload received so far after each read.
fn receive(mut destination: Client, plan: Plan, arrived: impl Fn(u64)) -> Result<()> {
    let total = plan.bulk + u64::from(plan.trickle);
    let (status, _) = destination.head()?;
    if status != 200 {
        return Err(failure(format!("the download returned {status}")));
    }
    let mut decoder = Decoder::new();
    let mut received = 0;
    let mut bytes = vec![0; 256 << 10];
    let mut wire = destination.take_rest();
    loop {
        if plan.chunked {
            decoder.feed(&wire, |payload| {
                received += payload.len() as u64;
                Ok(())
            })?;
        } else {
            received += wire.len() as u64;
        }
        arrived(received);
        if received == total && (!plan.chunked || decoder.ended()) {
            return Ok(());
        }
        let count = destination.socket.read(&mut bytes)?;
        if count == 0 {
            return Err(failure(format!("the download ended after {received} bytes")));
        }
        wire.clear();
        wire.extend_from_slice(&bytes[..count]);
    }
}
