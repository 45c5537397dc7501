//! NATS `JetStream`, with examples/jetstream.py.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, RwLock};
use std::thread;

use tempfile::TempDir;

use crate::destination::record_server::RecordServer;
use crate::engines::documented::{adapted, blocks};
use crate::engines::job::{Job, Programs, installed};
use crate::support::{Process, eventually};
use crate::together::killed::Load;
use crate::together::tally::Tally;

/// Another address of this host than a client's: a connection to a closed port of it cannot connect
/// to itself, and so block the port for the next server.
const ADDRESS: &str = "127.0.0.2";

/// Where all processes run.
struct Place {
    programs: Programs,
    directory: TempDir,
    /// The example.
    script: String,
}

impl Place {
    /// A server with a store in this directory, on this port (-1: any); returns its port.
    fn server(&self, port: &str) -> (Process, String) {
        let mut command = Command::new("nats-server");
        command.args(["-js", "-sd", "store", "-a", ADDRESS, "-p", port]);
        command.current_dir(self.directory.path());
        let server = Process::start(command);
        let port = eventually("the server is ready", || {
            let printed = server.stderr();
            let (before, _) = printed.split_once("Server is ready")?;
            let (_, port) = before.split_once(&format!("connections on {ADDRESS}:"))?;
            Some(port.lines().next()?.to_owned())
        });
        (server, port)
    }

    /// A line of a block of the section.
    fn start(&self, (block, line): (usize, usize), replacements: &[(&str, &str)]) -> Job {
        let line = blocks("NATS")[block].lines().nth(line).unwrap().to_owned();
        let line = adapted(&line, &[("/run/rdv/", "")]);
        self.programs.start(self.directory.path(), &adapted(&line, replacements), &[])
    }

    fn script(&self, block: usize, line: usize, port: &str) -> Job {
        let server = format!("{ADDRESS}:{port}");
        self.start((block, line), &[("jetstream.py", &self.script), ("127.0.0.1:4222", &server)])
    }

    fn destination(&self, server: &RecordServer) -> Job {
        let retries = "rdv destination --retries 30 --backoff 1ms --backoff-max 2ms";
        self.start(
            (1, 0),
            &[("rdv destination", retries), ("https://api.example/events", &server.url())],
        )
    }

    /// The way from the stream to a server: the destination and the script.
    fn way_back(&self, server: &RecordServer, port: &str) -> (Job, Job) {
        let destination = self.destination(server);
        let socket = self.directory.path().join("out.sock");
        eventually("the destination listens", || socket.exists().then_some(()));
        (destination, self.script(1, 1, port))
    }

    fn source(&self, port: u16) -> (Job, SocketAddr) {
        let source = format!("rdv source --port {port}");
        let mut job = self.start((0, 1), &[("rdv source", &source), ("X-Customer", "X-Key")]);
        let address = job.address();
        (job, address)
    }
}

#[test]
fn records_pass_through_jetstream_in_the_order_of_each_key_whichever_process_is_killed() {
    let Some(programs) = installed(&["nats-server", "bash", "setsid"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/jetstream.py");
    let script = script.to_str().unwrap().to_owned();
    let place = Place { programs, directory: tempfile::tempdir().unwrap(), script };
    let load = Load {
        senders: 30,
        requests: 80,
        keys: |sender| [format!("a.{} *", sender % 5), format!("b{sender}")],
        is_acknowledged: false,
    };
    let tally = Arc::new(Tally::default());
    let server = tally.failing_server();
    let there = RwLock::new(());
    let (mut nats, port) = place.server("-1");
    let mut publisher = place.script(0, 0, &port);
    let (mut source, address) = place.source(0);
    let (mut destination, mut deliverer) = place.way_back(&server, &port);
    let (created, _running) = thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(address, &there, &tally));
        for turn in 0..5 {
            tally.await_arrivals(400 * (turn + 1));
            match turn {
                0 => {
                    drop(publisher);
                    publisher = place.script(0, 0, &port);
                }
                1 => {
                    let _away = there.write().unwrap();
                    drop(source);
                    source = place.source(address.port()).0;
                }
                2 => {
                    drop(deliverer);
                    deliverer = place.script(1, 1, &port);
                }
                3 => {
                    drop(destination);
                    // It has no record to wait for when it ends.
                    deliverer.await_end();
                    std::fs::remove_file(place.directory.path().join("out.sock")).unwrap();
                    (destination, deliverer) = place.way_back(&server, &port);
                }
                _ => {
                    drop(nats);
                    nats = place.server(&port).0;
                    // It may end if its acknowledgement is lost.
                    drop(deliverer);
                    deliverer = place.script(1, 1, &port);
                }
            }
        }
        let running = (source, publisher, destination, deliverer, nats);
        (sending.join().expect("all senders"), running)
    });
    tally.await_success(created.len());
    tally.check(&created);
}
