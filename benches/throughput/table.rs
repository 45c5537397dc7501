//! Output: a table per case, and at the end all targets, met or not.

use std::process::ExitCode;

/// One target and its result.
struct Check {
    what: String,
    value: f64,
    target: String,
    met: bool,
}

/// The results of a run so far.
pub(crate) struct Report {
    smoke: bool,
    checks: Vec<Check>,
    failures: Vec<String>,
}

impl Report {
    /// An empty report; a smoke run ignores the targets.
    pub(crate) fn new(smoke: bool) -> Self {
        Self { smoke, checks: Vec::new(), failures: Vec::new() }
    }

    /// Checks that a figure is at most `limit`.
    pub(crate) fn at_most(&mut self, what: &str, value: Option<f64>, limit: f64) {
        self.check(what, value, format!("<= {limit:.2}"), |value| value <= limit);
    }

    /// Checks that a figure is at least `limit`.
    pub(crate) fn at_least(&mut self, what: &str, value: Option<f64>, limit: f64) {
        self.check(what, value, format!(">= {limit:.2}"), |value| value >= limit);
    }

    fn check(&mut self, what: &str, value: Option<f64>, target: String, met: impl Fn(f64) -> bool) {
        // A missing value was reported as a failure before.
        if let (Some(value), false) = (value, self.smoke) {
            let check = Check { what: what.to_owned(), value, target, met: met(value) };
            println!("{}: {:.3}, target {}: {}", what, value, check.target, check.verdict());
            self.checks.push(check);
        }
    }

    /// Records a failure, which makes the run fail.
    pub(crate) fn failed(&mut self, what: &str, error: &crate::BoxError) {
        println!("FAILED: {what}: {error}");
        self.failures.push(format!("{what}: {error}"));
    }

    /// Prints the targets and the failures; only failures make the exit status 1.
    pub(crate) fn finish(&self) -> ExitCode {
        if !self.checks.is_empty() {
            let rows: Vec<Vec<String>> = self.checks.iter().map(Check::row).collect();
            print("Targets", &["figure", "value", "target", ""], &rows);
        }
        for failure in &self.failures {
            println!("FAILED: {failure}");
        }
        if !self.failures.is_empty() {
            return ExitCode::FAILURE;
        }
        println!("\n{}", if self.smoke { "smoke run: ok" } else { "all cases ran" });
        ExitCode::SUCCESS
    }
}

impl Check {
    fn verdict(&self) -> &'static str {
        if self.met { "met" } else { "NOT MET" }
    }

    fn row(&self) -> Vec<String> {
        let value = format!("{:.3}", self.value);
        vec![self.what.clone(), value, self.target.clone(), self.verdict().to_owned()]
    }
}

/// Prints a note on the figures.
pub(crate) fn note(text: &str) {
    println!("note: {text}");
}

/// Prints a Markdown table with padded columns, the first aligned left, the others right.
pub(crate) fn print(title: &str, columns: &[&str], rows: &[Vec<String>]) {
    println!("\n### {title}\n");
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([columns[index].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
            if index == 0 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
        });
        println!("|{}|", cells.collect::<Vec<_>>().join("|"));
    };
    line(&columns.iter().map(|&column| column.to_owned()).collect::<Vec<_>>());
    let rule = |(index, width): (usize, &usize)| {
        let dashes = "-".repeat(width + 1);
        if index == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
    };
    println!("|{}|", widths.iter().enumerate().map(rule).collect::<Vec<_>>().join("|"));
    for row in rows {
        line(row);
    }
    println!();
}
