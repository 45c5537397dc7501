//! What other workers have sent: connections to serve, and orders.

use super::workers::{Asked, Cargo, Message, Order, Worker};
use super::{EventLoop, watching};
use crate::ops::cause;
use crate::relay::io::Conn;

/// Takes what other workers have sent.
#[cold]
pub(super) fn receive(event_loop: &mut EventLoop) {
    let messages = event_loop.worker.as_mut().map(Worker::take_messages);
    for message in messages.into_iter().flatten() {
        take(event_loop, message);
    }
}

fn take(event_loop: &mut EventLoop, message: Message) {
    let (mut services, worker) = event_loop.services();
    match (message, worker) {
        (Message::Connection(conn, cargo), _) => arrive(event_loop, *conn, cargo),
        (Message::AgentEvents(events), _) => services.agents.relay_events(&events),
        (Message::ShowRows(slot, window), Some(worker)) => {
            // The figures are shown with them.
            worker.publish(&services);
            worker.answer(Message::Rows(slot, watching::shown(&mut services, window)));
        }
        (Message::Rows(slot, shown), Some(worker)) => {
            if let Some((window, mut parts)) = worker.add_rows(slot, shown) {
                parts.push(watching::shown(&mut services, window));
                let figures = services.figures().and(&worker.published());
                watching::show(&mut services, (slot, window), parts, figures);
            }
        }
        (Message::Publish(ticket), Some(worker)) => {
            worker.publish(&services);
            worker.answer(Message::Published(ticket));
        }
        (Message::Published(ticket), Some(worker)) => {
            if let Some(Asked { conn, head, .. }) = worker.answered(ticket) {
                worker.set_current(true);
                arrive(event_loop, *conn, Cargo::Request(head));
                event_loop.worker.iter_mut().for_each(|worker| worker.set_current(false));
            }
        }
        (Message::Order(order), _) => obey(event_loop, order),
        // The first worker may have waited only for this one.
        (Message::Done, _)
        | (
            Message::ShowRows(..) | Message::Rows(..) | Message::Publish(_) | Message::Published(_),
            None,
        ) => {}
    }
}

/// Continues with a connection of another worker.
fn arrive(event_loop: &mut EventLoop, conn: Conn, cargo: Cargo) {
    let EventLoop { io, streams, agents, .. } = event_loop;
    let id = match io.conns.arrive(conn) {
        Ok(id) => id,
        Err(error) => return log::warn!("cannot watch a connection: {}", cause(&error)),
    };
    match cargo {
        Cargo::Request(head) => event_loop.serve_moved(id, &head),
        Cargo::Streams(cargo) => {
            // It was counted when it began, and is not refused for that now.
            io.conns.begin_request(id, 0);
            streams.arrive(io, id, cargo);
        }
        Cargo::Agents(cargo) => agents.arrive(io, id, cargo),
    }
}

fn obey(event_loop: &mut EventLoop, order: Order) {
    match order {
        Order::Mode(mode) if !event_loop.io.mode.is_ending() => event_loop.io.mode = mode,
        Order::Mode(_) => {}
        Order::Finish => event_loop.finishes = true,
        Order::Reopen => event_loop.io.journal.reopen(),
        Order::Reload(read) => {
            let (configuration, log) = *read;
            // The first worker has applied the same.
            if let Err(why) = event_loop.apply_changes(configuration, log) {
                log::error!("a worker cannot apply the configuration: {why}");
            }
        }
        Order::End(how) => event_loop.end(how, ""),
        Order::StepDown(streams) => {
            let _ = streams.send(event_loop.give_all_away());
        }
        Order::Adopt(lines) => event_loop.adopt(&lines),
    }
}
