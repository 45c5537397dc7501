//! What concerns the process: the first worker orders it, and the others obey.

use super::Worker;
use super::messages::{Message, Order};
use crate::api::{ShardKey, moved};
use crate::ops::{Configuration, cause};
use crate::relay::io::{Io, ServingMode};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::mpsc;
use std::time::Duration;

/// How long the first worker waits for the streams of another one at a hand-over: far more than a
/// turn takes.
const GIVE_AWAY_TIME: Duration = Duration::from_secs(5);

impl Worker {
    /// Sends an order of the first worker to all others.
    pub fn order(&self, order: impl Fn() -> Order) {
        if self.is_first() {
            self.send_all(|| Message::Order(order()));
        }
    }

    /// Sends the other workers whether the relay takes new streams, if that changed.
    pub fn announce_mode(&mut self, mode: ServingMode) {
        let before = std::mem::replace(&mut self.mode, mode);
        // The end of the process is an order of its own.
        if mode != before && !mode.is_ending() {
            self.order(|| Order::Mode(mode));
        }
    }

    /// Applies a new configuration in the other workers.
    pub fn reload(&self, io: &Io, configuration: &Configuration) {
        self.order(|| {
            let log = io.journal.another_log(&configuration.settings);
            let log = log.unwrap_or_else(|error| {
                log::error!("a worker writes no access log: {}", cause(&error));
                None
            });
            Order::Reload(Box::new((configuration.clone(), log)))
        });
    }

    /// Returns the listening sockets of the other workers, with their names.
    pub fn sockets(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &'static str)> {
        self.sockets.iter().map(|(socket, name)| (socket.as_fd(), *name))
    }

    /// Closes its copies of these sockets: it listens no more.
    pub fn close_sockets(&mut self) {
        self.sockets.clear();
    }

    /// Takes the waiting streams of the other workers, for the process that takes over. This waits
    /// for one turn of each: until then a stream could be known to both processes.
    pub fn take_streams(&self) -> String {
        let (sender, lines) = mpsc::channel();
        self.order(|| Order::StepDown(sender.clone()));
        drop(sender);
        let mut all = String::new();
        while let Ok(more) = lines.recv_timeout(GIVE_AWAY_TIME) {
            all.push_str(&more);
        }
        all
    }

    /// Deals the streams of another process to the workers they belong to; returns those of the
    /// first.
    pub fn deal_streams(&self, lines: Vec<String>) -> Vec<String> {
        let count = self.all.len();
        let mut hands = vec![Vec::new(); count];
        for line in lines {
            let owner = moved::read(&line).map_or(0, |it| ShardKey::Id(it.id).worker(count));
            hands[usize::from(owner)].push(line);
        }
        let own = std::mem::take(&mut hands[0]);
        for (mailbox, lines) in self.all.iter().zip(hands) {
            if !lines.is_empty() {
                mailbox.send(Message::Order(Order::Adopt(lines)));
            }
        }
        own
    }
}
