//! Checks of the number and size of pipes: by the kernel's limits, and by opening them.

use super::machine::Machine;
use super::{Finding, bytes};
use crate::ops::Settings;
use crate::splice::pipe::Pipe;
use crate::splice::pool::{PipeLimits, Pool, SMALL_BYTES};

/// The page size if unknown, 4 KiB; the limits of pipe(7) count pages.
const PAGE_BYTES: u64 = 4096;

/// Maximum pipes to open; more would tell nothing new.
const TRIED_MAX: usize = 1024;

/// The pipes that the settings request.
#[derive(Clone, Copy, Debug)]
pub struct PipeRequest {
    /// The number of full-size pipes.
    pub large: usize,
    /// The full size in bytes, as the kernel rounds it: a power of two of pages.
    pub large_bytes: u64,
    /// The number of additional smaller pipes.
    pub small: usize,
    /// The size of the smaller pipes.
    pub small_bytes: u64,
}

impl PipeRequest {
    /// Returns the maximum that a relay with these settings opens.
    pub fn of(settings: &Settings, exempt: bool) -> Self {
        let limits = limits(settings, exempt);
        Self {
            large: limits.large_max(),
            large_bytes: rounded(settings.pipe_size),
            small: limits.max_pipes - limits.large_max(),
            small_bytes: rounded(SMALL_BYTES.min(settings.pipe_size)),
        }
    }

    fn total(self) -> usize {
        self.large + self.small
    }

    fn pages(self) -> u64 {
        let bytes = self.large as u64 * self.large_bytes + self.small as u64 * self.small_bytes;
        bytes / PAGE_BYTES
    }
}

/// Returns what pipes a relay with these settings may open; `exempt` from the kernel's limits.
pub fn limits(settings: &Settings, exempt: bool) -> PipeLimits {
    let max_pipes = if settings.no_splice { 0 } else { settings.max_pipes };
    PipeLimits { large_bytes: settings.pipe_size, max_pipes, exempt }
}

fn rounded(wanted: usize) -> u64 {
    (wanted as u64).next_power_of_two().max(PAGE_BYTES)
}

/// The pipes that the kernel granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantedPipes {
    /// The number of full-size pipes.
    pub large: usize,
    /// The number of smaller pipes that are still large enough to splice.
    pub small: usize,
    /// The size of the first pipe in bytes; 0 if none was opened.
    pub first_bytes: u64,
}

/// Checks the largest pipe of an unprivileged user.
pub fn largest(machine: &Machine, request: PipeRequest) -> Finding {
    const NAME: &str = "pipe-max-size";
    let Some(most) = machine.number("fs/pipe-max-size") else {
        return Finding::ok(NAME, "/proc/sys/fs/pipe-max-size is not readable");
    };
    let found = format!("{} per pipe, {} configured", bytes(most), bytes(request.large_bytes));
    if request.total() == 0 || request.large_bytes <= most {
        Finding::ok(NAME, found)
    } else if machine.is_exempt_from_pipe_limits() {
        Finding::ok(NAME, format!("{found}; this user is exempt, an ordinary one is not"))
    } else {
        let advice = format!(
            "raise fs.pipe-max-size to {}, or use --pipe-size {most}: a pipe above the limit stays \
             at 64 KiB",
            request.large_bytes
        );
        Finding::warn(NAME, found, advice)
    }
}

/// Checks the total size of all pipes of one user.
pub fn pages(machine: &Machine, request: PipeRequest) -> Finding {
    const NAME: &str = "pipe-pages";
    let read = |name: &str| machine.number(&format!("fs/pipe-user-pages-{name}"));
    let (soft, hard) = (read("soft").unwrap_or(0), read("hard").unwrap_or(0));
    let wanted = request.pages();
    let limit = |pages| if pages == 0 { "none".into() } else { format!("{pages} pages") };
    let found = format!(
        "soft limit {}, hard {}; {wanted} needed ({})",
        limit(soft),
        limit(hard),
        bytes(wanted * PAGE_BYTES)
    );
    let passed: Vec<&str> = [("soft", soft), ("hard", hard)]
        .into_iter()
        .filter(|&(_, pages)| pages != 0 && wanted > pages)
        .map(|(name, _)| name)
        .collect();
    if passed.is_empty() {
        Finding::ok(NAME, found)
    } else if machine.is_exempt_from_pipe_limits() {
        Finding::ok(NAME, format!("{found}; this user is exempt, an ordinary one is not"))
    } else {
        let advice = format!(
            "raise fs.pipe-user-pages-{} to {wanted} or more, or ask for less with --max-pipes and \
             --pipe-size: beyond it pipes are too small to splice, and bytes are copied for about \
             twice the CPU",
            passed.join(" and -")
        );
        Finding::warn(NAME, found, advice)
    }
}

