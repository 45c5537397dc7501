//! As an ordinary user, with few pipes: hundreds of concurrent transfers, and none is lost.

use std::io::Write;
use std::thread;

use crate::support::{Ending, Framing, Pair, Relay, is_pattern, pattern, unprivileged_command};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

/// Number of concurrent transfers.
const TRANSFERS: usize = 300;

/// The size of each body: several times the default capacity of a pipe.
const SIZE: usize = 300_000;

/// An unprivileged relay with these flags, and the directory of its binary.
fn unprivileged(flags: &[&str]) -> (Relay, TempDir) {
    let (mut command, directory) = unprivileged_command();
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--max-connections", "900", "--max-streams", "900"]).args(flags);
    (Relay::from_command(command, 1), directory)
}

fn seed(number: usize) -> u64 {
    number as u64
}

/// Runs one transfer to completion, both sides concurrently.
fn run(number: usize, pair: &mut Pair) -> Result<(), String> {
    let framing = pair.framing;
    let body = [&framing.piece(&pattern(seed(number), SIZE)), framing.end()].concat();
    let mut sender = pair.source.sender();
    thread::scope(|scope| {
        let sending = scope.spawn(move || sender.write_all(&body));
        let download = pair.destination.response();
        let sent = sending.join().map_err(|_| "the sender panicked")?;
        sent.map_err(|error| format!("sending: {error}"))?;
        if (download.status(), download.ending) != (200, Ending::Complete) {
            return Err(format!("{} {:?}", download.status(), download.ending));
        }
        is_pattern(seed(number), SIZE, &download.body)?;
        let uploaded = pair.source.response().status();
        if uploaded == 200 { Ok(()) } else { Err(format!("the upload was answered {uploaded}")) }
    })
}

/// Raises the descriptor limit of this process and its children to the maximum.
fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("RLIMIT_NOFILE");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("RLIMIT_NOFILE");
}

#[test]
fn hundreds_of_concurrent_transfers_complete() {
    raise_descriptor_limit();
    let (relay, _directory) = unprivileged(&[]);
    let framing = |number| {
        if number % 2 == 0 { Framing::Length(SIZE) } else { Framing::Chunked }
    };
    let mut pairs: Vec<Pair> = (0..TRANSFERS).map(|number| relay.pair(framing(number))).collect();
    let lost: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = pairs
            .iter_mut()
            .enumerate()
            .map(|(number, pair)| scope.spawn(move || (number, run(number, pair))))
            .collect();
        let ended = running.into_iter().map(|transfer| transfer.join().expect("a transfer"));
        ended.filter_map(|(n, end)| end.err().map(|why| format!("{n}: {why}"))).collect()
    });
    assert!(lost.is_empty(), "{} of {TRANSFERS} were lost: {lost:#?}", lost.len());
    for pair in &pairs {
        let status = relay.await_state(&pair.id, "FINISHED");
        assert_eq!(status["bytes_transferred"], SIZE);
    }
}

#[test]
fn pipes_shrunk_by_the_kernel_count_like_others() {
    // Above fs.pipe-max-size, so that F_SETPIPE_SZ is refused every time.
    let (relay, _directory) = unprivileged(&["--pipe-size", "256MiB", "--max-pipes", "2"]);
    let before = relay.descriptors();
    let data = pattern(0, 8 << 20);
    let mut stalled: Vec<Pair> =
        (0..5).map(|_| relay.narrow_pair(Framing::Length(data.len()))).collect();
    for pair in &mut stalled {
        relay.fill(&mut pair.source, &data);
    }
    let pipes = (relay.descriptors().pipe_ends - before.pipe_ends) / 2;
    assert!((1..=2).contains(&pipes), "{pipes} pipes are open");
}
