//! Several relays with one name, each client at any of them.

use std::process::Stdio;

use crate::support::{Balancer, Process, Relay, TokenFile, listener, node, node_on, pattern};
use crate::tokens::receive_url;
use crate::workdir::{Workdir, assert_complete, assert_ended};

#[test]
fn a_stream_is_used_through_any_node() {
    let (a, b) = (node(&[]), node(&[]));
    let (here, there) = (Workdir::at(&a), Workdir::at(&b));
    for (name, size) in [("empty", 0), ("small", 3), ("large", 5 << 20)] {
        here.put(name, pattern(1, size));
        for flags in [&[][..], &["--digest"], &["--private"]] {
            // The receiver is redirected to the node of the sender.
            let (sending, _) = here.start_sending(&[&[name], flags].concat());
            let link = receive_url(&sending).replace(&a.url(""), &b.url(""));
            assert_complete(name, &there.run(&["receive", &link, "-o", "got", "-f"]));
            assert_complete(name, &sending.finish());
            assert!(there.read("got") == here.read(name), "{name} {flags:?}");
        }
        // The sender is redirected to the node of the stream.
        let id = b.create();
        let sending = here.start(&["send", name, "--stream", &id]);
        assert_complete(name, &there.run(&["receive", &id, "-o", "got", "-f"]));
        assert_complete(name, &sending.finish());
        assert!(there.read("got") == here.read(name), "{name}");
    }
}

#[test]
fn commands_work_behind_a_balancer_that_knows_no_streams() {
    let (a, b) = (node(&[]), node(&[]));
    let balancer = Balancer::before(&[&a, &b]);
    let (here, there) = (Workdir::at_url(balancer.url()), Workdir::at_url(balancer.url()));
    here.put("a", pattern(2, 1 << 20));
    // Each connection is to another node than the one before: every request is redirected once.
    for _ in 0..2 {
        let (sending, id) = here.start_sending(&["a", "--json"]);
        assert_complete("status", &there.run(&["status", &id]));
        assert_complete("receive", &there.run(&["receive", &id, "-o", "b", "-f"]));
        let finished = sending.finish();
        assert_complete("send", &finished);
        let confirmed = finished.stderr.contains(r#""receipt":"confirmed""#);
        assert!(confirmed, "{}", finished.stderr);
        assert!(here.read("a") == there.read("b"));
        let (sending, id, lines) = here.pipe_send(&[]);
        let receiving = Process::reading(there.command(&["pipe", "receive", &id]), Stdio::null());
        drop(lines);
        assert_complete("pipe receive", &receiving.finish());
        assert_complete("pipe send", &sending.finish());
        let (sending, id) = here.start_sending(&["a"]);
        assert_complete("cancel", &there.run(&["cancel", &id]));
        assert_ended("send", &sending.finish(), 4, "deleted");
    }
}

#[test]
fn input_that_cannot_be_read_twice_is_sent_after_a_redirect() {
    let (a, b) = (node(&[]), node(&[]));
    let (here, there) = (Workdir::at(&a), Workdir::at(&b));
    here.put("in", pattern(3, 300_000));
    let id = b.create();
    let input = std::fs::File::open(here.path("in")).expect("a file");
    let mut cat = here.other_command("sh");
    cat.args(["-c", "cat | \"$RDV\" pipe send --stream \"$0\"", &id]);
    cat.env("RDV", env!("CARGO_BIN_EXE_rdv"));
    let sending = Process::reading(cat, input.into());
    assert_complete("receive", &there.run(&["receive", &id, "-o", "out"]));
    assert_complete("send", &sending.finish());
    assert!(here.read("in") == there.read("out"));
}

#[test]
fn an_endless_redirect_and_a_missing_one_are_reported() {
    let (socket, address) = listener();
    let port = address.port();
    // Its number is not its port, so that it redirects requests for that to itself.
    let wrong = (port ^ 1).to_string();
    let lost = node_on(socket, &["--node-id", &wrong, "--node-url", "http://127.0.0.1:{node}"]);
    let here = Workdir::at(&lost);
    here.put("a", "hello");
    let id = format!("{port:04x}0000-0000-8000-8000-000000000000");
    for arguments in
        [&["send", "a", "--stream", &id][..], &["receive", &id], &["status", &id], &["cancel", &id]]
    {
        assert_ended(arguments[0], &here.run(arguments), 7, "too many redirects; check node-url");
    }
    let alone = Relay::start(&["--node-id", "7"]);
    let finished = Workdir::at(&alone).run(&["receive", &id]);
    assert_ended("receive", &finished, 5, "send the request to that node");
}

#[test]
fn a_token_is_not_sent_to_another_server() {
    let tokens = TokenFile::new(&[("me", "create,send,receive,list", "hush")]);
    let flags = ["--tokens", tokens.path(), "--require", "send,receive"];
    let (a, b) = (node(&flags), node(&flags));
    let here = Workdir::at(&a);
    let id = b.create();
    let mut command = here.command(&["receive", &id]);
    command.env("RDV_TOKEN", "hush");
    assert_ended("receive", &Process::start(command).finish(), 5, "token");
    let mut command = here.command(&["status", &a.create()]);
    command.env("RDV_TOKEN", "hush");
    assert_complete("at its own relay", &Process::start(command).finish());
}
