//! Uploads with the library, with a limited growth of its address space, to a server that discards
//! everything.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, setrlimit};
use rdv::client::{Part, Upload};

use super::report;
use crate::children::Worker;
use crate::measure::{Deadline, now, since};
use crate::options::Origin;
use crate::{Result, failure};

/// Maximum growth of the address space.
const GROWTH_BYTES: u64 = 20 << 20;

/// Uploads this number of bytes, and prints the peak memory in MiB and the time in seconds.
pub(crate) fn run(origin: Origin, bytes: u64) -> Result<()> {
    let server = Server::start()?;
    let url = format!("http://{}/", server.address);
    let mut zeros = Zeros::start(origin, bytes)?;
    let growth = kib("VmSize:")? * 1024 + GROWTH_BYTES;
    setrlimit(Resource::RLIMIT_AS, growth, growth)?;
    let begin = now();
    let mut upload = Upload::new("POST", &url)?;
    let response = match &mut zeros {
        Zeros::File(file) => upload.send(Part::open_file(file.try_clone()?)?)?,
        Zeros::Pipe(child) => {
            let pipe = child.stdout.take().ok_or_else(|| failure("no pipe"))?;
            upload.send(Part::descriptor(pipe.as_fd()))?
        }
        Zeros::Reader(bytes) => upload.send(io::repeat(0).take(*bytes))?,
    };
    let seconds = since(begin).as_secs_f64();
    if response.status() != 200 {
        return Err(failure(format!("the server returned {}", response.status())));
    }
    let peak = kib("VmHWM:")? as f64 / 1024.0;
    report(&format!("uploaded {peak:.3} {seconds:.3}"));
    zeros.end();
    Ok(())
}

/// The source of the zeros to upload.
enum Zeros {
    File(File),
    Pipe(Child),
    Reader(u64),
}

impl Zeros {
    fn start(origin: Origin, bytes: u64) -> Result<Self> {
        Ok(match origin {
            Origin::File => {
                let file = tempfile::tempfile()?;
                file.set_len(bytes)?;
                Self::File(file)
            }
            Origin::Pipe => {
                let count = bytes.to_string();
                let mut command = Command::new("head");
                command.args(["-c", &count, "/dev/zero"]).stdout(Stdio::piped());
                Self::Pipe(command.spawn()?)
            }
            Origin::Reader => Self::Reader(bytes),
        })
    }

    fn end(self) {
        if let Self::Pipe(mut child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server in a separate process, whose memory is not counted.
struct Server {
    address: SocketAddr,
    _process: Worker,
}

impl Server {
    fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = Worker::start("discard", command.arg("discard"), "")?;
        let deadline = Deadline::after(std::time::Duration::from_secs(10));
        let address = process.expect("listening on http://", deadline)?.parse()?;
        process.ignore_output();
        Ok(Self { address, _process: process })
    }
}

/// Receives one request with a form and responds at the end of the form.
pub(crate) fn discard() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    report(&format!("listening on http://{}", listener.local_addr()?));
    let (mut socket, _) = listener.accept()?;
    let mut buffer = vec![0; 1 << 20];
    let mut tail = Vec::new();
    while !is_over(&tail) {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            return Err(failure("the upload ended early"));
        }
        keep_tail(&mut tail, &buffer[..count]);
    }
    respond(&mut socket)
}

fn respond(socket: &mut TcpStream) -> Result<()> {
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

/// Keeps the last bytes received, enough to detect the end of a form with either framing.
fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    const KEPT: usize = 16;
    tail.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
    tail.drain(..tail.len().saturating_sub(KEPT));
}

/// The contents are zeros only, so two dashes at the end of a line end the form.
fn is_over(tail: &[u8]) -> bool {
    tail.ends_with(b"--\r\n\r\n0\r\n\r\n") || (tail.ends_with(b"--\r\n") && !tail.contains(&0))
}

fn kib(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| failure(format!("no {name}")))?.parse()?)
}
