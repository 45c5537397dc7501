//! The configurations in `deploy/scale/`: three nodes, each stream at one of them, and clients that
//! know the balancer only.

mod agents;
mod cluster;

use crate::curl::assert_success;
use crate::proxy::Kind;
use crate::support::{Process, eventually, pattern};
use cluster::{Cluster, node_of, with_each};

/// More than any limit or buffer that a balancer has by default.
const LARGE_BYTES: usize = 64 << 20;

impl Cluster {
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.place.directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// Sends a file to a URL and receives it there, each over a connection of its own.
    fn exchange(&self, url: &str, file: &str) {
        let down = self.file("down", b"");
        let upload = self.curl(&["-f", "-T", file, url]);
        assert_success(url, &self.curl(&["-f", "-o", &down, url]).finish());
        assert_success(url, &upload.finish());
        let same = std::fs::read(file).expect("sent") == std::fs::read(&down).expect("received");
        assert!(same, "{:?}: {url}", self.kind);
    }
}

#[test]
fn streams_are_used_at_the_node_that_made_them() {
    with_each(|cluster| {
        let small = cluster.file("small", &pattern(3, 100_000));
        let large = cluster.file("large", &pattern(4, LARGE_BYTES));
        for node in 0..3 {
            let [first, second, third, fourth] = [(); 4].map(|()| cluster.create_at(node));
            cluster.exchange(&cluster.stream(&first), &small);
            // In either case.
            cluster.exchange(&cluster.stream(&second.to_uppercase()), &large);
            let stream = cluster.stream(&third);
            for (name, arguments, status) in [
                ("exists", &["-I", &stream][..], 200),
                ("status", &[&format!("{stream}/status")], 200),
                ("page", &[&cluster.url(&format!("/s/{third}"))], 200),
                ("report", &["-X", "POST", &format!("{stream}/error")], 200),
                ("reported", &["-T", &small, &stream], 400),
            ] {
                assert_eq!(cluster.status(arguments), status, "{:?}: {name}", cluster.kind);
            }
            let deleted = cluster.status(&["-X", "DELETE", &cluster.stream(&fourth)]);
            assert_eq!(deleted, 204, "{:?}", cluster.kind);
        }
    });
}

#[test]
fn a_stream_of_a_node_that_the_balancer_does_not_know_is_not_called_unknown() {
    with_each(|cluster| {
        let other = "00070000-0000-8000-8000-000000000000";
        assert_eq!(cluster.status(&[&cluster.stream(other)]), 421, "{:?}", cluster.kind);
        let none = "00010000-0000-4000-8000-000000000000";
        assert_eq!(cluster.status(&[&cluster.stream(none)]), 404, "{:?}", cluster.kind);
    });
}

#[test]
fn both_sides_of_a_path_reach_the_same_node() {
    with_each(|cluster| {
        let file = cluster.file("up", &pattern(5, 10_000));
        for name in ["a", "b/c", "d%20e", "f", "g//h"] {
            cluster.exchange(&cluster.url(&format!("/p/{name}")), &file);
        }
    });
}

#[test]
fn a_repeated_creation_returns_the_same_stream() {
    with_each(|cluster| {
        if cluster.kind == Kind::Traefik {
            return; // It has no hash.
        }
        for key in ["a", "b", "c", "d"] {
            let field = format!("Idempotency-Key: {key}");
            let create = || {
                let url = cluster.url("/stream");
                let answer = cluster.curl(&["-f", "-X", "POST", "-H", &field, &url]).finish();
                assert_success(key, &answer);
                answer.stdout
            };
            assert_eq!(create(), create(), "{:?}", cluster.kind);
        }
    });
}

#[test]
fn a_node_that_ends_takes_its_streams_with_it_and_no_others() {
    with_each(|mut cluster| {
        // Traefik has all agents at the first one.
        let (dead, other) = (2, 1);
        let file = cluster.file("up", &pattern(6, 1_000_000));
        let (lost, kept) = (cluster.create_at(dead), cluster.create_at(other));
        let agents: Vec<(&str, Process)> =
            ["a", "b", "c", "d", "e"].map(|name| (name, cluster.agent(name))).into();
        let waiting =
            cluster.curl(&["-o", "/dev/null", "-w", "%{http_code}", &cluster.stream(&lost)]);
        eventually("it waits", || {
            let status =
                cluster.curl(&["-f", &format!("{}/status", cluster.stream(&lost))]).finish();
            status.stdout.contains("DST_CONNECTED").then_some(())
        });
        cluster.kill(dead);
        let status = waiting.finish().stdout;
        assert!(["502", "503"].contains(&status.as_str()), "{:?}: {status}", cluster.kind);
        let status = cluster.status(&["-T", &file, &cluster.stream(&lost)]);
        assert!([502, 503].contains(&status), "{:?}: {status}", cluster.kind);
        cluster.exchange(&cluster.stream(&kept), &file);
        for (name, _) in &agents {
            let url = cluster.url(&format!("/api/{name}/x"));
            eventually("the agent is connected again", || {
                (cluster.status(&[&url]) == 200).then_some(())
            });
        }
        eventually("new streams are created elsewhere", || {
            let created = |_| cluster.status(&["-X", "POST", &cluster.url("/stream")]) == 201;
            (0..10).all(created).then_some(())
        });
        eventually("new paths are served elsewhere", || {
            let path = |number| cluster.url(&format!("/p/{number}"));
            (0..10).all(|number| cluster.status(&["-I", &path(number)]) == 404).then_some(())
        });
    });
}

#[test]
fn a_suspended_node_gets_no_new_streams_but_the_requests_for_its_own() {
    with_each(|cluster| {
        let file = cluster.file("up", &pattern(7, 1_000_000));
        let suspended = 1;
        let own = cluster.create_at(suspended);
        assert_eq!(cluster.control(suspended, "POST", "/control/suspend").status(), 200);
        eventually("new streams are created elsewhere", || {
            let made = || {
                let answer = cluster.curl(&["-f", "-X", "POST", &cluster.url("/stream")]).finish();
                let json: Option<serde_json::Value> = serde_json::from_str(&answer.stdout).ok();
                json.and_then(|json| Some(node_of(json["stream"].as_str()?)))
            };
            (0..10).all(|_| made().is_some_and(|node| node != suspended)).then_some(())
        });
        cluster.exchange(&cluster.stream(&own), &file);
        assert_eq!(cluster.control(suspended, "POST", "/control/resume").status(), 200);
        let again = cluster.create_at(suspended);
        cluster.exchange(&cluster.stream(&again), &file);
    });
}
