//! Kafka, with kcat, and the brokers that librdkafka has for tests: they are lost with their
//! process, so only the other processes are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, RwLock};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::destination::record_server::RecordServer;
use crate::engines::documented::{adapted, blocks};
use crate::engines::job::{Job, Programs, installed};
use crate::support::{Process, Wire, ask, eventually};
use crate::together::killed::Load;
use crate::together::tally::Tally;

/// The partitions of a topic of these brokers.
const PARTITIONS: usize = 4;

/// Starts three brokers, creates the topic, and prints their addresses.
const BROKERS: &str = "
import signal
from confluent_kafka import Producer
cluster = Producer({'bootstrap.servers': 'none', 'test.mock.num.brokers': 3})
brokers = cluster.list_topics('hooks', timeout=60).brokers.values()
print(','.join(f'{broker.host}:{broker.port}' for broker in brokers), flush=True)
signal.pause()
";

/// Brokers, and where the command lines run.
struct Kafka {
    programs: Programs,
    _brokers: Process,
    addresses: String,
    directory: tempfile::TempDir,
}

impl Kafka {
    fn start(programs: Programs) -> Kafka {
        let brokers = programs.python(BROKERS);
        let addresses = eventually("the brokers listen", || {
            Some(brokers.stdout().split_once('\n')?.0.to_owned())
        });
        let directory = tempfile::tempdir().unwrap();
        // These brokers do not respond earlier when a message arrives.
        std::fs::write(directory.path().join("kcat.conf"), "fetch.wait.max.ms=10\n").unwrap();
        Kafka { programs, _brokers: brokers, addresses, directory }
    }

    fn job(&self, line: &str) -> Job {
        let variables = [("BROKERS", &*self.addresses), ("KCAT_CONFIG", "kcat.conf")];
        self.programs.start(self.directory.path(), line, &variables)
    }

    /// The records to the topic.
    fn source(&self, port: u16) -> Job {
        let source = format!("rdv source --port {port} --consumer-timeout 1s");
        self.job(&adapted(&blocks("Kafka")[0], &[("rdv source", &source), ("X-Customer", "X-Key")]))
    }

    /// The records of a partition to a server.
    fn destination(&self, partition: usize, server: &RecordServer) -> Job {
        let retries = "rdv destination --retries 30 --backoff 1ms --backoff-max 2ms";
        self.job(&adapted(
            &blocks("Kafka")[1],
            &[
                ("rdv destination", retries),
                ("https://api.example/events", &server.url()),
                ("acks.0", &format!("acks.{partition}")),
                ("-p 0", &format!("-p {partition}")),
            ],
        ))
    }

    /// All messages: those of each partition in their order.
    fn messages(&self) -> Vec<Value> {
        let mut command = Command::new("kcat");
        command.args(["-C", "-b", &self.addresses, "-t", "hooks", "-e", "-q", "-J"]);
        let finished = Process::start(command).finish();
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn records_pass_through_kafka_in_the_order_of_each_key_whichever_process_is_killed() {
    let Some(programs) = installed(&["kcat", "jq", "bash", "setsid"]) else { return };
    let load = Load {
        senders: 120,
        requests: 20,
        keys: |sender| [format!("a {sender}"), format!("b{}", sender % 2)],
        is_acknowledged: false,
    };
    let kafka = Kafka::start(programs);
    let tally = Arc::new(Tally::default());
    let server = tally.failing_server();
    let there = RwLock::new(());
    let mut source = kafka.source(0);
    let address = source.address();
    let mut partitions: Vec<_> =
        (0..PARTITIONS).map(|partition| kafka.destination(partition, &server)).collect();
    let created = thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(address, &there, &tally));
        for (turn, killed) in ["rdv source", "kcat -P", "bash"].iter().enumerate() {
            tally.await_arrivals(550 * (turn + 1));
            let away = there.write().unwrap();
            source.kill(killed);
            source.await_end();
            source = kafka.source(address.port());
            source.address();
            drop(away);
            let destination = partitions.remove(turn);
            destination.kill(["rdv destination", "kcat -C", "jq"][turn]);
            // A killed jq is noticed at the next message of the partition.
            destination.await_end();
            partitions.insert(turn, kafka.destination(turn, &server));
        }
        sending.join().expect("all senders")
    });
    tally.await_success(created.len());
    tally.check_bodies(&created);
    check_topic(&kafka.messages(), &created);
}

/// Checks that a topic has every record with a 201, with its key, those of a key in one partition
/// and in their order. Repetitions do not count.
fn check_topic(messages: &[Value], created: &[(String, String)]) {
    let mut partitions = BTreeMap::new();
    let mut positions: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    let mut bodies = BTreeSet::new();
    for message in messages {
        let record: Value = serde_json::from_str(message["payload"].as_str().unwrap()).unwrap();
        let decoded = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
        let key = message["key"].as_str().unwrap();
        assert_eq!(decoded(&record["key"]), key.as_bytes());
        let partition = &message["partition"];
        assert_eq!(*partitions.entry(key).or_insert(partition), partition, "{key}");
        let position = decoded(&record["position"]);
        let of_key = positions.entry(key).or_default();
        if !of_key.contains(&position) {
            of_key.push(position);
        }
        bodies.insert(String::from_utf8(decoded(&record["payload"]["after"])).unwrap());
    }
    for (key, positions) in positions {
        assert!(positions.is_sorted(), "{key}");
    }
    for (_, body) in created {
        assert!(bodies.contains(body), "{body}");
    }
}

#[test]
fn a_plain_pipe_to_kcat_loses_what_is_in_it_when_kcat_is_killed() {
    let Some(programs) = installed(&["kcat", "jq", "bash", "setsid"]) else { return };
    let kafka = Kafka::start(programs);
    let line = "rdv source --port 0 | kcat -P -b $BROKERS -t hooks";
    let mut source = kafka.job(line);
    let address = source.address();
    source.stop("kcat -P");
    let answer = Wire::connect(address).exchange(&ask("POST", "/").body("lost"));
    assert_eq!(answer.status(), 201, "{}", answer.text());
    source.kill("kcat -P");
    assert_eq!(kafka.messages().len(), 0);
}
