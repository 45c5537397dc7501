//! The stored figures, and the comparison with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use crate::{Result, markdown};

/// Maximum difference, as a part of the stored figure, up and down: a saving that is not stored
/// would hide the next increase.
const TOLERANCE: f64 = 0.03;

/// The key of the compiler's version.
const COMPILER: &str = "rustc";

/// Instructions by the name of the case.
pub(crate) struct Figures {
    compiler: String,
    cases: Vec<(String, u64)>,
}

impl Figures {
    /// No figures yet, by this compiler.
    pub(crate) fn new() -> Result<Self> {
        let output = Command::new("rustc").arg("--version").output()?;
        let compiler = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Self { compiler, cases: Vec::new() })
    }

    /// Adds a figure.
    pub(crate) fn set(&mut self, name: &str, instructions: u64) {
        self.cases.push((name.to_owned(), instructions));
    }

    /// Stores these figures, and keeps those of other cases.
    pub(crate) fn store(&self) -> Result<()> {
        let mut stored = stored().unwrap_or_default();
        stored.insert(COMPILER.to_owned(), self.compiler.clone().into());
        for (name, instructions) in &self.cases {
            stored.insert(name.clone(), (*instructions).into());
        }
        fs::write(file(), serde_json::to_string_pretty(&stored)? + "\n")?;
        println!("stored {} figures in {}", self.cases.len(), file().display());
        Ok(())
    }

    /// Prints all figures; whether they are as stored.
    pub(crate) fn compare(&self) -> Result<bool> {
        let stored = stored()?;
        let mut differing = BTreeMap::new();
        let mut rows = Vec::new();
        for (name, measured) in &self.cases {
            let before = stored.get(name).and_then(Value::as_u64);
            let ratio = before.map_or(f64::INFINITY, |before| *measured as f64 / before as f64);
            let verdict = if (ratio - 1.0).abs() <= TOLERANCE { "" } else { "differs" };
            if !verdict.is_empty() {
                differing.insert(name, ratio);
            }
            let before = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
            let ratio = format!("{ratio:.4}");
            rows.push(vec![name.clone(), before, measured.to_string(), ratio, verdict.to_owned()]);
        }
        let columns = ["case", "stored", "measured", "ratio", ""].map(str::to_owned);
        markdown::print("instructions", &columns, &rows);
        if differing.is_empty() {
            return Ok(true);
        }
        println!(
            "{} figures differ by more than {} %. If that is intended, store them with \
             `cargo instructions --update` in the same commit, and state the reason in its message.",
            differing.len(),
            TOLERANCE * 100.0
        );
        let compiler = stored.get(COMPILER).and_then(Value::as_str).unwrap_or("unknown");
        if compiler != self.compiler {
            println!("stored by {compiler}, measured by {}", self.compiler);
        }
        Ok(false)
    }
}

/// The file in the repository.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json")
}

fn stored() -> Result<Map<String, Value>> {
    Ok(serde_json::from_str(&fs::read_to_string(file())?)?)
}
