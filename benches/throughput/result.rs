//! The result of a run as data: printed as tables, written as JSON, drawn as a picture.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::measure::{self, median};
use crate::{Result, failure};

/// Everything that a run measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct RunResult {
    pub(crate) machine: Machine,
    /// Tiny sizes: the figures mean nothing.
    pub(crate) smoke: bool,
    /// Interleaved runs per measurement.
    pub(crate) runs: usize,
    pub(crate) tables: Vec<Table>,
    pub(crate) targets: Vec<Target>,
    pub(crate) failures: Vec<String>,
}

/// Where and when a run took place.
#[derive(Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) congestion_control: String,
    pub(crate) load_average: String,
}

impl Machine {
    /// This machine, its kernel and the time.
    pub(crate) fn this() -> Self {
        let cpu = measure::read("/proc/cpuinfo");
        let model = cpu.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown CPU");
        Self {
            date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %:z").to_string(),
            cpu: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: format!("Linux {}", measure::read("/proc/sys/kernel/osrelease")),
            congestion_control: measure::congestion_control(),
            load_average: measure::read("/proc/loadavg"),
        }
    }
}

/// The figures of one case, or of one of its variants.
#[derive(Serialize, Deserialize)]
pub(crate) struct Table {
    /// The name of the case on the command line.
    pub(crate) case: String,
    pub(crate) title: String,
    /// The heading of the names.
    pub(crate) heading: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// A column of figures.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: Cow<'static, str>,
    /// Decimal places in text.
    pub(crate) digits: usize,
    /// Whether text also shows the least and the most of all runs.
    pub(crate) spread: bool,
}

/// What one process, or one variant of it, cost.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// By the name of the column; what was not measured is missing.
    pub(crate) figures: BTreeMap<String, Figure>,
}

/// One figure of all runs.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) runs: Vec<f64>,
}

/// A target and its result.
#[derive(Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) case: String,
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) bound: Bound,
    pub(crate) limit: f64,
    pub(crate) met: bool,
}

/// The side of its limit on which a value must be.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost,
    AtLeast,
}

impl RunResult {
    /// Reads a result that an earlier run wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let because = |error: &dyn std::error::Error| {
            failure(format!("cannot read {}: {error}", path.display()))
        };
        let text = fs::read(path).map_err(|error| because(&error))?;
        serde_json::from_slice(&text).map_err(|error| because(&error))
    }

    /// Writes the result as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text)
            .map_err(|error| failure(format!("cannot write {}: {error}", path.display())))
    }
}

impl Column {
    /// A column of figures with this number of decimal places.
    pub(crate) const fn new(name: &'static str, digits: usize) -> Self {
        Self { name: Cow::Borrowed(name), digits, spread: false }
    }

    /// The same, with the least and the most of all runs.
    pub(crate) const fn with_spread(name: &'static str, digits: usize) -> Self {
        Self { name: Cow::Borrowed(name), digits, spread: true }
    }
}

impl Figure {
    /// The figures of all runs; none without a run.
    pub(crate) fn of(runs: impl IntoIterator<Item = f64>) -> Option<Self> {
        let runs: Vec<f64> = runs.into_iter().collect();
        let least = runs.iter().copied().min_by(f64::total_cmp)?;
        let most = runs.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { median: median(runs.iter().copied()), least, most, runs })
    }
}

impl Bound {
    /// Whether a value meets this limit.
    pub(crate) fn is_met(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtMost => value <= limit,
            Self::AtLeast => value >= limit,
        }
    }

    /// The sign in text.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}
