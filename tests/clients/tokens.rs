//! Tokens of the relay, and of private streams.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::support::{Finished, Process, Relay, TokenFile, eventually};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender};

const TOKEN: &str = "token-0123456789abcdef";

fn with_token(here: &Workdir, arguments: &[&str]) -> Process {
    let mut command = here.command(arguments);
    command.env("RDV_TOKEN", TOKEN);
    Process::start(command)
}

/// The receive command of a sender, without its quotes.
pub(crate) fn receive_url(sending: &Process) -> String {
    eventually("the command for the other side", || {
        let printed = sending.stderr();
        let line = printed.lines().find(|line| line.contains("rdv receive "))?;
        let url = line.split("rdv receive ").nth(1)?.trim();
        Some(url.trim_matches('\'').to_owned())
    })
}

fn assert_no_secret(name: &str, finished: &Finished) {
    let printed = finished.stdout.clone() + &finished.stderr;
    assert!(!printed.contains("0123456789"), "{name}: {printed}");
}

#[test]
fn every_command_sends_the_token_of_the_relay() {
    let tokens = TokenFile::new(&[("me", "create,send,receive", TOKEN)]);
    let relay = Relay::start(&["--tokens", tokens.path(), "--require", "create,send,receive"]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "hello");
    here.put("token", format!("{TOKEN}\n"));
    for (name, from_file) in [("in the environment", false), ("in a file", true)] {
        let file = here.path("token");
        let file = ["--token-file", file.to_str().expect("UTF-8")];
        let run = |place: &Workdir, arguments: &[&str]| {
            if from_file {
                place.start(&[arguments, &file].concat())
            } else {
                with_token(place, arguments)
            }
        };
        let sending = run(&here, &["send", "a"]);
        let id = stream_of_sender(&sending);
        assert_complete(name, &run(&here, &["status", &id]).finish());
        assert_complete(name, &run(&there, &["receive", &id, "-o", "b", "-f"]).finish());
        let finished = sending.finish();
        assert_complete(name, &finished);
        assert_no_secret(name, &finished);
        assert_eq!(there.read("b"), b"hello", "{name}");
    }
    for arguments in [&["send", "a"][..], &["receive", crate::support::UNKNOWN]] {
        assert_ended("without a token", &here.run(arguments), 5, "--token-file, or set RDV_TOKEN");
    }
    let mut command = here.command(&["send", "a"]);
    command.env("RDV_TOKEN", "mistyped");
    assert_ended("a wrong one", &Process::start(command).finish(), 5, "not valid here");
}

#[test]
fn a_private_stream_is_received_with_its_link_only() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "hello");
    let sending = here.start(&["send", "a", "--private"]);
    let url = receive_url(&sending);
    let id = url.split("/stream/").nth(1).and_then(|rest| rest.split('?').next()).expect("an id");
    assert_ended("the ID", &there.run(&["receive", id]), 5, "tokens of its own");
    let mistyped = format!("{url}0");
    assert_ended("a mistyped link", &there.run(&["receive", &mistyped]), 5, "check the link");
    assert_ended("its status", &there.run(&["status", id]), 5, "tokens of its own");
    assert_ended("its end", &there.run(&["cancel", &url]), 5, "for other requests");
    assert_complete("status", &there.run(&["status", &url]));
    assert_complete("receive", &there.run(&["receive", &url, "-o", "b"]));
    let finished = sending.finish();
    assert_complete("send", &finished);
    let status = there.run(&["status", "--json", &url]).stdout;
    assert!(status.contains(r#""receipt":"confirmed""#), "{status}");
    assert_eq!(there.read("b"), b"hello");

    let sending = here.start(&["send", "a", "--private", "--ttl", "1m"]);
    let page = eventually("the link", || {
        let printed = sending.stderr();
        printed.lines().find(|line| line.contains("/s/")).map(|line| line.trim().to_owned())
    });
    assert_complete("the page's link", &there.run(&["receive", &page, "-o", "c"]));
    assert_complete("send", &sending.finish());
}

#[test]
fn a_token_of_the_environment_is_for_the_configured_relay_only() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    let heads = thread::spawn(move || {
        let mut all = Vec::new();
        for _ in 0..2 {
            let (mut client, _) = server.accept().expect("a client");
            let lines = BufReader::new(client.try_clone().expect("a socket")).lines();
            let head: Vec<_> =
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            client
                .write_all(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")
                .expect("a response");
            all.push(head.join("\n"));
        }
        all
    });
    here.put("token", TOKEN);
    let url = format!("http://{address}/file");
    assert_ended("another server", &with_token(&here, &["receive", &url]).finish(), 5, "404");
    let file = here.run(&["receive", &url, "--token-file", "token"]);
    assert_ended("a file that is given", &file, 5, "404");
    let heads = heads.join().expect("both heads");
    assert!(!heads[0].contains("uthorization"), "{}", heads[0]);
    assert!(heads[1].contains(&format!("Authorization: Bearer {TOKEN}")), "{}", heads[1]);
}

#[test]
fn the_variable_of_earlier_versions_is_reported() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let mut command = here.command(&["call", "GET", "/"]);
    command.env("RDV_SOCKET_TOKEN", TOKEN);
    let finished = Process::start(command).finish();
    assert_ended("replaced", &finished, 2, "RDV_SOCKET_TOKEN was replaced by RDV_TOKEN");
    assert_no_secret("replaced", &finished);
}
