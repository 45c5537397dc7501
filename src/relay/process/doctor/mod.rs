//! `rdv doctor` and `rdv check-config`: tests on this machine what a relay will do. It may block,
//! because it runs without an event loop, but never for long.

mod links;
mod port;
mod splicing;
mod start;

pub use start::check;

use super::budget;
use super::listeners::set_congestion_control;
use crate::ops::doctor::limits::Descriptors;
use crate::ops::doctor::machine::Machine;
use crate::ops::doctor::{DoctorReport, Finding, limits, network, pipes};
use crate::ops::{Settings, cause};
use crate::splice::UNPACED;
use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, SockRef, Socket, Type};
use std::time::SystemTime;

/// Examines this machine for a relay with these settings.
pub fn examine(settings: &Settings) -> DoctorReport {
    let machine = &Machine::this();
    let limits_of_pipes = pipes::limits(settings, machine.is_exempt_from_pipe_limits());
    let request = pipes::PipeRequest::of(settings, limits_of_pipes.exempt);
    let mut findings = vec![
        limits::kernel(machine),
        limits::descriptors(&descriptors(settings)),
        pipes::largest(machine, request),
        pipes::pages(machine, request),
        pipes::granted(request, pipes::open_all(limits_of_pipes, request)),
        network::splicing(&splicing::trial(settings.pipe_size), settings.no_splice),
        congestion(machine, settings.congestion_control.as_deref()),
    ];
    findings.extend(network::segments(&links::read()));
    findings.extend(certificates(settings));
    let ports = settings.listeners();
    findings.extend(ports.map(|address| network::port(address, &port::check(address))));
    DoctorReport(findings)
}

/// Returns warnings of certificates that have expired or are about to.
pub fn certificate_warnings(settings: &Settings) -> Vec<String> {
    let doubtful = certificates(settings).into_iter().filter(|one| one.advice.is_some());
    doubtful.map(|one| one.sentence()).collect()
}

#[allow(
    clippy::disallowed_methods,
    reason = "commands and the thread that reads files know no turns"
)]
fn certificates(settings: &Settings) -> Vec<Finding> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left = settings.tls.seconds_left(since.as_secs().cast_signed());
    left.iter().map(|(name, left_s)| network::certificate(name, *left_s)).collect()
}

/// Reads the limits, then raises the soft one as a relay does, so that the tests match a relay.
fn descriptors(settings: &Settings) -> Descriptors {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let others = budget::others(settings);
    let budget = budget::claim(settings.max_connections, others);
    Descriptors {
        soft,
        hard,
        needed: budget::needed(settings.max_connections, others) as u64,
        wanted_connections: settings.max_connections,
        allowed_connections: budget.max_connections,
    }
}

fn congestion(machine: &Machine, chosen: Option<&str>) -> Finding {
    let unpaced = String::from_utf8_lossy(UNPACED);
    let refusal = congestion_control(chosen.unwrap_or(&unpaced)).err();
    match chosen {
        Some(name) => network::chosen_congestion(machine, name, refusal),
        None => network::congestion(machine, &unpaced, refusal.is_none()),
    }
}

/// Sets this congestion control on a socket.
fn congestion_control(name: &str) -> Result<(), String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(|error| cause(&error))?;
    set_congestion_control(&SockRef::from(&socket), name).map_err(|error| error.to_string())
}
