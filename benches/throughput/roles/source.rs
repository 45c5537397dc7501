//! The source: uploads to all streams at once, 256 KiB per write, and requires a 200 for each.

use std::io::{self, Read, Write};
use std::rc::Rc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{report, wait};
use crate::measure::now;
use crate::options::TransferArgs;
use crate::tls::Connection;
use crate::wire::{LAST_CHUNK, WRITE_BYTES, Wire};
use crate::{Result, failure};

/// One upload.
struct Upload {
    socket: Connection,
    wire: Rc<Wire>,
    position: u64,
    response: Vec<u8>,
}

/// What an upload waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Room,
    Response,
    Nothing,
}

/// Uploads to each of `ids`; prints `start` and the time of the first request.
pub(crate) fn run(task: &TransferArgs, ids: &[String]) -> Result<()> {
    let mut uploads = connect(task, ids)?;
    report(&format!("start {}", now().as_nanos()));
    for (index, (upload, id)) in uploads.iter_mut().zip(ids).enumerate() {
        let head = task.body(index).upload_head(id, &task.relay.to_string(), upload.wire.len());
        upload.socket.write_all(head.as_bytes())?;
    }
    match uploads.as_mut_slice() {
        [only] => while only.step()? != Wants::Nothing {},
        many => interleave(many)?,
    }
    Ok(())
}

fn connect(task: &TransferArgs, ids: &[String]) -> Result<Vec<Upload>> {
    let shared = Rc::new(Wire::new(task.body(0)));
    let upload = |(index, socket)| {
        let wire =
            if task.distinct { Rc::new(Wire::new(task.body(index))) } else { shared.clone() };
        Upload { socket, wire, position: 0, response: Vec::new() }
    };
    Ok(super::open(task, ids.len())?.into_iter().enumerate().map(upload).collect())
}

/// One write or read per upload and round, so that all have the same share.
fn interleave(uploads: &mut [Upload]) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, upload) in uploads.iter().enumerate() {
        upload.socket.socket().set_nonblocking(true)?;
        epoll.add(&upload.socket, EpollEvent::new(EpollFlags::EPOLLOUT, index as u64))?;
    }
    let mut open = uploads.len();
    let mut events = vec![EpollEvent::empty(); uploads.len()];
    while open > 0 {
        let count = wait(&epoll, &mut events)?;
        for event in &events[..count] {
            let upload = &mut uploads[usize::try_from(event.data())?];
            let sending = !upload.sent();
            match upload.step()? {
                Wants::Response if sending => {
                    let mut readable = EpollEvent::new(EpollFlags::EPOLLIN, event.data());
                    epoll.modify(&upload.socket, &mut readable)?;
                }
                Wants::Room | Wants::Response => {}
                Wants::Nothing => {
                    epoll.delete(&upload.socket)?;
                    open -= 1;
                }
            }
        }
    }
    Ok(())
}

impl Upload {
    fn sent(&self) -> bool {
        self.position == self.wire.len() && !self.socket.has_unsent()
    }

    /// Makes one system call.
    fn step(&mut self) -> Result<Wants> {
        let result = if self.sent() { self.read() } else { self.write() };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                let place = format!("after {} of {} bytes", self.position, self.wire.len());
                return Err(failure(format!("source: {error} {place}")));
            }
            Ok(()) => {}
        }
        if !self.sent() {
            return Ok(Wants::Room);
        }
        let Some(end) = memchr::memmem::find(&self.response, b"\r\n\r\n") else {
            return Ok(Wants::Response);
        };
        let head = String::from_utf8_lossy(&self.response[..end]).to_ascii_lowercase();
        if head.split(' ').nth(1) != Some("200") {
            let response = String::from_utf8_lossy(&self.response).into_owned();
            return Err(failure(format!("source: the relay returned {response}")));
        }
        // Some peers send a chunked progress report during the transfer; closing early would reset
        // it.
        let goes_on = head.contains("transfer-encoding: chunked");
        let over = !goes_on || self.response.ends_with(LAST_CHUNK);
        Ok(if over { Wants::Nothing } else { Wants::Response })
    }

    fn write(&mut self) -> io::Result<()> {
        let bytes = self.wire.at(self.position);
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES)];
        self.position += self.socket.write(bytes)? as u64;
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let count = self.socket.read(&mut bytes)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.response.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}
