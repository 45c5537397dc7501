//! One thread's exchanges with a relay, one after the other.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::driver::Exchange;
use super::oracle::{Observed, Strictness, Verdict};
use super::plan::{Plan, Receipt, Rescue};
use super::pool::Pool;
use super::request::{NoReply, ask, request};

/// The relay of all workers.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) strictness: Strictness,
    /// Counts the beginning and the end of each hand-over.
    pub(crate) moves: AtomicU64,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, strictness: Strictness) -> Target {
        Target { address, strictness, moves: AtomicU64::new(0) }
    }
}

/// One thread's connections.
pub(crate) struct Worker<'t> {
    target: &'t Target,
    pool: Pool,
}

impl<'t> Worker<'t> {
    pub(crate) fn new(target: &'t Target) -> Worker<'t> {
        Worker { target, pool: Pool::new(target.address) }
    }

    /// Carries out a plan, and judges what both sides observed.
    pub(crate) fn run(&mut self, plan: &Plan) -> Verdict {
        let before = self.target.moves.load(Ordering::SeqCst);
        let mut observed = self.observe(plan);
        let after = self.target.moves.load(Ordering::SeqCst);
        observed.moved = before != after || !before.is_multiple_of(2);
        observed.replaced = after > 0;
        observed.judge(plan, self.target.strictness)
    }

    fn observe(&mut self, plan: &Plan) -> Observed {
        if let Some(call) = plan.call {
            let mut exchange = Exchange::of_call(plan, call);
            exchange.drive(&mut self.pool);
            return exchange.into_observed();
        }
        let path = match self.create(plan) {
            Ok(path) => path,
            Err(refusal) => return refusal,
        };
        let mut exchange = Exchange::new(plan, path, &mut self.pool);
        exchange.drive(&mut self.pool);
        if !exchange.observed.hangs {
            exchange.follow_up(&mut self.pool);
        }
        exchange.into_observed()
    }

    /// Creates a stream, and returns its path.
    fn create(&mut self, plan: &Plan) -> Result<String, Observed> {
        let mut options = serde_json::Map::new();
        if plan.rescue == Rescue::Expire && !plan.is_honest() {
            options.insert("ttl_seconds".to_owned(), 2.into());
        }
        if plan.receipt == Receipt::Acked {
            options.insert("receipt".to_owned(), "acked".into());
        }
        let body = serde_json::Value::from(options).to_string();
        match ask(&mut self.pool, &request("POST", "/stream", &body)) {
            Ok(reply) if reply.head.status == 201 => {
                let id = reply.json()["stream"].as_str().unwrap_or_default().to_owned();
                Ok(format!("/stream/{id}"))
            }
            Ok(reply) => Err(Observed::refused(Some(reply.head.status))),
            Err(NoReply::Ended(_)) => Err(Observed::refused(None)),
            Err(NoReply::Hang) => Err(Observed { hangs: true, ..Observed::default() }),
        }
    }
}
