//! Output: a table per case, and at the end all targets, met or not. All of it is also kept as
//! data, for the file of `--json`.

use std::process::ExitCode;

use crate::markdown::print;
use crate::peers::Bench;
use crate::result::{Bound, Column, Figure, Machine, Row, RunResult, Table, Target};

/// The results of a run so far.
pub(crate) struct Report {
    /// The case being run.
    case: String,
    result: RunResult,
}

impl Report {
    /// An empty report; a smoke run ignores the targets.
    pub(crate) fn new(bench: &Bench) -> Self {
        let result = RunResult {
            machine: Machine::this(),
            smoke: bench.options.smoke,
            runs: bench.runs(),
            tables: Vec::new(),
            targets: Vec::new(),
            failures: Vec::new(),
        };
        Self { case: String::new(), result }
    }

    /// The results as data.
    pub(crate) fn result(&self) -> &RunResult {
        &self.result
    }

    /// Prints the lines before all tables: date, machine, kernel.
    pub(crate) fn print_conditions(&self) {
        let RunResult { machine, smoke, runs, .. } = &self.result;
        println!("date: {}", machine.date);
        println!("machine: {} cores, {}", machine.cores, machine.cpu);
        println!("kernel: {}", machine.kernel);
        println!(
            "congestion control: {}, for every process (loopback, MTU 65536)",
            machine.congestion_control
        );
        println!("load average before: {}", machine.load_average);
        println!(
            "CPU: user and system time of the relay process, from its CPU clock \
             (clock_getcpuclockid(3), nanoseconds)"
        );
        println!("runs: {runs}, interleaved; figures and ratios are medians");
        if *smoke {
            println!(
                "smoke run: tiny sizes, every sink checks every byte, the figures mean nothing"
            );
        }
    }

    /// Begins a case: what follows is its.
    pub(crate) fn begin(&mut self, case: &str) {
        case.clone_into(&mut self.case);
    }

    /// Prints and keeps a table. Each row has a name, and one figure for each column, or none where
    /// nothing was measured.
    pub(crate) fn table<const COLUMNS: usize>(
        &mut self,
        title: impl Into<String>,
        heading: &str,
        columns: &[Column; COLUMNS],
        rows: Vec<(String, [Option<Figure>; COLUMNS])>,
    ) {
        let row = |(name, figures): (String, [Option<Figure>; COLUMNS])| {
            let names = columns.iter().map(|column| column.name.clone().into_owned());
            let figures = names.zip(figures);
            Row {
                name,
                figures: figures.filter_map(|(name, figure)| Some((name, figure?))).collect(),
            }
        };
        let table = Table {
            case: self.case.clone(),
            title: title.into(),
            heading: heading.to_owned(),
            columns: columns.to_vec(),
            rows: rows.into_iter().map(row).collect(),
        };
        table.print();
        self.result.tables.push(table);
    }

    /// Checks that a figure is at most `limit`.
    pub(crate) fn at_most(&mut self, what: &str, value: Option<f64>, limit: f64) {
        self.check(what, value, Bound::AtMost, limit);
    }

    /// Checks that a figure is at least `limit`.
    pub(crate) fn at_least(&mut self, what: &str, value: Option<f64>, limit: f64) {
        self.check(what, value, Bound::AtLeast, limit);
    }

    fn check(&mut self, what: &str, value: Option<f64>, bound: Bound, limit: f64) {
        // A missing value was reported as a failure before.
        if let (Some(value), false) = (value, self.result.smoke) {
            let (case, met) = (self.case.clone(), bound.is_met(value, limit));
            let target = Target { case, figure: what.to_owned(), value, bound, limit, met };
            println!("{what}: {value:.3}, target {}: {}", target.limit(), target.verdict());
            self.result.targets.push(target);
        }
    }

    /// Records a failure, which makes the run fail.
    pub(crate) fn failed(&mut self, what: &str, error: &crate::BoxError) {
        println!("FAILED: {what}: {error}");
        self.result.failures.push(format!("{what}: {error}"));
    }

    /// Prints the targets and the failures; only failures make the exit status 1.
    pub(crate) fn finish(&self) -> ExitCode {
        let RunResult { smoke, targets, failures, .. } = &self.result;
        if !targets.is_empty() {
            let rows: Vec<Vec<String>> = targets.iter().map(Target::cells).collect();
            print("Targets", &["figure", "value", "target", ""].map(str::to_owned), &rows);
        }
        for failure in failures {
            println!("FAILED: {failure}");
        }
        if !failures.is_empty() {
            return ExitCode::FAILURE;
        }
        println!("\n{}", if *smoke { "smoke run: ok" } else { "all cases ran" });
        ExitCode::SUCCESS
    }
}

impl Target {
    fn verdict(&self) -> &'static str {
        if self.met { "met" } else { "NOT MET" }
    }

    fn limit(&self) -> String {
        format!("{} {:.2}", self.bound.sign(), self.limit)
    }

    fn cells(&self) -> Vec<String> {
        let value = format!("{:.3}", self.value);
        vec![self.figure.clone(), value, self.limit(), self.verdict().to_owned()]
    }
}

impl Table {
    fn print(&self) {
        let headings = self.columns.iter().flat_map(Column::headings);
        let columns: Vec<String> = std::iter::once(self.heading.clone()).chain(headings).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| self.cells(row)).collect();
        print(&self.title, &columns, &rows);
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let figures = self.columns.iter();
        let figures = figures.flat_map(|column| column.cells(row.figures.get(&*column.name)));
        std::iter::once(row.name.clone()).chain(figures).collect()
    }
}

impl Column {
    fn headings(&self) -> Vec<String> {
        let spread = self.spread.then(|| "least..most".to_owned());
        std::iter::once(self.name.clone().into_owned()).chain(spread).collect()
    }

    fn cells(&self, figure: Option<&Figure>) -> Vec<String> {
        let digits = self.digits;
        let text = |figure: &Figure| format!("{:.digits$}", figure.median);
        let spread = |figure: &Figure| {
            let digits = digits.min(3);
            format!("{:.digits$}..{:.digits$}", figure.least, figure.most)
        };
        let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        let spread = self.spread.then(|| or_dash(figure.map(spread)));
        std::iter::once(or_dash(figure.map(text))).chain(spread).collect()
    }
}

/// Prints a note on the figures.
pub(crate) fn note(text: &str) {
    println!("note: {text}");
}
