//! Requests without a body: `GET /ping`, compared with nginx with one worker that returns a
//! constant.

use std::process::Command;
use std::time::Duration;

use super::{missing, started};
use crate::children::Worker;
use crate::client::Client;
use crate::measure::{Deadline, median, now, since};
use crate::peers::{Bench, Relay, installed};
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::{Result, failure};

/// Concurrent connections.
const CONNECTIONS: usize = 32;

const COLUMNS: [Column; 2] = [Column::new("requests/s", 0), Column::new("CPU µs each", 2)];

/// A server and its figures per run: requests per second, and CPU microseconds per request.
struct Entry {
    relay: Relay,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

/// Requests per second of the relay, compared with nginx.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut relays = Vec::new();
    for build in &bench.builds() {
        relays.extend(started(bench.rdv(build), report));
    }
    match bench.nginx() {
        Ok(Some(relay)) => relays.push(relay),
        Ok(None) => missing("nginx", "nginx-light"),
        Err(error) => report.failed("start", &error),
    }
    let entry = |relay| Entry { relay, rates: Vec::new(), costs: Vec::new() };
    let mut entries: Vec<Entry> = relays.into_iter().map(entry).collect();
    let time = Duration::from_secs(bench.size(4, 1));
    for _ in 0..bench.runs() {
        for entry in &mut entries {
            entry.measure(time)?;
        }
    }
    let client = if installed("wrk").is_some() {
        "wrk -t1"
    } else {
        missing("wrk", "wrk");
        "own client"
    };
    let title = format!("ping, {client}, {CONNECTIONS} connections, {} s", time.as_secs());
    let rows = entries.iter().map(Entry::row).collect();
    report.table(title, "server", &COLUMNS, rows);
    let rates = |name: &str| {
        entries.iter().find(|entry| entry.relay.name == name).map(|entry| entry.rates.clone())
    };
    if let (Some(rdv), Some(nginx)) = (rates("rdv"), rates("nginx")) {
        let ratio = median(rdv.iter().zip(nginx).map(|(rdv, nginx)| rdv / nginx));
        report.at_least("ping: requests/s, rdv / nginx", Some(ratio), 0.9);
    }
    Ok(())
}

impl Entry {
    fn measure(&mut self, time: Duration) -> Result<()> {
        let (cpu, begin) = (self.relay.cpu()?, now());
        let rate = match installed("wrk") {
            Some(_) => with_wrk(&self.relay, time),
            None => with_own_client(&self.relay, time),
        };
        let seconds = since(begin).as_secs_f64();
        let cpu = self.relay.cpu()?.saturating_sub(cpu).as_secs_f64();
        self.relay.check_alive()?;
        let rate = rate.map_err(|error| failure(format!("{}: {error}", self.relay.name)))?;
        self.rates.push(rate);
        self.costs.push(cpu * 1e6 / (rate * seconds));
        Ok(())
    }

    fn row(&self) -> (String, [Option<Figure>; 2]) {
        let figures = [&self.rates, &self.costs];
        (self.relay.name.clone(), figures.map(|runs| Figure::of(runs.iter().copied())))
    }
}

fn with_wrk(relay: &Relay, time: Duration) -> Result<f64> {
    let url = format!("http://{}/ping", relay.address);
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", time.as_secs()), &url]);
    let wrk = Worker::start("wrk", &mut command, "")?;
    let lines = wrk.finish(Deadline::after(time + Duration::from_secs(20)))?;
    if let Some(errors) =
        lines.iter().find(|line| line.contains("Non-2xx") || line.contains("errors"))
    {
        return Err(failure(errors.trim()));
    }
    let rate = lines.iter().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(rate.ok_or_else(|| failure("wrk printed no rate"))?.trim().parse()?)
}

/// One thread that sends a request over each connection, then reads all responses.
fn with_own_client(relay: &Relay, time: Duration) -> Result<f64> {
    let clients: Result<Vec<_>> =
        (0..CONNECTIONS).map(|_| Client::connect(relay.address)).collect();
    let mut clients = clients?;
    let begin = now();
    let mut count = 0.0;
    while since(begin) < time {
        for client in &mut clients {
            client.send("GET /ping", "", b"")?;
        }
        for client in &mut clients {
            let response = client.read_response()?;
            if response.status != 200 {
                return Err(failure(format!("GET /ping returned {}", response.status)));
            }
            count += 1.0;
        }
    }
    Ok(count / since(begin).as_secs_f64())
}
