//! Transfers in the segments of Ethernet, instead of the 64 KiB of loopback: between network
//! namespaces, over a pair of veth devices.

use std::thread;

use super::comparison::{BEST, Comparison, PLAIN};
use super::skip;
use super::transfers::MIB;
use crate::link::Link;
use crate::options::SinkMode;
use crate::peers::{Bench, installed};
use crate::table::Report;
use crate::transfer::{Load, Sample};
use crate::{Result, failure};

/// One stream, and eight at once.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    if let Some(reason) = obstacle() {
        skip(&format!("veth: {reason}"));
        return Ok(());
    }
    // A namespace belongs to a thread.
    let result = thread::scope(|scope| scope.spawn(|| measure(bench, report)).join());
    result.map_err(|_| failure("the thread in the namespace panicked"))?
}

/// What is missing.
fn obstacle() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root, for network namespaces");
    }
    if installed("ip").is_none() {
        return Some("ip is not installed (Debian package iproute2)");
    }
    if installed("ethtool").is_none() {
        return Some("ethtool is not installed (Debian package ethtool)");
    }
    None
}

fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let link = match Link::create() {
        Ok(link) => link,
        // In a container without the privilege, or with a kernel without veth.
        Err(error) => {
            skip(&format!("veth: {error}"));
            return Ok(());
        }
    };
    let bench = bench.across(link)?;
    let mut comparison = Comparison::of_all(&bench, report);
    for (name, streams) in [("one stream", 1), ("eight streams", 8)] {
        let length = bench.size(1024, 8) * MIB / streams as u64;
        let load = Load::new(streams, length, SinkMode::Discard);
        let title = format!("veth, {name} of {} MiB, MTU 1500, discarding sink", length / MIB);
        comparison.run(&bench, report, &title, &load);
        for (other, limit) in [(PLAIN, 0.80), (BEST, 1.10)] {
            let cpu = comparison.ratio("rdv", other, Sample::cpu_per_gib);
            report.at_most(&format!("veth, {name}: CPU, rdv / {other}"), cpu, limit);
        }
    }
    Ok(())
}
