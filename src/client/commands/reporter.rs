//! Progress and results of a command, on standard error: standard output is for data.

mod json;

use self::json::JsonReporter;
use super::exit::Failure;
use crate::client::archive::SkipNotes;
use crate::client::clock;
use crate::client::file_name::printable;
use crate::client::relay::Stream;
use crate::ops::human;
use crate::ops::stdio;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Output arguments.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// No progress and no results
    #[arg(long, short)]
    pub quiet: bool,

    /// Print events as JSON, one object a line, on standard error
    #[arg(long)]
    pub json: bool,
}

/// Columns of a terminal that has room for a bar and all figures.
const BAR_COLUMNS_MIN: u16 = 80;

/// Redraw interval of the bar, so that the spinner turns while nothing moves.
const TICK: Duration = Duration::from_millis(200);

/// Reports progress and results; clones share one output.
#[derive(Clone, Debug)]
pub struct Reporter {
    mode: OutputMode,
    quiet: bool,
    /// When the transfer started.
    began: Arc<OnceLock<Instant>>,
}

#[derive(Clone, Debug)]
enum OutputMode {
    /// Errors and essential results only.
    Plain,
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// Lines of JSON.
    Json(JsonReporter),
}

impl Reporter {
    /// Creates a reporter for these arguments.
    pub fn new(reporting: OutputArgs) -> Self {
        let mode = if reporting.json {
            OutputMode::Json(JsonReporter::new())
        } else if reporting.quiet || !std::io::stderr().is_terminal() {
            OutputMode::Plain
        } else {
            OutputMode::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        };
        Self { mode, quiet: reporting.quiet, began: Arc::default() }
    }

    /// Whether progress is displayed or read by a program.
    pub fn is_watched(&self) -> bool {
        !matches!(self.mode, OutputMode::Plain)
    }

    /// Prints a message in every mode: `text` for people, `event` for programs.
    pub fn print(&self, text: &str, event: &Value) {
        match &self.mode {
            OutputMode::Plain => put(text),
            OutputMode::Bar(bar) => bar.suspend(|| put(text)),
            OutputMode::Json(events) => events.emit(event),
        }
    }

    /// Prints a notice, unless in quiet mode.
    pub fn note(&self, text: &str, event: &Value) {
        if !self.quiet || matches!(self.mode, OutputMode::Json(_)) {
            self.print(text, event);
        }
    }

    /// Lists the entries of a directory or an archive that were skipped.
    pub fn skipped(&self, left_out: &SkipNotes) {
        for (path, why) in &left_out.first {
            let (path, why) = (printable(&path.to_string_lossy()), why.as_str());
            let text = format!("rdv: skipped ({why}): {path}");
            self.note(&text, &json!({ "event": "left_out", "path": path, "reason": why }));
        }
        let unnamed = left_out.total - left_out.first.len() as u64;
        if unnamed > 0 {
            let text = format!("rdv: skipped: {unnamed} more");
            self.note(&text, &json!({ "event": "left_out", "more": unnamed }));
        }
    }

    /// Reports a failed attempt that is retried after this pause, with its number and the maximum.
    pub fn retrying(&self, why: &str, pause: Duration, (number, retries): (u32, u32)) {
        let seconds = pause.as_secs_f64();
        let text = format!("rdv: {why}; retry {number} of {retries} in {seconds:.1} s");
        let event = json!({ "event": "retry", "message": why, "in_seconds": seconds });
        self.note(&text, &event);
    }

