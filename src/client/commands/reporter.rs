//! What a command tells while it works, on standard error: standard output is for data.

mod json;

use self::json::JsonReporter;
use super::exit::Failure;
use crate::client::archive::PathNotes;
use crate::client::file_name::printable;
use crate::client::relay::Stream;
use crate::client::{clock, human};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How much is told.
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

/// The bar is drawn as often, so that it turns while nothing moves.
const TICK: Duration = Duration::from_millis(200);

/// Tells what happens; clones tell to the same place.
#[derive(Clone, Debug)]
pub struct Reporter {
    mode: OutputMode,
    quiet: bool,
    /// When bytes began to move.
    began: Arc<OnceLock<Instant>>,
}

#[derive(Clone, Debug)]
enum OutputMode {
    /// Only what must be said.
    Plain,
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// Lines of JSON.
    Json(JsonReporter),
}

impl Reporter {
    /// Tells as it is asked to.
    pub fn new(telling: OutputArgs) -> Self {
        let mode = if telling.json {
            OutputMode::Json(JsonReporter::new())
        } else if telling.quiet || !std::io::stderr().is_terminal() {
            OutputMode::Plain
        } else {
            OutputMode::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        };
        Self { mode, quiet: telling.quiet, began: Arc::default() }
    }

    /// Whether anybody looks at what goes on.
    pub fn is_watched(&self) -> bool {
        !matches!(self.mode, OutputMode::Plain)
    }

    /// Says what must be said, whatever is told besides: `text` to people, `event` to machines.
    pub fn print(&self, text: &str, event: &Value) {
        match &self.mode {
            OutputMode::Plain => put(text),
            OutputMode::Bar(bar) => bar.suspend(|| put(text)),
            OutputMode::Json(machines) => machines.emit(event),
        }
    }

    /// Says what is good to know, unless it is to be quiet.
    pub fn note(&self, text: &str, event: &Value) {
        if !self.quiet || matches!(self.mode, OutputMode::Json(_)) {
            self.print(text, event);
        }
    }

    /// Names what of a directory did not go or come along.
    pub fn skipped(&self, left_out: &PathNotes) {
        for path in &left_out.first {
            let path = printable(&path.to_string_lossy());
            let text = format!("rdv: skipped (not a regular file): {path}");
            self.note(&text, &json!({ "event": "left_out", "path": path }));
        }
        let unnamed = left_out.total - left_out.first.len() as u64;
        if unnamed > 0 {
            let text = format!("rdv: skipped (not regular files): {unnamed} more");
            self.note(&text, &json!({ "event": "left_out", "more": unnamed }));
        }
    }

    /// An attempt failed, and there is another one after this pause; this number of so many.
    pub fn retrying(&self, why: &str, pause: Duration, (number, retries): (u32, u32)) {
        let seconds = pause.as_secs_f64();
        let text = format!("rdv: {why}; retry {number} of {retries} in {seconds:.1} s");
        let event = json!({ "event": "retry", "message": why, "in_seconds": seconds });
        self.note(&text, &event);
    }

    /// It waits for somebody.
    pub fn waiting(&self, what: &str) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => {
                bar.set_style(style("{spinner} {msg} ({elapsed})"));
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(TICK);
            }
            OutputMode::Json(machines) => {
                machines.emit(&json!({ "event": "waiting", "for": what }));
            }
        }
    }

    /// Bytes begin to move, so many of them where that is known.
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
                        bar.set_style(style(
                            "{wide_bar} {binary_bytes}/{binary_total_bytes} \
                             {binary_bytes_per_sec} {eta} {msg}",
                        ));
                    }
                    None => bar.set_style(style(
                        "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed} {msg}",
                    )),
                }
                bar.enable_steady_tick(TICK);
            }
            OutputMode::Json(machines) => machines.begins(total),
        }
    }

    /// So many more bytes have moved.
    pub fn moved(&self, bytes: u64) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => bar.inc(bytes),
            OutputMode::Json(machines) => machines.moved(bytes),
        }
    }

    /// Tells what keeps it from being faster, by what the relay says, for as long as the stream is
    /// there; if somebody looks at it.
    pub fn follow(&self, stream: &Stream) {
        if !self.is_watched() {
            return;
        }
        let (teller, stream) = (self.clone(), stream.clone());
        let mut last = String::new();
        // What a relay does not tell, or tells too late, is not missed.
        let _ = thread::Builder::new().name("events".into()).spawn(move || {
            stream.follow(&mut |status| {
                let side = status["bottleneck"]["side"].as_str().unwrap_or_default();
                if side != last && !side.is_empty() {
                    side.clone_into(&mut last);
                    teller.bottleneck(side);
                }
                true
            })
        });
    }

    /// What keeps it from being faster.
    fn bottleneck(&self, side: &str) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => bar.set_message(in_words(side)),
            OutputMode::Json(machines) => {
                machines.emit(&json!({ "event": "bottleneck", "side": side }));
            }
        }
    }

    /// How much was moved, and how fast.
    pub fn summary(&self, bytes: u64) -> String {
        let time = self.began.get().map(|began| clock::now().duration_since(*began));
        human::transfer(bytes, time.unwrap_or_default())
    }

    /// A file was received: where it is, is said without a terminal, too.
    pub fn saved(&self, text: &str, event: &Value) {
        if matches!(self.mode, OutputMode::Plain) && !self.quiet {
            put(text);
        }
        self.done(text, event);
    }

    /// It is done.
    pub fn done(&self, text: &str, event: &Value) {
        match &self.mode {
            OutputMode::Plain => {}
            OutputMode::Bar(bar) => {
                bar.finish_and_clear();
                put(text);
            }
            OutputMode::Json(machines) => machines.emit_last(event),
        }
    }

    /// Somebody ended it. On a terminal, the cursor stands behind a `^C`.
    pub fn interrupted(&self, failure: &Failure) {
        if matches!(self.mode, OutputMode::Plain) && std::io::stderr().is_terminal() {
            put("");
        }
        self.failed(failure);
    }

    /// It was not done.
    pub fn failed(&self, failure: &Failure) {
        match &self.mode {
            OutputMode::Plain => put(format_args!("rdv: {}", failure.why)),
            OutputMode::Bar(bar) => {
                bar.finish_and_clear();
                put(format_args!("rdv: {}", failure.why));
            }
            OutputMode::Json(machines) => machines.emit_last(&json!({
                "event": "failed",
                "exit_status": failure.exit.status(),
                "message": failure.why,
            })),
        }
    }
}

/// What the relay's verdict means, for whoever waits.
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

/// Writes one line to standard error, with one call so that no other comes between. Who closed it
/// does not want to know, and gets the bytes all the same.
pub(super) fn put(line: impl Display) {
    let line = format!("{line}\n");
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
