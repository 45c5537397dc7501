//! `rdv doctor`: checks whether a machine is ready for a relay.
//!
//! The checks are functions of what was read or tried, so that tests need no such machine; only
//! `machine` reads files, and only `pipes` opens pipes. Trials with sockets are in `net`. Nothing
//! here changes the machine.

pub mod limits;
pub mod machine;
pub mod network;
pub mod pipes;

use serde_json::{Value, json};
use std::fmt::{self, Display};

/// The status of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// OK.
    Ok,
    /// A relay runs, but slower, with lower limits, or not as expected.
    Warn,
    /// A relay does not run, or misbehaves.
    Bad,
}

impl CheckStatus {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check, in one word.
    pub name: &'static str,
    /// Its status.
    pub verdict: CheckStatus,
    /// What was found.
    pub found: String,
    /// What to change and why; `None` if the check passes.
    pub advice: Option<String>,
}

impl Finding {
    /// Returns a passed check.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: CheckStatus::Ok, found: found.into(), advice: None }
    }

    /// Returns a warning: it works, with a loss that `advice` fixes.
    pub fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let (found, advice) = (found.into(), Some(advice.into()));
        Self { name, verdict: CheckStatus::Warn, found, advice }
    }

    /// Returns a failure: it does not work until `advice` is followed.
    pub fn bad(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: CheckStatus::Bad, ..Self::warn(name, found, advice) }
    }

    /// Returns what was found and what to do.
    pub fn sentence(&self) -> String {
        let Self { found, advice, .. } = self;
        advice.as_ref().map_or_else(|| found.clone(), |advice| format!("{found}; {advice}"))
    }
}

/// All findings, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorReport(pub Vec<Finding>);

impl DoctorReport {
    /// Returns the worst verdict.
    pub fn verdict(&self) -> CheckStatus {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(CheckStatus::Ok)
    }

    /// Whether nothing is [`CheckStatus::Bad`].
    pub fn passes(&self) -> bool {
        self.verdict() < CheckStatus::Bad
    }

    /// Returns `{"version","verdict","checks":[{"name","verdict","found","advice"}]}`, without
    /// `advice` for passed checks.
    pub fn json(&self) -> Value {
        let checks: Vec<Value> = self.0.iter().map(check).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "verdict": self.verdict().word(),
            "checks": checks,
        })
    }
}

fn check(finding: &Finding) -> Value {
    let Finding { name, verdict, found, advice } = finding;
    let mut check = json!({ "name": name, "verdict": verdict.word(), "found": found });
    if let Some(advice) = advice {
        check["advice"] = advice.as_str().into();
    }
    check
}

/// One line per finding: verdict, name, what was found, what to do.
impl Display for DoctorReport {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for finding in &self.0 {
            let Finding { name, verdict, .. } = finding;
            writeln!(out, "{:<4}  {name:<14}  {}", verdict.word(), finding.sentence())?;
        }
        Ok(())
    }
}

/// Formats `65536` as `64 KiB`; exact, so that it can be typed back.
pub(crate) fn bytes(count: u64) -> String {
    let (unit, name) = match count {
        0..1024 => (1, "bytes"),
        1024..0x10_0000 => (1 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        0x4000_0000.. => (1 << 30, "GiB"),
    };
    if count.is_multiple_of(unit) {
        format!("{} {name}", count / unit)
    } else {
        format!("{count} bytes")
    }
}

#[cfg(test)]
mod tests_support {
    use super::machine::Machine;
    use std::fs;
    use tempfile::TempDir;

    /// Creates a machine with these files.
    pub(super) fn planted(files: &[(&str, &str)]) -> (TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine::at(root.path());
        (root, machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> DoctorReport {
        DoctorReport(vec![
            Finding::ok("kernel", "new enough"),
            Finding::warn("pipes", "few", "raise the limit"),
        ])
    }

    #[test]
    fn a_finding_is_one_line() {
        let text = report().to_string();
        assert_eq!(
            text,
            "ok    kernel          new enough\nwarn  pipes           few; raise the limit\n"
        );
    }

    #[test]
    fn json_output_has_the_same_findings() {
        assert_eq!(
            report().json()["checks"],
            json!([
                { "name": "kernel", "verdict": "ok", "found": "new enough" },
                { "name": "pipes", "verdict": "warn", "found": "few", "advice": "raise the limit" },
            ])
        );
    }

    #[test]
    fn only_bad_findings_fail() {
        let mut report = report();
        assert!(report.passes());
        report.0.push(Finding::bad("splice", "refused", "allow it"));
        assert_eq!((report.passes(), report.verdict()), (false, CheckStatus::Bad));
        assert!(DoctorReport(Vec::new()).passes());
    }

    #[test]
    fn sizes_are_exact() {
        for (count, text) in
            [(0, "0 bytes"), (4096, "4 KiB"), (1 << 20, "1 MiB"), (1500, "1500 bytes")]
        {
            assert_eq!(bytes(count), text);
        }
    }
}
