//! A large response of an exposed API, compared with a stream of the same size through the same
//! relay: over the agent's tunnels, and through its WebSocket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};

use super::started;
use crate::children::{Worker, retry};
use crate::client::Client;
use crate::measure::{Deadline, GIB, median, now, peak_bytes, since};
use crate::options::SinkMode;
use crate::peers::{Bench, Build, Relay};
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::transfer::Load;
use crate::wire::{Body, Framing, Verifier, Wire};
use crate::{Result, failure};

/// Maximum bytes that the client discards in the kernel at once.
const DROP_BYTES: usize = 1 << 20;

/// Maximum cost of a call, relative to a stream of the same size.
const CALL_MAX: f64 = 1.2;

/// Maximum growth of the relay's peak memory, in MiB.
const GROWTH_MAX_MIB: f64 = 4.0;

const COLUMNS: [Column; 2] = [Column::new("GiB/s", 2), Column::with_spread("CPU s/GiB", 4)];

/// One route to the API.
struct Route {
    name: &'static str,
    /// Spare connections of the agent.
    spares: &'static str,
}

const ROUTES: [Route; 2] =
    [Route { name: "call, tunnel", spares: "4" }, Route { name: "call, WebSocket", spares: "0" }];

/// The relay's CPU and the rate of one transfer.
#[derive(Clone, Copy)]
struct Figures {
    cpu_per_gib: f64,
    gib_per_second: f64,
}

/// Compares calls with streams.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    for build in &bench.builds() {
        let Some(mut relay) = started(bench.rdv(build), report) else { continue };
        let body = Body { framing: Framing::Length, length: bench.size(4 << 30, 8 << 20), seed: 0 };
        let api = serve_api(body)?;
        let agents: Vec<Worker> =
            ROUTES.iter().map(|route| expose(build, &relay, api, route)).collect::<Result<_>>()?;
        measure(bench, report, &mut relay, body)?;
        drop(agents);
    }
    Ok(())
}

fn measure(bench: &Bench, report: &mut Report, relay: &mut Relay, body: Body) -> Result<()> {
    let load = Load::new(1, body.length, SinkMode::Discard);
    let mut streams = Vec::new();
    let mut calls = [Vec::new(), Vec::new()];
    let mut growth_mib = 0.0;
    for _ in 0..bench.runs() {
        let sample = bench.transfer(relay, &load)?;
        let (cpu_per_gib, gib_per_second) = (sample.cpu_per_gib(), sample.gib_per_second());
        streams.push(Figures { cpu_per_gib, gib_per_second });
        for (route, figures) in ROUTES.iter().zip(&mut calls) {
            let peak = peak_bytes(relay.pid)?;
            figures.push(call(bench, relay, route, body)?);
            let grown = peak_bytes(relay.pid)?.saturating_sub(peak);
            growth_mib = f64::max(growth_mib, grown as f64 / f64::from(1 << 20));
        }
    }
    let name = &relay.name;
    let rows = [("stream", &streams)]
        .into_iter()
        .chain(ROUTES.iter().zip(&calls).map(|(route, figures)| (route.name, figures)))
        .map(|(what, figures)| row(&format!("{name}, {what}"), figures))
        .collect();
    let title = format!("calls, {} MiB, discarding client", body.length >> 20);
    report.table(title, "route", &COLUMNS, rows);
    let pairs = calls[0].iter().zip(&streams);
    let ratio = median(pairs.map(|(call, stream)| call.cpu_per_gib / stream.cpu_per_gib));
    report.at_most(&format!("calls: CPU, {name}, call / stream"), Some(ratio), CALL_MAX);
    let what = format!("calls: growth of the peak memory of {name}, MiB");
    report.at_most(&what, Some(growth_mib), GROWTH_MAX_MIB);
    Ok(())
}

