//! Requests with short responses, one at a time.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::pool::Pool;
use super::{HANG_TIMEOUT, PAUSE, RETRIES_MAX, is_retried};
use crate::support::{Ending, Head, now};

/// A complete response.
pub(crate) struct Reply {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// The connection ended before.
    Ended(Ending),
    /// Nothing was received in time.
    Hang,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request with this body.
pub(crate) fn request(method: &str, target: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nHost: soak\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Sends a request, again if the relay is being replaced, and returns the last response.
pub(crate) fn ask(pool: &mut Pool, request: &str) -> Result<Reply, NoReply> {
    let started = now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (result, reused) = ask_once(pool, request, started, attempts > 1);
        let (status, hangs) = match &result {
            Ok(reply) => (Some(reply.head.status), false),
            Err(no_reply) => (None, *no_reply == NoReply::Hang),
        };
        // 429 is what a second client expects.
        let is_last = hangs || attempts >= RETRIES_MAX || status == Some(429);
        if is_last || !is_retried(status, reused) {
            return result;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The response, and whether the connection had been kept.
fn ask_once(
    pool: &mut Pool,
    request: &str,
    started: Instant,
    fresh: bool,
) -> (Result<Reply, NoReply>, bool) {
    let Ok(mut link) = pool.link(fresh, false) else {
        return (Err(NoReply::Ended(Ending::Reset)), true);
    };
    let reused = link.reused;
    // It fits into the empty send buffer; an error is read next.
    let _ = link.write(request.as_bytes());
    let mut body = Vec::new();
    loop {
        if link.receive(&mut pool.buffer, &mut |bytes| body.extend_from_slice(bytes)) {
            let Some(ending) = link.ending() else { continue };
            let head = link.head().filter(|_| ending == Ending::Complete).cloned();
            pool.give_back(link);
            let reply = head.map(|head| Reply { head, body });
            return (reply.ok_or(NoReply::Ended(ending)), reused);
        }
        let left = HANG_TIMEOUT.saturating_sub(now() - started);
        if left.is_zero() {
            return (Err(NoReply::Hang), reused);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // An interrupted poll is treated as one with a result.
        let _ = poll(&mut [PollFd::new(link.descriptor().as_fd(), PollFlags::POLLIN)], timeout);
    }
}
