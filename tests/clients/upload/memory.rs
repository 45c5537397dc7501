//! Large uploads use little memory: for 2 GiB, a process grows by at most 20 MiB of address space
//! and has at most 10 MiB resident.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::resource::{Resource, setrlimit};
use rdv::client::{Options, Part, Upload};
use rdv::splice::copy;
use tempfile::NamedTempFile;

use crate::support::{Authority, Process, TEST_TIMEOUT, Terminator};
use crate::upload::server::{Connection, Request, Server, answer};

const LENGTH: u64 = 2 << 30;

/// Maximum growth of the running process, in bytes of address space.
const ROOM: u64 = 20 << 20;

/// Maximum resident memory at any time, including the program itself.
const RESIDENT_MAX_KIB: u64 = 10 << 10;

/// Variables for the child process: the kind of source, the URL, the length, and the authority's
/// file.
const ORDERS: &str = "RDV_TEST_UPLOAD_ORDERS";

/// Receives a request and discards it; returns the length of its body.
fn discard_request(connection: &mut Connection) -> io::Result<(Request, u64)> {
    let mut request = connection.head()?;
    let mut bytes = 0;
    match request.field("content-length") {
        Some(length) => {
            bytes = length.parse().expect("a number");
            connection.skip(bytes)?;
        }
        None => loop {
            let size = connection.size_line()?;
            connection.skip(size)?;
            assert_eq!(connection.line()?, "");
            bytes += size;
            if size == 0 {
                break;
            }
        },
    }
    request.is_complete = true;
    Ok((request, bytes))
}

/// A server that discards requests, and reports the length of each.
fn discarding_server() -> (Server, mpsc::Receiver<u64>) {
    let (sender, receiver) = mpsc::channel();
    let server = Server::start(move |connection| {
        let (request, bytes) = discard_request(connection)?;
        let _ = sender.send(bytes);
        connection.send(answer(201))?;
        Ok(Some(request))
    });
    (server, receiver)
}

impl Connection {
    /// Discards this number of bytes in the kernel (`MSG_TRUNC`, tcp(7)).
    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        let buffered = self.buffered().min(usize::try_from(bytes).expect("64 bits"));
        self.consume(buffered);
        bytes -= buffered as u64;
        let mut scratch = vec![0; 1 << 20];
        while bytes > 0 {
            let most = scratch.len().min(usize::try_from(bytes).expect("64 bits"));
            match copy::discard(self.socket(), &mut scratch[..most])? {
                copy::Read::Moved(count) => bytes -= count as u64,
                copy::Read::Eof => return Err(io::ErrorKind::UnexpectedEof.into()),
                copy::Read::Blocked => panic!("this socket blocks"),
            }
        }
        Ok(())
    }
}

/// This program as a separate process that only sends.
fn sender(orders: &str, input: Stdio) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let mode = ["--ignored", "--exact", "upload::memory::a_process_that_sends", "--nocapture"];
    command.args(mode).args(["--test-threads", "1"]);
    command.env(ORDERS, orders).env("RUST_BACKTRACE", "0");
    Process::reading(command, input)
}

/// A sparse file, on a tmpfs if there is one: it returns the same zero page every time, while disk
/// file systems allocate 2 GiB of page cache first, which takes 5 s.
fn sparse(length: u64) -> NamedTempFile {
    let memory = NamedTempFile::new_in("/dev/shm");
    let file = memory.or_else(|_| NamedTempFile::new()).expect("a file");
    file.as_file().set_len(length).expect("holes");
    file
}

/// The peak memory of a finished process, in KiB.
fn resident_max_kib(process: Process) -> u64 {
    let finished = process.finish();
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    let line = finished.stdout.lines().find_map(|line| line.split_once("at most: "));
    line.expect("VmHWM").1.trim().parse().expect("a number")
}

fn assert_small(name: &str, kib: u64) {
    println!("{name}: at most {kib} KiB resident");
    assert!(kib <= RESIDENT_MAX_KIB, "{name}: {kib} KiB");
}

#[test]
#[ignore = "the process that the other tests start; it needs their orders"]
fn a_process_that_sends() {
    let orders = std::env::var(ORDERS).expect("orders of the test that starts this");
    let mut orders = orders.split(' ');
    let mut next = || orders.next().expect("an order");
    let (kind, url, length) = (next(), next(), next().parse().expect("a length"));
    let mut options = Options::default();
    if let Some(authority) = orders.next() {
        options.trust_only(authority);
    }
    let statm = std::fs::read_to_string("/proc/self/statm").expect("its size");
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).expect("pages");
    let most = pages * 4096 + ROOM;
    setrlimit(Resource::RLIMIT_AS, most, most).expect("a limit");

    let mut upload = Upload::new("POST", url).unwrap().with_options(options);
    let file = sparse(length);
    let answer = match kind {
        "file" => upload.send(Part::path(file.path()).unwrap()),
        "pipe" => upload.send(Part::descriptor(io::stdin().as_fd())),
        "reader" => upload.send(io::repeat(7).take(length)),
        other => panic!("{other}"),
    };
    assert_eq!(answer.unwrap().status(), 201);
    let status = std::fs::read_to_string("/proc/self/status").expect("its memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    println!("at most: {}", line.trim().trim_end_matches(" kB"));
}

#[test]
fn a_file_of_2_gib_is_sent_with_little_memory() {
    let (server, receiver) = discarding_server();
    let process = sender(&format!("file {} {LENGTH}", server.url()), Stdio::null());
    assert_small("file", resident_max_kib(process));
    assert!(receiver.recv_timeout(TEST_TIMEOUT).unwrap() > LENGTH);
    assert!(server.request().field("content-length").is_some());
}

#[test]
fn a_reader_of_2_gib_is_sent_with_little_memory() {
    let (server, receiver) = discarding_server();
    let process = sender(&format!("reader {} {LENGTH}", server.url()), Stdio::null());
    assert_small("reader", resident_max_kib(process));
    assert!(receiver.recv_timeout(TEST_TIMEOUT).unwrap() > LENGTH);
}

#[test]
fn a_pipe_of_2_gib_is_sent_with_little_memory() {
    let (server, receiver) = discarding_server();
    let (input, mut filler) = io::pipe().unwrap();
    let process = sender(&format!("pipe {} 0", server.url()), Stdio::from(input));
    let writer = thread::spawn(move || {
        let piece = vec![7; 1 << 20];
        for _ in 0..LENGTH >> 20 {
            filler.write_all(&piece).expect("the process reads");
        }
    });
    assert_small("pipe", resident_max_kib(process));
    writer.join().unwrap();
    assert!(receiver.recv_timeout(TEST_TIMEOUT).unwrap() > LENGTH);
}

#[test]
fn https_uses_little_memory_too() {
    let authority = Authority::new();
    let length = 64 << 20;
    let (server, receiver) = discarding_server();
    let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
    let orders = format!("file {} {length} {}", front.url(), authority.file().display());
    assert_small("https", resident_max_kib(sender(&orders, Stdio::null())));
    assert!(receiver.recv_timeout(TEST_TIMEOUT).unwrap() > length);
}