fn row(name: &str, figures: &[Figures]) -> (String, [Option<Figure>; 2]) {
    let figure = |figure: fn(&Figures) -> f64| Figure::of(figures.iter().map(figure));
    let figures = [figure(|figures| figures.gib_per_second), figure(|figures| figures.cpu_per_gib)];
    (name.to_owned(), figures)
}

/// One call of the API, measured by its client.
fn call(bench: &Bench, relay: &Relay, route: &Route, body: Body) -> Result<Figures> {
    let before = relay.cpu()?;
    let begin = now();
    let mut client = Client::connect(relay.address)?;
    client.send(&format!("GET /api/spares-{}/", route.spares), "", b"")?;
    let (status, length) = client.head()?;
    if (status, length.map(|bytes| bytes as u64)) != (200, Some(body.length)) {
        return Err(failure(format!("a call returned {status}, {length:?} bytes")));
    }
    take(&mut client, body, bench.options.smoke)?;
    let time = since(begin);
    let gib = body.length as f64 / GIB;
    let cpu = relay.cpu()?.saturating_sub(before);
    Ok(Figures { cpu_per_gib: cpu.as_secs_f64() / gib, gib_per_second: gib / time.as_secs_f64() })
}

/// Reads a body and compares it, or discards it in the kernel.
fn take(client: &mut Client, body: Body, verify: bool) -> Result<()> {
    let mut verifier = Verifier::new(body);
    let rest = client.take_rest();
    let mut left = body.length - rest.len() as u64;
    if verify {
        verifier.take(&rest)?;
    }
    let mut buffer = vec![0; DROP_BYTES];
    while left > 0 {
        let most = DROP_BYTES.min(usize::try_from(left).unwrap_or(DROP_BYTES));
        let count = if verify {
            let count = client.socket.read(&mut buffer[..most])?;
            verifier.take(&buffer[..count])?;
            count
        } else {
            recv(client.socket.as_raw_fd(), &mut buffer[..most], MsgFlags::MSG_TRUNC)?
        };
        if count == 0 {
            return Err(failure(format!("a response ended {left} bytes early")));
        }
        left -= count as u64;
    }
    Ok(())
}

/// Starts an agent, and waits until its API is reachable.
fn expose(build: &Build, relay: &Relay, api: SocketAddr, route: &Route) -> Result<Worker> {
    let mut command = build.command();
    command.args(["expose", &format!("spares-{}", route.spares), &format!("http://{api}")]);
    command.args(["--relay", &format!("ws://{}", relay.address), "--tunnels", route.spares]);
    command.arg("--quiet");
    let deadline = Deadline::after(Duration::from_secs(10));
    let mut agent = Worker::start("rdv expose", &mut command, "")?;
    agent.expect("/api/", deadline)?;
    agent.ignore_output();
    let wanted = format!("\"spares\":{}", route.spares);
    let name = format!("\"name\":\"spares-{}\"", route.spares);
    retry(deadline, || {
        // The list is streamed: with HTTP/1.0, until the connection closes.
        let mut list = TcpStream::connect(relay.address)?;
        list.write_all(b"GET /socket HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut body = String::new();
        list.read_to_string(&mut body)?;
        let mut agents = body.split("{\"id\"");
        let connected = agents.any(|agent| agent.contains(&name) && agent.contains(&wanted));
        if connected {
            Ok(())
        } else {
            Err(failure("the agent or its spare connections are not connected"))
        }
    })?;
    Ok(agent)
}

/// Responds to every request at a new port with `body`, until this program exits.
fn serve_api(body: Body) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A client that disconnects is not an error of the API.
            thread::spawn(move || drop(respond(socket, body)));
        }
    });
    Ok(address)
}

fn respond(mut socket: TcpStream, body: Body) -> Result<()> {
    let wire = Wire::new(body);
    let mut request = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        match socket.read(&mut bytes)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&bytes[..count]),
        }
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.length);
        socket.write_all(head.as_bytes())?;
        let mut position = 0;
        while position < wire.len() {
            let part = wire.at(position);
            socket.write_all(part)?;
            position += part.len() as u64;
        }
    }
}
