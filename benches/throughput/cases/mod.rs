//! The cases, each with its targets.

mod calls;
mod clients;
mod comparison;
mod everything;
mod loopback_reno;
mod parked;
mod ping;
mod ping_under_bulk;
mod records;
mod records_memory;
mod small;
mod stalled;
mod tls;
mod transfers;
mod trickle;
mod upload_memory;
mod veth;

use crate::Result;
use crate::options::Case;
use crate::peers::{Bench, Relay};
use crate::table::{self, Report};

/// All cases, in the order in which they run.
pub(crate) const ALL: [Case; 20] = [
    Case::OneStream,
    Case::HundredStreams,
    Case::ThousandStreams,
    Case::LoopbackReno,
    Case::Veth,
    Case::Chunked,
    Case::Small,
    Case::Ping,
    Case::PingUnderBulk,
    Case::Trickle,
    Case::Parked,
    Case::Stalled,
    Case::EverythingOn,
    Case::Unprivileged,
    Case::Tls,
    Case::Clients,
    Case::UploadMemory,
    Case::Calls,
    Case::Records,
    Case::RecordsMemory,
];

/// Runs one case; an error aborts it.
pub(crate) fn run(case: Case, bench: &Bench, report: &mut Report) -> Result<()> {
    match case {
        Case::OneStream => transfers::one_stream(bench, report),
        Case::HundredStreams => transfers::hundred_streams(bench, report),
        Case::ThousandStreams => transfers::thousand_streams(bench, report),
        Case::LoopbackReno => loopback_reno::run(bench, report),
        Case::Veth => veth::run(bench, report)?,
        Case::Chunked => transfers::chunked(bench, report),
        Case::Small => small::run(bench, report)?,
        Case::Ping => ping::run(bench, report)?,
        Case::PingUnderBulk => ping_under_bulk::run(bench, report)?,
        Case::Trickle => trickle::run(bench, report)?,
        Case::Parked => parked::run(bench, report)?,
        Case::Stalled => stalled::run(bench, report),
        Case::EverythingOn => everything::run(bench, report)?,
        Case::Unprivileged => transfers::unprivileged(bench, report),
        Case::Tls => tls::run(bench, report)?,
        Case::Clients => clients::run(bench, report)?,
        Case::UploadMemory => upload_memory::run(bench, report)?,
        Case::Calls => calls::run(bench, report)?,
        Case::Records => records::run(bench, report)?,
        Case::RecordsMemory => records_memory::run(bench, report)?,
    }
    Ok(())
}

/// Returns a relay that started, and reports one that failed to.
fn started(relay: Result<Relay>, report: &mut Report) -> Option<Relay> {
    relay.map_err(|error| report.failed("start", &error)).ok()
}

/// Prints what to install for a skipped comparison.
fn missing(program: &str, package: &str) {
    skip(&format!("{program} is not installed (Debian package {package})"));
}

/// Prints why something is skipped; not with `RDV_NO_SKIPS`, as in `.ci/run`.
fn skip(reason: &str) {
    assert!(std::env::var_os("RDV_NO_SKIPS").is_none(), "{reason}; RDV_NO_SKIPS forbids skips");
    table::note(&format!("{reason}; skipped"));
}
