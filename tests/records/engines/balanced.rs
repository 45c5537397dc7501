//! Several sources with a spool each, at a balancer that sends each key to one of them.

use std::sync::{Arc, RwLock};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::destination::record_server::RecordServer;
use crate::engines::documented::{adapted, blocks};
use crate::support::{Haproxy, Process, Response, Wire, ask, eventually};
use crate::together::ends::{self, Source};
use crate::together::killed::Load;
use crate::together::tally::Tally;

/// A source with a spool, on an address of its own: a connection of the balancer to its port cannot
/// connect to itself while it is down.
struct Node {
    source: Option<Source>,
    /// Its address, and its directory.
    listen: String,
    directory: tempfile::TempDir,
}

impl Node {
    fn start(address: &str) -> Node {
        let directory = tempfile::tempdir().unwrap();
        let mut node = Node { source: None, listen: format!("{address}:0"), directory };
        node.restart();
        node
    }

    fn restart(&mut self) {
        let spool = self.path("spool");
        let output = format!("unix:{}", self.path("records.sock"));
        let flags = ["--spool", &spool, "--output", &output, "--key", "header:X-Key"];
        let source = Source::start(0, &[&flags[..], &["--listen", &self.listen]].concat());
        self.listen = source.address.to_string();
        self.source = Some(source);
    }

    fn kill(&mut self) {
        self.source = None;
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Whether a record with this key is in its spool.
    fn has_spooled(&self, key: &str) -> bool {
        let key = format!("\"key\":\"{}\"", BASE64_STANDARD.encode(key));
        let files = std::fs::read_dir(self.path("spool")).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
            .any(|content| String::from_utf8_lossy(&content).contains(&key))
    }

    /// A destination for its records.
    fn destination(&self, server: &RecordServer) -> Process {
        let input = format!("unix:{}", self.path("records.sock"));
        ends::destination(&["--url", &server.url(), "--input", &input])
    }
}

/// `HAProxy` as in docs/connector.md before two nodes, which have these options besides.
fn balanced(nodes: &[Node; 2], options: &str) -> Option<Haproxy> {
    let block = blocks("Several nodes").remove(0);
    let first = format!("server a {} {options}", nodes[0].listen);
    let second = format!("server b {} {options}", nodes[1].listen);
    let block = adapted(
        &block,
        &[
            ("server a 10.0.0.1:3000", &first),
            ("server b 10.0.0.2:3000", &second),
            ("X-Customer", "X-Key"),
        ],
    );
    let (_, lines) = block.split_once('\n').unwrap();
    // This adds its lines to those of a server that no request is sent to.
    Haproxy::http("60s", &format!("{} disabled\n  retries 0\n{lines}", nodes[0].listen))
}

#[test]
fn a_killed_source_at_a_balancer_loses_nothing_and_keeps_the_order_of_each_key() {
    let mut nodes = [Node::start("127.0.0.2"), Node::start("127.0.0.3")];
    let Some(balancer) = balanced(&nodes, "") else { return };
    let load = Load {
        senders: 30,
        requests: 100,
        keys: |sender| [format!("a{sender}"), format!("b{}", sender % 5)],
        is_acknowledged: false,
    };
    let tally = Arc::new(Tally::default());
    let server = tally.failing_server();
    let destinations = nodes.each_ref().map(|node| node.destination(&server));
    let there = RwLock::new(());
    let created = thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(balancer.address(), &there, &tally));
        for turn in 0..4 {
            tally.await_arrivals(600 * (turn + 1));
            nodes[turn % 2].kill();
            assert_eq!(refused(&balancer).head.get("Retry-After"), Some("1"));
            nodes[turn % 2].restart();
        }
        sending.join().expect("all senders")
    });
    tally.await_success(created.len());
    tally.check(&created);
    for (node, destination) in nodes.into_iter().zip(destinations) {
        node.source.unwrap().end();
        ends::end("the destination", destination);
    }
}

/// The response for a key of a node that is down. The others do not accept `GET`.
fn refused(balancer: &Haproxy) -> Response {
    let responses = (0..100).map(|number| {
        let probe = ask("GET", "/").field("X-Key", &format!("k{number}"));
        Wire::connect(balancer.address()).exchange(&probe)
    });
    responses.into_iter().find(|response| response.status() == 503).expect("half of them")
}

#[test]
fn keys_that_move_to_another_node_overtake_the_records_in_a_spool() {
    let mut nodes = [Node::start("127.0.0.2"), Node::start("127.0.0.3")];
    let Some(balancer) = balanced(&nodes, "check inter 50ms fall 1 rise 1") else { return };
    let post = |key: &str, body: &str| {
        let request = ask("POST", "/").field("X-Key", key).body(body);
        Wire::connect(balancer.address()).exchange(&request)
    };
    let key = (0..100).map(|number| format!("k{number}")).find(|key| {
        let answer = post(key, &format!("{key} first"));
        assert_eq!(answer.status(), 201, "{}", answer.text());
        nodes[0].has_spooled(key)
    });
    let key = key.expect("half of them");
    nodes[0].kill();
    eventually("the key moves", || {
        (post(&key, &format!("{key} second")).status() == 201).then_some(())
    });
    let server = RecordServer::accepting();
    let next_of_key = || {
        let received = std::iter::repeat_with(|| server.recv_request().body);
        let mut received = received.map(|body| String::from_utf8(body).unwrap());
        received.find(|body| body.starts_with(&format!("{key} "))).unwrap()
    };
    let _other = nodes[1].destination(&server);
    assert_eq!(next_of_key(), format!("{key} second"));
    nodes[0].restart();
    let _first = nodes[0].destination(&server);
    assert_eq!(next_of_key(), format!("{key} first"));
}
