//! Several relays as nodes behind `HAProxy`, on hosts of their own: under load, one is killed, one cut
//! off, one drained and upgraded, one hands over, and one is added.

mod agents;
mod balancer;
mod commands;
mod events;
mod held;
mod load;
mod losses;
mod network;
mod node;
#[path = "../clients/upload/server.rs"]
#[allow(dead_code, reason = "made for uploads; an API needs less")]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod transfer;

use std::thread;

use crate::agents::{Agents, api};
use crate::balancer::Balancer;
use crate::events::{Cluster, World};
use crate::load::Load;
use crate::losses::Losses;
use crate::network::Network;
use crate::node::Node;
use crate::support::skip;

const CLIENTS: u8 = 2;
const NODES: [u8; 3] = [11, 12, 13];
const WORKERS: usize = 4;
const CALLERS: usize = 2;

/// Ends all threads, also after a panic.
struct Stopping<'s>([&'s Load<'s>; 2], &'s Agents);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|load| load.stop());
        self.1.stop();
    }
}

#[test]
fn a_cluster_keeps_working_while_nodes_are_lost_upgraded_and_added() {
    let network = match Network::new() {
        Ok(network) => network,
        Err(reason) => return skip("cluster", &reason),
    };
    if !Balancer::is_installed() {
        return skip("haproxy", "it is not installed");
    }
    // Clients are on a host of their own, and so is this test.
    network.host(CLIENTS).within(|| run(&network));
}

fn run(network: &Network) {
    let nodes: Vec<_> = NODES.iter().map(|number| Node::start(network, *number)).collect();
    let balancer = Balancer::start(network, &nodes);
    let front = balancer.address();
    let (api, agents, losses) = (api(), Agents::new(front), Losses::default());
    let (load, by_commands) = (Load::new(front, &losses), Load::new(front, &losses));
    let world = World { network, losses: &losses, load: &load, agents: &agents };
    let mut cluster = Cluster { balancer, nodes, world };
    cluster.await_serving();
    let processes = agents.start_commands(&api);
    let events = thread::scope(|scope| {
        let stopping = Stopping([&load, &by_commands], &agents);
        for name in agents.of_library() {
            scope.spawn(|| agents.serve(name));
        }
        agents.await_back(&agents.names, &cluster.all_but(0));
        (0..WORKERS).for_each(|_| drop(scope.spawn(|| load.work(transfer::run))));
        scope.spawn(|| by_commands.work(commands::run));
        let callers = [(); CALLERS].map(|()| scope.spawn(|| agents.call()));
        let events = cluster.run_events();
        // No call is in progress when the agents end.
        agents.stop_calls();
        for caller in callers {
            caller.join().expect("no panic");
        }
        drop(stopping);
        events
    });
    agents::end(processes);
    println!("{}\ntransfers: {}", events.join("\n"), load.tally());
    println!("by commands: {}", by_commands.tally());
    println!("calls: {}", agents.calls());
    cluster.finish();
    let (transfers, commands, calls) = (load.tally(), by_commands.tally(), agents.calls());
    let faults = [&transfers.faults[..], &commands.faults, &calls.faults].concat();
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
}
