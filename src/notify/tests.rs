//! Attempts, and the bounds of the queue.

use super::*;
use crate::http::webhook::SigningKey;
use crate::relay::Notification;
use clap::{Args as _, Command, FromArgMatches as _};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use uuid::Uuid;

/// A safety net, not an expectation.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

fn notifier(timeout: Duration) -> NotifyThread {
    let command = NotifySettings::augment_args(Command::new("rdv").no_binary_name(true));
    let matches = command.try_get_matches_from(["--notify-allow=127.0.0.0/8"]).unwrap();
    let settings = NotifySettings::from_arg_matches(&matches).unwrap();
    let key = SigningKey::new("secret").unwrap();
    NotifyThread::sending(Sender::new(key, settings, timeout), [Duration::ZERO; 2]).unwrap()
}

fn notification(address: SocketAddr, body: &str) -> Notification {
    let url = format!("http://{address}/").into();
    Notification { stream: Uuid::nil(), url, body: body.into() }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn three_attempts_are_made_and_redirects_are_not_followed() {
    let (listener, address) = listener();
    let (elsewhere, target) = self::listener();
    elsewhere.set_nonblocking(true).unwrap();
    let mut notifier = notifier(TIMEOUT);
    notifier.ended(notification(address, "{}"));
    for status in ["302 Found", "500 Internal Server Error", "404 Not Found"] {
        let (mut socket, _) = listener.accept().unwrap();
        let head = format!(
            "HTTP/1.1 {status}\r\nLocation: http://{target}/\r\nContent-Length: 9999\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        // Its end: nothing of the body is waited for.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    notifier.finish(TEST_TIMEOUT);
    assert_eq!(notifier.counts(), [0, 1, 0, 0, 0]);
    assert!(elsewhere.accept().is_err(), "no redirect was followed");
}

#[test]
fn notifications_beyond_the_bounds_of_the_queue_are_dropped() {
    let (_silent, address) = listener();
    let mut notifier = notifier(TIMEOUT);
    for _ in 0..QUEUE_MAX {
        notifier.ended(notification(address, "{}"));
    }
    assert_eq!(notifier.counts(), [0; 5]);
    notifier.ended(notification(address, "{}"));
    notifier.ended(notification(address, "{}"));
    assert_eq!(notifier.counts(), [0, 0, 0, 0, 2]);
    notifier.finish(Duration::ZERO);
}

#[test]
fn the_bodies_in_the_queue_are_bounded_too() {
    let (_silent, address) = listener();
    let mut notifier = notifier(TIMEOUT);
    let body = "x".repeat(QUEUE_MAX_BYTES / 2);
    for _ in 0..3 {
        notifier.ended(notification(address, &body));
    }
    assert_eq!(notifier.counts(), [0, 0, 0, 0, 2], "with its URL the second one is too large");
    notifier.finish(Duration::ZERO);
}

#[test]
fn a_receiver_without_a_response_is_given_up() {
    for (name, interim) in [("silent", ""), ("heartbeats", "HTTP/1.1 102 Processing\r\n\r\n")] {
        let (listener, address) = listener();
        let receiver = thread::spawn(move || {
            for _ in 0..3 {
                let (mut socket, _) = listener.accept().unwrap();
                while !interim.is_empty() && socket.write_all(interim.as_bytes()).is_ok() {}
                let _ = socket.read_to_end(&mut Vec::new());
            }
        });
        let mut notifier = notifier(Duration::from_millis(200));
        notifier.ended(notification(address, "{}"));
        notifier.finish(TEST_TIMEOUT);
        assert_eq!(notifier.counts(), [0, 1, 0, 0, 0], "{name}");
        receiver.join().unwrap();
    }
}
