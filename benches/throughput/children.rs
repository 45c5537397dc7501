//! Child processes of the bench: each wait has a deadline, and each child is killed with its owner.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::measure::{Deadline, cpu};
use crate::{Result, failure};

/// A running child; killed, by its id, when dropped.
pub(crate) struct Worker {
    name: String,
    child: Child,
    /// Lines of its standard output, until the output is ignored.
    lines: Option<Receiver<String>>,
}

impl Worker {
    /// Starts `command`, with `input` on its standard input.
    pub(crate) fn start(name: &str, command: &mut Command, input: &str) -> Result<Self> {
        let mut worker = Self::start_held(name, command, input)?;
        worker.release();
        Ok(worker)
    }

    /// The same, with its standard input left open until [`Worker::release`].
    pub(crate) fn start_held(name: &str, command: &mut Command, input: &str) -> Result<Self> {
        let mut worker = Self::start_reading(name, command, Stdio::piped())?;
        if let Some(stdin) = &mut worker.child.stdin {
            stdin.write_all(input.as_bytes())?;
        }
        Ok(worker)
    }

    /// Closes its standard input.
    pub(crate) fn release(&mut self) {
        self.child.stdin = None;
    }

    /// Starts `command` with its input and output already set, and reads its standard error.
    /// Returns its standard output too, if that is a pipe.
    pub(crate) fn start_writing(
        name: &str,
        command: &mut Command,
    ) -> Result<(Self, Option<ChildStdout>)> {
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| failure(format!("{name}: cannot start: {error}")))?;
        let (stdout, lines) = (child.stdout.take(), child.stderr.take().map(read_lines));
        Ok((Self { name: name.to_owned(), child, lines }, stdout))
    }

    /// Starts `command` with `input` as its standard input.
    pub(crate) fn start_reading(
        name: &str,
        command: &mut Command,
        input: impl Into<Stdio>,
    ) -> Result<Self> {
        let child = command.stdin(input).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| failure(format!("{name}: cannot start: {error}")))?;
        let lines = child.stdout.take().map(read_lines);
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0))
    }

    /// The next line; none once the process closed its output.
    pub(crate) fn line(&self, deadline: Deadline) -> Result<Option<String>> {
        let Some(lines) = &self.lines else { return Ok(None) };
        match lines.recv_timeout(deadline.left()) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(failure(format!("{}: timed out", self.name))),
        }
    }

    /// Waits for a line that contains `mark` and returns the text after the mark.
    pub(crate) fn expect(&self, mark: &str, deadline: Deadline) -> Result<String> {
        while let Some(line) = self.line(deadline)? {
            if let Some((_, rest)) = line.split_once(mark) {
                return Ok(rest.trim().to_owned());
            }
        }
        Err(failure(format!("{}: exited without printing \"{mark}\"", self.name)))
    }

    /// Discards all further output.
    pub(crate) fn ignore_output(&mut self) {
        self.lines = None;
    }

    /// Waits for the process to exit successfully and returns its remaining lines.
    pub(crate) fn finish(mut self, deadline: Deadline) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some(line) = self.line(deadline)? {
            lines.push(line);
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(lines);
        }
        Err(failure(format!("{}: {status}", self.name)))
    }

    /// Sends SIGINT and waits for the process to exit, with any status.
    pub(crate) fn interrupt(mut self, deadline: Deadline) -> Result<()> {
        kill(self.pid(), Signal::SIGINT)?;
        while self.line(deadline)?.is_some() {}
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the process to exit successfully. Returns its total CPU time,
    /// read before it is reaped.
    pub(crate) fn terminate(mut self, deadline: Deadline) -> Result<Duration> {
        kill(self.pid(), Signal::SIGTERM)?;
        let mut lines = Vec::new();
        while let Some(line) = self.line(deadline)? {
            lines.push(line);
        }
        waitid(Id::Pid(self.pid()), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let time = cpu(self.pid())?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(time);
        }
        Err(failure(format!("{}: {status}: {}", self.name, lines.join("; "))))
    }

    /// Returns an error if the process exited.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(failure(format!("{}: exited: {status}", self.name))),
            None => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only for a process that already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines in a thread until the end, even if the receiver is dropped.
fn read_lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The receiver is dropped once no more lines are needed.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// The last lines of a log file, for an error message.
pub(crate) fn log_end(path: &Path) -> String {
    let mut text = Vec::new();
    if let Ok(mut log) = File::open(path) {
        let _ = log.read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
    text.trim().to_owned()
}

/// Retries until success or the deadline, with a pause between attempts.
pub(crate) fn retry<T>(deadline: Deadline, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if deadline.over() => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}
