//! Without the feature `tls` a connection has no session: this type has no value.

use crate::ops::tls::Acceptor;
use crate::splice::copy::{Read, Write};
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::errno::Errno;
use socket2::Socket;
use std::io::IoSlice;

/// How far a handshake is.
#[derive(Debug)]
#[allow(dead_code, reason = "there is none without TLS")]
pub enum Handshake {
    /// It waits for the client.
    Blocked,
    /// It is complete.
    Done,
    /// The client does not speak TLS: the bytes it sent.
    Plain(Vec<u8>),
    /// It failed, or the client left.
    Failed,
}

/// A TLS session.
#[derive(Debug)]
pub enum TlsSession {}

#[allow(clippy::unused_self, missing_docs, clippy::missing_errors_doc, reason = "never called")]
impl TlsSession {
    pub fn new(acceptor: &Acceptor, _: bool) -> Option<Self> {
        match *acceptor {}
    }

    pub fn client_subject(&self) -> Option<&str> {
        match *self {}
    }

    pub fn version(&self) -> &'static str {
        match *self {}
    }

    pub fn held_input(&self) -> usize {
        match *self {}
    }

    pub fn is_drained(&self) -> bool {
        match *self {}
    }

    pub fn unsent(&self) -> usize {
        match *self {}
    }

    pub fn feed(&mut self, _: Vec<u8>) {
        match *self {}
    }

    pub fn handshake(&mut self, _: &Socket) -> Handshake {
        match *self {}
    }

    pub fn read(&mut self, _: &Socket, _: &mut [u8]) -> Result<Read, Errno> {
        match *self {}
    }

    pub fn write(&mut self, _: &Socket, _: &[u8]) -> Result<Write, Errno> {
        match *self {}
    }

    pub fn write_output(&mut self, _: &Socket, _: &[u8]) -> Result<Write, Errno> {
        match *self {}
    }

    pub fn flush(&mut self, _: &Socket) -> Result<bool, Errno> {
        match *self {}
    }

    pub fn end(&mut self, _: &Socket) -> bool {
        match *self {}
    }
}

/// Whether the kernel encrypts TLS.
pub fn kernel_encrypts() -> bool {
    false
}

/// A session whose keys the kernel has.
#[derive(Debug)]
pub enum KernelTls {}

/// Why the kernel did not take the keys of a session.
#[allow(dead_code, reason = "there is none without TLS")]
pub enum Refusal {
    /// It continues here.
    Continues(Box<TlsSession>),
    /// Its keys are lost.
    Lost,
}

#[allow(clippy::unused_self, missing_docs, clippy::missing_errors_doc, reason = "never called")]
impl KernelTls {
    #[allow(
        clippy::boxed_local,
        clippy::needless_pass_by_value,
        reason = "the signature is that of the feature"
    )]
    pub fn take(session: Box<TlsSession>, _: &Socket) -> Result<Self, Refusal> {
        match *session {}
    }

    pub fn client_subject(&self) -> Option<&str> {
        match *self {}
    }

    pub fn version(&self) -> &'static str {
        match *self {}
    }

    pub fn held_input(&self, _: &Socket) -> usize {
        match *self {}
    }

    pub fn is_drained(&self, _: &Socket) -> bool {
        match *self {}
    }

    pub fn read(&mut self, _: &Socket, _: &mut [u8]) -> Result<Read, Errno> {
        match *self {}
    }

    pub fn fill(&mut self, _: &Socket, _: &Pipe, _: usize) -> Result<Fill, Errno> {
        match *self {}
    }

    pub fn drain(&mut self, _: &Socket, _: &Pipe, _: usize) -> Result<Drain, Errno> {
        match *self {}
    }

    pub fn write(&mut self, _: &Socket, _: &[u8], _: bool) -> Result<Write, Errno> {
        match *self {}
    }

    pub fn gather(&mut self, _: &Socket, _: &[IoSlice<'_>]) -> Result<Write, Errno> {
        match *self {}
    }

    pub fn is_settled(&self, _: &Socket) -> bool {
        match *self {}
    }

    pub fn end(&mut self, _: &Socket) -> bool {
        match *self {}
    }
}
