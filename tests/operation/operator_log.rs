//! The operator's log: a slow or stalled reader of the log blocks no client.

use std::process::Command;

use crate::support::Relay;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

/// Far more lines than a FIFO and the log's buffer hold.
const CONNECTIONS: usize = 2500;

#[test]
fn an_unread_standard_error_blocks_neither_the_relay_nor_its_exit() {
    let directory = tempfile::tempdir().expect("a directory");
    let fifo = directory.path().join("stderr");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let mut command = Command::new("sh");
    // Also opened for reading, or opening would wait for a reader. Each connection logs a line.
    command.args(["-c", r#"exec "$0" serve --listen 127.0.0.1:0 2<>"$1""#]);
    command.arg(env!("CARGO_BIN_EXE_rdv")).arg(&fifo).env("RUST_LOG", "trace");
    let relay = Relay::from_command(command, 1);
    for _ in 0..CONNECTIONS {
        relay.await_turn();
    }
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.finish().status.code(), Some(0));
}

#[test]
fn the_log_is_complete_at_exit() {
    let relay = Relay::start(&[]);
    relay.signal(Signal::SIGTERM);
    let finished = relay.finish();
    assert!(finished.stderr.ends_with("SIGTERM: draining\n"), "{}", finished.stderr);
}