    /// Reports that the command is waiting for a peer.
    pub fn waiting(&self, what: &str) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => {
                bar.set_style(style("{spinner} {msg} ({elapsed})"));
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(TICK);
            }
            OutputMode::Json(events) => {
                events.emit(&json!({ "event": "waiting", "for": what }));
            }
        }
    }

    /// Reports the start of the transfer, with the total number of bytes if known.
    pub fn begins(&self, total: Option<u64>) {
        self.began.get_or_init(clock::now);
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => {
                bar.set_message("");
                bar.reset();
                match total {
                    Some(total) => {
                        bar.set_length(total);
                        bar.set_style(style(if is_narrow() {
                            "{binary_bytes}/{binary_total_bytes} \
                             {binary_bytes_per_sec} {eta} {wide_msg}"
                        } else {
                            "{wide_bar} {binary_bytes}/{binary_total_bytes} \
                             {binary_bytes_per_sec} {eta} {msg}"
                        }));
                    }
                    None => bar.set_style(style(
                        "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed} {wide_msg}",
                    )),
                }
                bar.enable_steady_tick(TICK);
            }
            OutputMode::Json(events) => events.begins(total),
        }
    }

    /// Adds to the number of bytes transferred.
    pub fn moved(&self, bytes: u64) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => bar.inc(bytes),
            OutputMode::Json(events) => events.moved(bytes),
        }
    }

    /// Reports the bottleneck of the transfer, according to the relay, until the stream ends; does
    /// nothing if progress is not displayed.
    pub fn follow(&self, stream: &Stream) {
        if !self.is_watched() {
            return;
        }
        let (reporter, stream) = (self.clone(), stream.clone());
        let mut last = String::new();
        // Best effort: a relay may report it late or not at all.
        let _ = thread::Builder::new().name("events".into()).spawn(move || {
            stream.follow(&mut |status| {
                let side = status["bottleneck"]["side"].as_str().unwrap_or_default();
                if side != last && !side.is_empty() {
                    side.clone_into(&mut last);
                    reporter.bottleneck(side);
                }
                true
            })
        });
    }

    /// Reports what limits the speed.
    fn bottleneck(&self, side: &str) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => bar.set_message(in_words(side)),
            OutputMode::Json(events) => {
                events.emit(&json!({ "event": "bottleneck", "side": side }));
            }
        }
    }

    /// Returns the size, time and rate of the transfer.
    pub fn summary(&self, bytes: u64) -> String {
        let time = self.began.get().map(|began| clock::now().duration_since(*began));
        human::transfer(bytes, time.unwrap_or_default())
    }

    /// Reports a received file; its path is printed even without a terminal.
    pub fn saved(&self, text: &str, event: &Value) {
        if matches!(self.mode, OutputMode::Plain) && !self.quiet {
            put(text);
        }
        self.done(text, event);
    }

    /// Reports success.
    pub fn done(&self, text: &str, event: &Value) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => {
                bar.finish_and_clear();
                put(text);
            }
            OutputMode::Json(events) => events.emit_last(event),
        }
    }

    /// Reports an interrupt. On a terminal, the cursor is after a `^C`.
    pub fn interrupted(&self, failure: &Failure) {
        if matches!(self.mode, OutputMode::Plain) && std::io::stderr().is_terminal() {
            put("");
        }
        self.failed(failure);
    }

    /// Reports a failure.
    pub fn failed(&self, failure: &Failure) {
        match &self.mode {
            OutputMode::Plain => put(format_args!("rdv: {}", failure.why)),
            OutputMode::Bar(bar) => {
                bar.finish_and_clear();
                put(format_args!("rdv: {}", failure.why));
            }
            OutputMode::Json(events) => events.emit_last(&json!({
                "event": "failed",
                "exit_status": failure.exit.status(),
                "message": failure.why,
            })),
        }
    }
}

/// Returns the bottleneck reported by the relay in words.
pub fn in_words(side: &str) -> String {
    match side {
        "source" => "limited by the sender".into(),
        "destination" => "limited by the receiver".into(),
        "network_in" => "limited by the sender's network".into(),
        "network_out" => "limited by the receiver's network".into(),
        "rate" => "limited by the relay (rate limit)".into(),
        other => printable(other),
    }
}

/// Writes one line to standard error in a single call, so that lines do not interleave. Errors are
/// ignored: standard error may be closed.
pub(super) fn put(line: impl Display) {
    let line = format!("{line}\n");
    let _ = stdio::error().write_all(line.as_bytes());
}

/// Whether a bar would leave no room for the figures beside it; progress stays on one line.
fn is_narrow() -> bool {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .is_ok_and(|size| size.ws_col > 0 && size.ws_col < BAR_COLUMNS_MIN)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
