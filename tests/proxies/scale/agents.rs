//! Agents of several nodes, and their callers.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::cluster::{Cluster, with_each};
use crate::proxy::Kind;
use crate::support::eventually;

/// Names; with any hash some of them belong to each node.
const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

#[test]
fn agents_are_called_at_the_node_where_they_connected() {
    with_each(|cluster| {
        let agents = NAMES.map(|name| (name, cluster.agent(name)));
        for (name, agent) in &agents {
            let shown = agent.stdout().trim().to_owned();
            assert_eq!(shown, cluster.url(&format!("/api/{name}")), "{:?}", cluster.kind);
            assert_eq!(cluster.status(&[&format!("{shown}/x")]), 200, "{:?}", cluster.kind);
        }
        let nodes_used = (0..3).filter(|node| count_agents(&cluster, *node, false) > 0).count();
        assert!(nodes_used > 1 || cluster.kind == Kind::Traefik, "{:?}", cluster.kind);
        // The tunnel is at the same node.
        let with_tunnel = || (0..3).map(|node| count_agents(&cluster, node, true)).sum::<usize>();
        eventually("each has a tunnel", || (with_tunnel() == agents.len()).then_some(()));
        let connections = connections(&cluster);
        for id in connections {
            let url = cluster.url(&format!("/socket/{id}/x"));
            assert_eq!(cluster.status(&[&url]), 200, "{:?}", cluster.kind);
        }
    });
}

/// The agents of a node, or those with an idle tunnel.
fn count_agents(cluster: &Cluster, node: usize, with_tunnel: bool) -> usize {
    let list = cluster.control(node, "GET", "/socket").json();
    let list = list.as_array().expect("a list");
    list.iter().filter(|agent| !with_tunnel || agent["spares"] == 1).count()
}

/// The identifiers of all agents.
fn connections(cluster: &Cluster) -> Vec<String> {
    let of_node = |node: usize| {
        let list = cluster.control(node, "GET", "/socket").json();
        let id = |agent: &serde_json::Value| agent["id"].as_str().expect("an id").to_owned();
        list.as_array().expect("a list").iter().map(id).collect::<Vec<_>>()
    };
    (0..3).flat_map(of_node).collect()
}

/// What `HAProxy` answers to a command on its admin socket.
fn command(cluster: &Cluster, line: &str) -> String {
    let path = cluster.place.directory.path().join("admin.sock");
    let mut socket = UnixStream::connect(path).expect("the admin socket");
    writeln!(socket, "{line}").expect("a command");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn an_added_node_takes_over_no_calls_of_connected_agents() {
    with_each(|cluster| {
        if cluster.kind != Kind::HaProxy {
            return; // The others do not remember where agents connected.
        }
        let added = 1;
        command(&cluster, "set server names/n0001 state maint");
        let earlier = NAMES.map(|name| cluster.agent(name));
        assert_eq!(count_agents(&cluster, added, false), 0);
        command(&cluster, "set server names/n0001 state ready");
        eventually("the added node is used", || {
            let servers = command(&cluster, "show stat names 4 -1");
            let line = servers.lines().find(|line| line.starts_with("names,n0001,"))?;
            line.contains(",UP,").then_some(())
        });
        let later = NAMES.map(|name| cluster.agent(&format!("{name}{name}")));
        assert!(count_agents(&cluster, added, false) > 0, "some later ones are there");
        for agent in earlier.iter().chain(&later) {
            let url = format!("{}/x", agent.stdout().trim());
            assert_eq!(cluster.status(&[&url]), 200, "{url}");
        }
    });
}
