//! Two network namespaces with a link between them: `veth(4)`, `network_namespaces(7)`.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A namespace `near` at 192.0.2.1 and one `far` at 192.0.2.2 (RFC 5737, section 3), joined by a
/// device named `line` in both. They are removed when this is dropped.
pub(crate) struct Line {
    pub(crate) near: String,
    pub(crate) far: String,
}

static LINES: AtomicU32 = AtomicU32::new(0);

impl Line {
    /// Returns the reason if this is impossible: it needs root, iproute2, and a kernel with veth.
    pub(crate) fn create() -> Result<Line, String> {
        let number = LINES.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("rdv-{}-{number}-{end}", std::process::id());
        let line = Line { near: name("near"), far: name("far") };
        let (near, far) = (line.near.as_str(), line.far.as_str());
        for step in [
            format!("ip netns add {near}"),
            format!("ip netns add {far}"),
            format!("ip -n {near} link add line type veth peer name line netns {far}"),
            format!("ip -n {near} address add 192.0.2.1/24 dev line"),
            format!("ip -n {far} address add 192.0.2.2/24 dev line"),
            format!("ip -n {near} link set line up"),
            format!("ip -n {far} link set line up"),
            format!("ip -n {near} link set lo up"),
            format!("ip -n {far} link set lo up"),
        ] {
            run(&step)?;
        }
        Ok(line)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for end in [&self.near, &self.far] {
            let _ = run(&format!("ip netns delete {end}"));
        }
    }
}

/// Runs a command with words separated by one space; returns the reason if it failed.
pub(crate) fn run(command: &str) -> Result<(), String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    let printed = || format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(()) } else { Err(printed()) }
}

/// A command in a namespace.
pub(crate) fn command_in_namespace(namespace: &str, words: &[String]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command
}
