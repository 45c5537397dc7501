//! Memory of waiting streams.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use super::started;
use crate::children::retry;
use crate::client::Client;
use crate::measure::{Deadline, resident_bytes};
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::{self, Report};
use crate::{Result, failure};

/// Waiting streams, each with one connection.
const STREAMS: u64 = 10_000;
/// The body that is left in the sockets in the second variant.
const BODY_BYTES: usize = 100_000;
/// Maximum kernel memory of one connection with an unread body.
const KERNEL_BYTES: u64 = 2 * BODY_BYTES as u64;
/// Other descriptors of a process.
pub(super) const SPARE_DESCRIPTORS: u64 = 200;

const COLUMNS: [Column; 2] =
    [Column::new("bytes per stream, created", 0), Column::new("bytes per stream, waiting", 0)];

/// The resident set at three moments.
struct Growth {
    before: u64,
    created: u64,
    parked: u64,
}

/// Growth of the resident set per connection.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let wanted = bench.size(STREAMS, 200);
    let allowed = bench.descriptors.saturating_sub(SPARE_DESCRIPTORS);
    let memory = available_bytes().map_or(wanted, |bytes| bytes / 4 / KERNEL_BYTES);
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    for (name, bodies, limit) in [
        ("half waiting sources (Expect), half destinations", false, allowed),
        ("sources that send 100 kB already", true, allowed.min(memory)),
    ] {
        let count = wanted.min(limit);
        if count < wanted {
            let reason = "limit of descriptors or memory";
            table::note(&format!("parked: {count} streams instead of {wanted} ({reason})"));
        }
        for build in &bench.builds() {
            let relay = bench.rdv_for(build, count + SPARE_DESCRIPTORS / 2);
            let Some(mut relay) = started(relay, report) else { continue };
            let growth = park(&relay, count, bodies);
            relay.check_alive()?;
            let growth = growth.map_err(|error| failure(format!("parked, {name}: {error}")))?;
            let each = |bytes: u64| bytes.saturating_sub(growth.before) as f64 / count as f64;
            let figures_each =
                [growth.created, growth.parked].map(|bytes| Figure::of([each(bytes)]));
            rows.push((format!("{}, {count} {name}", relay.name), figures_each));
            if relay.name == "rdv" {
                figures.push((name, each(growth.parked)));
            }
        }
    }
    report.table("parked, growth of the resident set", "waiting", &COLUMNS, rows);
    for (name, bytes) in figures {
        report.at_most(&format!("parked, {name}: bytes each"), Some(bytes), 1024.0);
    }
    Ok(())
}

/// Opens `count` waiting connections, checks that each waits, and reads the memory in use.
fn park(relay: &Relay, count: u64, bodies: bool) -> Result<Growth> {
    let mut observer = Client::connect(relay.address)?;
    observer.create_stream()?;
    let before = resident_bytes(relay.pid)?;
    let ids: Result<Vec<_>> = (0..count).map(|_| observer.create_stream()).collect();
    let ids = ids?;
    let created = resident_bytes(relay.pid)?;
    let body = vec![b'x'; BODY_BYTES];
    let mut clients = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let mut client = Client::connect(relay.address)?;
        if bodies {
            let length = format!("Content-Length: {BODY_BYTES}\r\n");
            client.send(&format!("PUT /stream/{id}"), &length, b"")?;
            client.socket.set_nonblocking(true)?;
            push(&mut client, &body)?;
        } else if index % 2 == 0 {
            let headers = "Content-Length: 1000\r\nExpect: 100-continue\r\n";
            client.send(&format!("PUT /stream/{id}"), headers, b"")?;
        } else {
            client.send(&format!("GET /stream/{id}"), "", b"")?;
        }
        client.socket.set_nonblocking(true)?;
        clients.push(client);
    }
    for id in ids.iter().rev().take(100) {
        let deadline = Deadline::after(Duration::from_secs(10));
        retry(deadline, || waits(&mut observer, id))?;
    }
    thread::sleep(Duration::from_millis(300));
    let parked = resident_bytes(relay.pid)?;
    clients.iter_mut().try_for_each(silent)?;
    Ok(Growth { before, created, parked })
}

/// Sends as much of a body as the sockets take.
fn push(client: &mut Client, mut body: &[u8]) -> Result<()> {
    while !body.is_empty() {
        match client.socket.write(body) {
            Ok(count) => body = &body[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns an error unless one side of the stream is connected.
fn waits(observer: &mut Client, id: &str) -> Result<()> {
    observer.send(&format!("GET /stream/{id}/status"), "", b"")?;
    let response = observer.read_response()?;
    let status = String::from_utf8_lossy(&response.body).into_owned();
    if status.contains("SRC_CONNECTED") || status.contains("DST_CONNECTED") {
        return Ok(());
    }
    Err(failure(format!("a stream is not waiting: {status}")))
}

/// Returns an error if the relay responded or closed the connection.
fn silent(client: &mut Client) -> Result<()> {
    match client.socket.read(&mut [0; 256]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
        Ok(0) => Err(failure("a waiting connection was closed")),
        Ok(_) => Err(failure("a response was sent to a waiting connection")),
    }
}

/// Available memory of the machine.
fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
