//! The clocks: whether reading them is cheap, and whether the time of day can be believed.

use super::Finding;
use super::machine::Machine;
use super::sandbox::is_container;

/// What the clocks showed.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    /// The step of the monotonic clock.
    pub resolution_ns: u64,
    /// What one reading takes at best.
    pub reading_ns: u64,
    /// The time of day, in seconds of the Unix epoch.
    pub wall_s: i64,
}

/// Nothing that was built can run before this: 2026-01-01, where the time of the build is not known.
const BUILT_AT_LEAST_S: i64 = 1_767_225_600;

/// Clock sources that are read through a device, not by an instruction of the processor.
const SLOW_SOURCES: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];

/// Such a reading is a system call, or worse.
const SLOW_READING_NS: u64 = 1000;

/// Batching counts in units of 100 µs.
const RESOLUTION_MAX_NS: u64 = 100_000;

/// Marks of the services that keep the clock right.
const KEEPERS: [(&str, &str); 6] = [
    ("run/systemd/timesync/synchronized", "systemd-timesyncd"),
    ("run/chrony/chronyd.pid", "chrony"),
    ("run/chronyd.pid", "chrony"),
    ("run/ntpd.pid", "ntpd"),
    ("run/ntpsec/ntpd.pid", "ntpsec"),
    ("run/openntpd.pid", "openntpd"),
];

/// When this program was built, or rather: when the revision it was built from was made.
fn built_s() -> i64 {
    option_env!("RDV_REVISION_TIME").and_then(|time| time.parse().ok()).unwrap_or(BUILT_AT_LEAST_S)
}

/// The monotonic clock, which every deadline is measured by.
pub fn monotonic(machine: &Machine, readings: &Readings) -> Finding {
    const NAME: &str = "clock-source";
    let folder = "sys/devices/system/clocksource/clocksource0";
    let source = machine.text(&format!("{folder}/current_clocksource"));
    let others = machine.text(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let source = source.unwrap_or("unknown".into());
    let Readings { resolution_ns, reading_ns, .. } = *readings;
    let found = format!("{source}, in steps of {resolution_ns} ns, read in about {reading_ns} ns");
    let slow = SLOW_SOURCES.contains(&source.as_str());
    if slow || reading_ns > SLOW_READING_NS || resolution_ns > RESOLUTION_MAX_NS {
        let advice = format!(
            "use a source that the processor reads itself, such as tsc or the hypervisor's \
             (available: {others}; boot with clocksource=NAME): the clock is read in every turn"
        );
        Finding::warn(NAME, found, advice)
    } else {
        Finding::ok(NAME, found)
    }
}

/// The time of day, which dates of answers, of statuses and of log lines are made from.
pub fn wall(machine: &Machine, readings: &Readings) -> Finding {
    judge_wall(machine, readings.wall_s, built_s())
}

fn judge_wall(machine: &Machine, now_s: i64, built_s: i64) -> Finding {
    const NAME: &str = "wall-clock";
    let date = |seconds| {
        jiff::Timestamp::from_second(seconds).map_or("beyond all dates".into(), |at| at.to_string())
    };
    let now = date(now_s);
    if now_s < built_s {
        return Finding::warn(
            NAME,
            format!("{now} is before this program was made, {}", date(built_s)),
            "set the clock and keep it right with an NTP service: dates of answers, statuses and \
             log lines are wrong",
        );
    }
    match KEEPERS.iter().find(|(mark, _)| machine.has(mark)) {
        Some((_, keeper)) => Finding::ok(NAME, format!("{now}, kept by {keeper}")),
        None if is_container(machine) => {
            Finding::ok(NAME, format!("{now}; keeping it right is the host's affair"))
        }
        None => Finding::warn(
            NAME,
            format!("{now}; no service that keeps it right was seen"),
            "see what timedatectl says, or install chrony: dates of statuses and log lines drift",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Ok, Warn};
    use super::super::tests_support::planted;
    use super::*;

    #[test]
    fn clock_sources_are_told_apart() {
        for (source, resolution_ns, reading_ns, verdict) in [
            ("tsc", 1, 25, Ok),
            ("kvm-clock", 1, 40, Ok),
            ("hpet", 1, 700, Warn),
            ("jiffies", 4_000_000, 20, Warn),
            ("tsc", 4_000_000, 20, Warn),
            ("xen", 1, 2000, Warn),
            ("", 1, 25, Ok),
        ] {
            let path = "sys/devices/system/clocksource/clocksource0/current_clocksource";
            let (_root, machine) = planted(&[(path, source)]);
            let readings = Readings { resolution_ns, reading_ns, wall_s: 0 };
            let finding = monotonic(&machine, &readings);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
        }
    }

    #[test]
    fn the_time_of_day_is_believed_with_a_reason() {
        const BUILT: i64 = BUILT_AT_LEAST_S;
        for (name, now, mark, verdict) in [
            ("before the build", BUILT - 1, "run/chronyd.pid", Warn),
            ("kept", BUILT, "run/chronyd.pid", Ok),
            ("a container", BUILT, ".dockerenv", Ok),
            ("nobody keeps it", BUILT, "unrelated", Warn),
        ] {
            let (_root, machine) = planted(&[(mark, "")]);
            assert_eq!(judge_wall(&machine, now, BUILT).verdict, verdict, "{name}");
        }
    }
}
