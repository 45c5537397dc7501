//! Heartbeats (`102 Processing`) to other programs: they ignore them, or are sent none.
//!
//! Needs curl, wget, node and python3. What is known of others is in `src/http/interim.rs`.

use crate::support::{Finished, Framing, Process, Relay, assert_uploaded};
use crate::workdir::Workdir;

/// A program, and its arguments before the URL.
struct Client {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    heartbeats: Heartbeats,
}

/// What a client does with heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heartbeats {
    /// It shows them in its error output.
    Shown,
    /// It ignores them.
    Ignored,
    /// The relay sends it none.
    None,
}

use Heartbeats::{Ignored, None, Shown};

const CURL: &str = "-qsvf";

const NODE_GET: &str = "
    const get = require('http').get(process.argv[1], {headers: {'User-Agent': 'node'}},
        response => response.pipe(process.stdout));
    get.on('information', ({statusCode}) => console.error('HTTP/1.1', statusCode));";

const NODE_FETCH: &str =
    "fetch(process.argv[1]).then(it => it.text()).then(text => process.stdout.write(text));";

const PYTHON_GET: &str = "
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.netloc)
connection.request('GET', url.path)
response = connection.getresponse()
assert response.status == 200, response.status
print(response.read().decode(), end='')";

const URLLIB_GET: &str = "
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(sys.argv[1]).read().decode(), end='')";

const RECEIVERS: [Client; 6] = [
    Client { name: "curl", program: "curl", arguments: &[CURL], heartbeats: Shown },
    Client {
        name: "wget",
        program: "wget",
        arguments: &["--no-config", "-SO-"],
        heartbeats: Ignored,
    },
    Client { name: "node", program: "node", arguments: &["-e", NODE_GET], heartbeats: Shown },
    Client { name: "fetch", program: "node", arguments: &["-e", NODE_FETCH], heartbeats: Ignored },
    Client { name: "python", program: "python3", arguments: &["-c", PYTHON_GET], heartbeats: None },
    Client { name: "urllib", program: "python3", arguments: &["-c", URLLIB_GET], heartbeats: None },
];

const NODE_PUT: &str = "
    const headers = {'User-Agent': 'node', 'Content-Length': 5};
    const options = {method: 'PUT', headers};
    const put = require('http').request(process.argv[1], options,
        ({statusCode}) => process.exit(statusCode === 200 ? 0 : 1));
    put.on('information', ({statusCode}) => console.error('HTTP/1.1', statusCode));
    put.end('hello');";

const NODE_EXPECTING: &str = "
    const headers = {'User-Agent': 'node', 'Content-Length': 5, Expect: '100-continue'};
    const options = {method: 'PUT', headers};
    const put = require('http').request(process.argv[1], options,
        ({statusCode}) => process.exit(statusCode === 200 ? 0 : 1));
    put.on('information', ({statusCode}) => console.error('HTTP/1.1', statusCode));
    put.on('continue', () => put.end('hello'));";

const FETCH_PUT: &str = "
    fetch(process.argv[1], {method: 'PUT', body: 'hello'})
        .then(({ok}) => process.exit(ok ? 0 : 1));";

const PYTHON_PUT: &str = "
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.netloc)
connection.request('PUT', url.path, b'hello')
status = connection.getresponse().status
assert status == 200, status";

const SENDERS: [Client; 7] = [
    Client { name: "curl", program: "curl", arguments: &[CURL, "-T", "file"], heartbeats: Shown },
    Client {
        name: "curl, expecting",
        program: "curl",
        arguments: &[CURL, "-T", "file", "-H", "Expect: 100-continue", "--expect100-timeout", "60"],
        heartbeats: Shown,
    },
    Client {
        name: "wget",
        program: "wget",
        arguments: &["--no-config", "-SO-", "--method=PUT", "--body-file=file"],
        heartbeats: Ignored,
    },
    Client { name: "node", program: "node", arguments: &["-e", NODE_PUT], heartbeats: Shown },
    Client {
        name: "node, expecting",
        program: "node",
        arguments: &["-e", NODE_EXPECTING],
        heartbeats: Shown,
    },
    Client { name: "fetch", program: "node", arguments: &["-e", FETCH_PUT], heartbeats: Ignored },
    Client { name: "python", program: "python3", arguments: &["-c", PYTHON_PUT], heartbeats: None },
];

impl Client {
    /// Starts it, and waits until its stream is in this state; returns the id of that.
    fn start(&self, here: &Workdir, relay: &Relay, state: &str) -> (&Client, String, Process) {
        let id = relay.create();
        let mut command = here.other_command(self.program);
        command.args(self.arguments).arg(relay.url(&format!("/stream/{id}")));
        let process = Process::start(command);
        relay.await_state(&id, state);
        (self, id, process)
    }

    fn assert_success(&self, finished: &Finished) {
        assert!(finished.status.success(), "{}: {}", self.name, finished.stderr);
        let shown = finished.stderr.matches("HTTP/1.1 102").count();
        assert_eq!(shown >= 3, self.heartbeats == Shown, "{}: {}", self.name, finished.stderr);
    }
}

#[test]
fn receivers_do_not_take_heartbeats_for_the_response() {
    let relay = Relay::start(&["--heartbeat", "100ms"]);
    let here = Workdir::at(&relay);
    let started = RECEIVERS.each_ref().map(|client| client.start(&here, &relay, "DST_CONNECTED"));
    relay.await_heartbeats(3);
    let sources = started.each_ref().map(|(_, id, _)| {
        let mut source = relay.connect();
        source.ask(&Framing::Length(5).put(id));
        relay.await_state(id, "STREAMING");
        source
    });
    relay.await_heartbeats(3);
    for ((client, _, process), mut source) in started.into_iter().zip(sources) {
        source.send("hello");
        assert_uploaded(&source.response());
        let finished = process.finish();
        client.assert_success(&finished);
        assert_eq!(finished.stdout, "hello", "{}", client.name);
    }
}

#[test]
fn senders_do_not_take_heartbeats_for_the_response() {
    let relay = Relay::start(&["--heartbeat", "100ms"]);
    let here = Workdir::at(&relay);
    here.put("file", "hello");
    let started = SENDERS.each_ref().map(|client| client.start(&here, &relay, "SRC_CONNECTED"));
    relay.await_heartbeats(5);
    for (client, id, process) in started {
        assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello", "{}", client.name);
        client.assert_success(&process.finish());
    }
}
