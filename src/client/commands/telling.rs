//! What a command tells while it works, on standard error: standard output is for data.
//!
//! With `--json` every line is one object. `event` says which; the last is always `complete` or
//! `failed`, and a program should skip those it does not know.
//!
//! | `event` | further members |
//! |---|---|
//! | `created` | `stream`: its identifier; `url`; `receive` and `curl`: commands for the other side; `ttl_seconds`: how long it waits, or `null` |
//! | `waiting` | `for`: whom or what, for people |
//! | `started` | `total_bytes`: how many will move, or `null` |
//! | `progress` | once a second at most: `bytes` so far, `total_bytes`, `bytes_per_second` since the last one |
//! | `bottleneck` | `side`: `source`, `destination`, `network_in`, `network_out` or `rate` |
//! | `left_out` | `path` in a directory that is no file; or `more`: how many further ones |
//! | `complete` | `bytes`; of a sender `repr_digest`, or `null`; of a receiver `output`: the path, or `null` |
//! | `failed` | `exit_status`, `message` |

use super::exit::Failure;
use crate::client::archive::Noted;
use crate::client::clock;
use crate::client::file_name::printable;
use crate::client::relay::Stream;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much is told.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub struct Telling {
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,

    /// Tell machines instead: one JSON object a line on standard error
    #[arg(long)]
    pub json: bool,
}

/// Machines are told of progress as often.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// The bar is drawn as often, so that it turns while nothing moves.
const TICK: Duration = Duration::from_millis(200);

/// Tells what happens; clones tell to the same place.
#[derive(Clone, Debug)]
pub struct Teller {
    mode: Mode,
    quiet: bool,
}

#[derive(Clone, Debug)]
enum Mode {
    /// Only what must be said.
    Plain,
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// Lines of JSON.
    Json(Arc<Mutex<Counted>>),
}

/// What machines are told of progress.
#[derive(Debug)]
struct Counted {
    bytes: u64,
    total: Option<u64>,
    told: Instant,
    told_bytes: u64,
    /// Whether the last line was told.
    over: bool,
}

impl Teller {
    /// Tells as it is asked to.
    pub fn new(telling: Telling) -> Self {
        let mode = if telling.json {
            Mode::Json(Arc::new(Mutex::new(Counted {
                bytes: 0,
                total: None,
                told: clock::now(),
                told_bytes: 0,
                over: false,
            })))
        } else if telling.quiet || !std::io::stderr().is_terminal() {
            Mode::Plain
        } else {
            Mode::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        };
        Self { mode, quiet: telling.quiet }
    }

    /// Whether anybody looks at what goes on.
    pub fn is_watched(&self) -> bool {
        !matches!(self.mode, Mode::Plain)
    }

    /// Says what must be said, whatever is told besides: `text` to people, `event` to machines.
    pub fn say(&self, text: &str, event: &Value) {
        match &self.mode {
            Mode::Plain => put(text),
            Mode::Bar(bar) => bar.suspend(|| put(text)),
            Mode::Json(_) => put(event),
        }
    }

    /// Says what is good to know, unless it is to be quiet.
    pub fn note(&self, text: &str, event: &Value) {
        if !self.quiet || matches!(self.mode, Mode::Json(_)) {
            self.say(text, event);
        }
    }

    /// Names what of a directory did not go or come along.
    pub fn left_out(&self, left_out: &Noted) {
        for path in &left_out.first {
            let path = printable(&path.to_string_lossy());
            let text = format!("rdv: left out, for it is no file: {path}");
            self.note(&text, &json!({ "event": "left_out", "path": path }));
        }
        let unnamed = left_out.total - left_out.first.len() as u64;
        if unnamed > 0 {
            let text = format!("rdv: left out, for they are no files: {unnamed} more");
            self.note(&text, &json!({ "event": "left_out", "more": unnamed }));
        }
    }

    /// It waits for somebody.
    pub fn waits(&self, what: &str) {
        match &self.mode {
            Mode::Plain => {}
            Mode::Bar(bar) => {
                bar.set_style(style("{spinner} {msg} ({elapsed})"));
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(TICK);
            }
            Mode::Json(_) => put(json!({ "event": "waiting", "for": what })),
        }
    }

    /// Bytes begin to move, so many of them where that is known.
    pub fn begins(&self, total: Option<u64>) {
        match &self.mode {
            Mode::Plain => {}
            Mode::Bar(bar) => {
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
            Mode::Json(counted) => {
                locked(counted).total = total;
                put(json!({ "event": "started", "total_bytes": total }));
            }
        }
    }

    /// So many more bytes have moved.
    pub fn moved(&self, bytes: u64) {
        match &self.mode {
            Mode::Plain => {}
            Mode::Bar(bar) => bar.inc(bytes),
            Mode::Json(counted) => {
                let mut counted = locked(counted);
                counted.bytes += bytes;
                let since = clock::now().duration_since(counted.told);
                if since >= JSON_EVERY {
                    put(counted.tell(since));
                }
            }
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
            Mode::Plain => {}
            Mode::Bar(bar) => bar.set_message(in_words(side)),
            Mode::Json(counted) => {
                let counted = locked(counted);
                if !counted.over {
                    put(json!({ "event": "bottleneck", "side": side }));
                }
            }
        }
    }

    /// It is done.
    pub fn done(&self, text: &str, event: &Value) {
        match &self.mode {
            Mode::Plain => {}
            Mode::Bar(bar) => {
                bar.finish_and_clear();
                put(text);
            }
            Mode::Json(counted) => counted_out(counted, event),
        }
    }

    /// Somebody ended it. On a terminal, the cursor stands behind a `^C`.
    pub fn interrupted(&self, failure: &Failure) {
        if matches!(self.mode, Mode::Plain) && std::io::stderr().is_terminal() {
            put("");
        }
        self.failed(failure);
    }

    /// It was not done.
    pub fn failed(&self, failure: &Failure) {
        match &self.mode {
            Mode::Plain => put(format_args!("rdv: {}", failure.why)),
            Mode::Bar(bar) => {
                bar.finish_and_clear();
                put(format_args!("rdv: {}", failure.why));
            }
            Mode::Json(counted) => counted_out(
                counted,
                &json!({
                    "event": "failed",
                    "exit_status": failure.exit.status(),
                    "message": failure.why,
                }),
            ),
        }
    }
}

impl Counted {
    fn tell(&mut self, since: Duration) -> Value {
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (self.bytes - self.told_bytes).saturating_mul(1000) / millis;
        self.told += since;
        self.told_bytes = self.bytes;
        json!({
            "event": "progress",
            "bytes": self.bytes,
            "total_bytes": self.total,
            "bytes_per_second": rate,
        })
    }
}

/// What the relay's verdict means, for whoever waits.
pub fn in_words(side: &str) -> String {
    match side {
        "source" => "the sender is the slow one".into(),
        "destination" => "the receiver is the slow one".into(),
        "network_in" => "the sender's network is the slow part".into(),
        "network_out" => "the receiver's network is the slow part".into(),
        "rate" => "the relay limits the rate".into(),
        other => printable(other),
    }
}

/// Writes one line to standard error, with one call so that no other comes between. Who closed it
/// does not want to know, and gets the bytes all the same.
pub(super) fn put(line: impl Display) {
    let line = format!("{line}\n");
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Tells machines how it ended, and nothing after that.
fn counted_out(counted: &Mutex<Counted>, event: &Value) {
    let mut counted = locked(counted);
    put(event);
    counted.over = true;
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn locked(counted: &Mutex<Counted>) -> std::sync::MutexGuard<'_, Counted> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}
