//! `rdv doctor`: tries on this machine what a relay will do, and has it judged by `ops::doctor`.
//! It may block, because there is no event loop here, but never for long.

mod port;
mod splicing;

use super::budget;
use super::listener::BACKLOG;
use crate::ops::doctor::clock::Readings;
use crate::ops::doctor::limits::Descriptors;
use crate::ops::doctor::machine::Machine;
use crate::ops::doctor::{Finding, Report, clock, limits, network, pipes, places, sandbox};
use crate::ops::{AdminAddress, AdminListen, Settings};
use crate::splice::UNPACED;
use nix::sys::resource::{Resource, getrlimit};
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::thread::available_parallelism;

/// Examines this machine for a relay with these settings.
pub fn examine(settings: &Settings) -> Report {
    let machine = &Machine::this();
    let descriptors = descriptors(settings);
    let wish = pipes::Wish::of(settings);
    let readings = read_clocks();
    let mut findings = vec![
        limits::kernel(machine),
        sandbox::user(machine),
        sandbox::sandbox(machine),
        sandbox::cpu(machine, available_parallelism().map_or(1, usize::from)),
        limits::descriptors(&descriptors),
        limits::all_files(machine, descriptors.needed),
        pipes::largest(machine, wish),
        pipes::pages(machine, wish),
        pipes::granted(wish, pipes::open_all(settings, wish)),
        network::splicing(&splicing::trial(settings.pipe_size), settings.no_splice),
        network::backlog(machine, u64::from(BACKLOG.unsigned_abs())),
        network::congestion(machine, &String::from_utf8_lossy(UNPACED), is_unpaced_allowed()),
        network::buffers(machine),
    ];
    findings.extend(network::tracking(machine, settings.max_connections));
    findings.extend([
        clock::monotonic(machine, &readings),
        clock::wall(machine, &readings),
        network::ipv6(has_ipv6(), &settings.listen),
    ]);
    findings.extend(settings.listen.iter().map(|&address| listener("listen", address)));
    if let Some(AdminListen::At(address)) = &settings.admin.admin_listen {
        findings.push(admin(address));
    }
    Report(findings)
}

fn listener(flag: &'static str, address: SocketAddr) -> Finding {
    network::port(flag, address, &port::look(address))
}

fn admin(address: &AdminAddress) -> Finding {
    match address {
        AdminAddress::Unix(path) => places::admin(path, places::look(path)),
        AdminAddress::Tcp(address) => listener("admin-listen", *address),
    }
}

/// Reads the limits, then raises the soft one as a relay does, so that all is tried as it will be.
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

fn is_unpaced_allowed() -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
    socket.is_ok_and(|socket| socket.set_tcp_congestion(UNPACED).is_ok())
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// The best of so many rounds counts: the others were interrupted.
const CLOCK_ROUNDS: usize = 10;

/// Readings in a round.
const CLOCK_READINGS: u64 = 100;

fn read_clocks() -> Readings {
    let resolution_ns = nanoseconds(clock_getres(ClockId::Monotonic));
    let rounds = (0..CLOCK_ROUNDS).map(|_| {
        let began = clock_gettime(ClockId::Monotonic);
        let mut last = began;
        for _ in 0..CLOCK_READINGS {
            last = clock_gettime(ClockId::Monotonic);
        }
        nanoseconds(last).saturating_sub(nanoseconds(began)) / CLOCK_READINGS
    });
    Readings {
        resolution_ns,
        reading_ns: rounds.min().unwrap_or(0),
        wall_s: clock_gettime(ClockId::Realtime).tv_sec,
    }
}

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