/// Opens as many pipes as a relay may, in the same way, and closes them again. The limits count all
/// pipes of a user, so a relay of the same user gets fewer for a few milliseconds.
pub fn open_all(limits: PipeLimits, request: PipeRequest) -> GrantedPipes {
    let max_pipes = limits.max_pipes.min(TRIED_MAX);
    let mut pool = Pool::new(PipeLimits { max_pipes, ..limits });
    let pipes: Vec<Pipe> = std::iter::from_fn(|| pool.lend()).collect();
    let large = pipes.iter().filter(|pipe| pipe.capacity_bytes() >= limits.large_bytes).count();
    GrantedPipes {
        large: large.min(request.large),
        small: pipes.len() - large.min(request.large),
        first_bytes: pipes.first().map_or(0, |pipe| pipe.capacity_bytes() as u64),
    }
}

/// Checks whether the kernel granted the requested pipes.
pub fn granted(request: PipeRequest, got: GrantedPipes) -> Finding {
    let small = request.total().min(TRIED_MAX).saturating_sub(request.large);
    if request.total() == 0 {
        return Finding::ok("pipes", "none configured: all bytes are copied");
    }
    if got.large + got.small == 0 {
        return Finding::warn(
            "pipes",
            "the kernel gives no pipe that is worth a splice",
            "see open-files and pipe-pages: all bytes are copied, for about twice the CPU",
        );
    }
    let found = format!(
        "{} of {} with {} and {} of {small} smaller ones; the first holds {}",
        got.large,
        request.large,
        bytes(request.large_bytes),
        got.small,
        bytes(got.first_bytes),
    );
    if got.large >= request.large && got.small >= small {
        Finding::ok("pipes", found)
    } else {
        let advice = "see open-files, pipe-max-size and pipe-pages; pipes of this user's other \
                      processes count too, a running relay's among them";
        Finding::warn("pipes", found, advice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus::{Ok, Warn};
    use super::super::tests_support::planted;
    use super::*;

    /// The request of the default settings.
    const USUAL: PipeRequest =
        PipeRequest { large: 8, large_bytes: 1 << 20, small: 224, small_bytes: 256 << 10 };
    const NONE: PipeRequest =
        PipeRequest { large: 0, large_bytes: 1 << 20, small: 0, small_bytes: 256 << 10 };
    const ORDINARY: &str = "CapEff:\t0000000000000000";
    const ROOT: &str = "CapEff:\t000001ffffffffff";

    #[test]
    fn one_pipe_may_be_too_large() {
        for (name, most, status, request, verdict) in [
            ("as large as allowed", "1048576", ORDINARY, USUAL, Ok),
            ("too large", "1048575", ORDINARY, USUAL, Warn),
            ("for root", "65536", ROOT, USUAL, Ok),
            ("none asked for", "65536", ORDINARY, NONE, Ok),
            ("unknown", "", ORDINARY, USUAL, Ok),
        ] {
            let (_root, machine) =
                planted(&[("proc/sys/fs/pipe-max-size", most), ("proc/self/status", status)]);
            assert_eq!(largest(&machine, request).verdict, verdict, "{name}");
        }
    }

    #[test]
    fn all_pipes_together_may_be_too_large() {
        for (name, soft, hard, status, verdict) in [
            ("the usual limit is just enough", "16384", "0", ORDINARY, Ok),
            ("one page less", "16383", "0", ORDINARY, Warn),
            ("no limit", "0", "0", ORDINARY, Ok),
            ("a hard limit", "0", "1024", ORDINARY, Warn),
            ("both, for root", "1024", "1024", ROOT, Ok),
        ] {
            let (_root, machine) = planted(&[
                ("proc/sys/fs/pipe-user-pages-soft", soft),
                ("proc/sys/fs/pipe-user-pages-hard", hard),
                ("proc/self/status", status),
            ]);
            let finding = pages(&machine, USUAL);
            assert_eq!(finding.verdict, verdict, "{name}: {finding:?}");
        }
    }

    #[test]
    fn granted_pipes_are_compared_with_the_request() {
        for (name, request, large, small, verdict) in [
            ("all", USUAL, 8, 224, Ok),
            ("fewer large ones", USUAL, 7, 225, Warn),
            ("fewer small ones", USUAL, 8, 100, Warn),
            ("none", USUAL, 0, 0, Warn),
            ("none asked for", NONE, 0, 0, Ok),
            ("more than anybody tries", PipeRequest { small: 100_000, ..USUAL }, 8, 1016, Ok),
        ] {
            let got = GrantedPipes { large, small, first_bytes: 1 << 20 };
            let finding = granted(request, got);
            assert_eq!(finding.verdict, verdict, "{name}: {finding:?}");
        }
    }
}
