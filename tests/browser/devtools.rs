//! The Chrome `DevTools` Protocol over the two pipes of `--remote-debugging-pipe`: JSON messages,
//! each followed by a NUL. The browser ends once its pipe is closed, even if this process is killed.

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use crate::support::{TEST_TIMEOUT, now, parse};

/// Events kept for a later caller; the oldest are dropped.
const EVENTS_MAX: usize = 1000;

/// Our end of the pipes, and what was received on them.
pub(crate) struct Devtools {
    to: PipeWriter,
    from: PipeReader,
    received: Vec<u8>,
    calls: u64,
    events: VecDeque<Value>,
}

impl Devtools {
    pub(crate) fn new(to: PipeWriter, from: PipeReader) -> Devtools {
        Devtools { to, from, received: Vec::new(), calls: 0, events: VecDeque::new() }
    }

    /// Calls a method of the browser, or of a page if `session` names one, and returns the result,
    /// or the message of the error; `None` at the timeout.
    pub(crate) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Option<Result<Value, String>> {
        let id = self.send(session, method, params);
        let deadline = now() + TEST_TIMEOUT;
        loop {
            let mut message = self.receive(deadline)?;
            if message["id"] == id {
                let error = message["error"]["message"].as_str().map(str::to_owned);
                return Some(error.map_or_else(|| Ok(message["result"].take()), Err));
            }
        }
    }

    /// Sends a call whose response is ignored.
    pub(crate) fn send(&mut self, session: Option<&str>, method: &str, params: Value) -> u64 {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method });
        call["params"] = params;
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        let bytes = [call.to_string().as_bytes(), b"\0"].concat();
        self.to.write_all(&bytes).expect("write to the browser");
        self.calls
    }

    /// Waits for the first event that `take` accepts, and removes it; `None` at the timeout.
    pub(crate) fn event<T>(&mut self, mut take: impl FnMut(&Value) -> Option<T>) -> Option<T> {
        let deadline = now() + TEST_TIMEOUT;
        loop {
            let found =
                self.events.iter().enumerate().find_map(|(at, event)| Some((at, take(event)?)));
            if let Some((at, taken)) = found {
                self.events.remove(at);
                return Some(taken);
            }
            self.receive(deadline)?;
        }
    }

    /// The next message; an event is also kept for [`Devtools::event`].
    fn receive(&mut self, deadline: std::time::Instant) -> Option<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == 0) {
                let message = parse(&self.received[..end]);
                self.received.drain(..=end);
                if message.get("id").is_none() {
                    if self.events.len() == EVENTS_MAX {
                        self.events.pop_front();
                    }
                    self.events.push_back(message.clone());
                }
                return Some(message);
            }
            let left = PollTimeout::try_from(deadline.saturating_duration_since(now()));
            let mut polled = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            if poll(&mut polled, left.expect("a timeout")).expect("poll") == 0 {
                return None;
            }
            let mut buffer = vec![0; 65_536];
            let count = self.from.read(&mut buffer).expect("read from the browser");
            assert!(count > 0, "the browser closed its pipe");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }
}
