//! The event loop and everything that touches a socket. It moves bytes and reports; what they mean
//! is decided in the rooms below.
//!
//! | file | holds |
//! |---|---|
//! | `event_loop` | one turn: poll, latch, timers, run queue |
//! | `relay` | the state, and the life of a connection's slot |
//! | `listener` | accepting, and pausing when descriptors run out |
//! | `request` | bytes -> head -> route -> act |
//! | `body` | reading a JSON body |
//! | `intake` | requests whose bodies are wanted, for whoever takes them in |
//! | `answer` | writing responses, and what follows them |
//! | `listing` | the streamed list of streams |
//! | `admin` | the admin listener and operators' requests |
//! | `events`, `follower`, `followers` | the events of a stream, and who follows them |
//! | `drive` | one transfer, one system call at a time |
//! | `ending` | how the two sides of a transfer are told |
//! | `sampling`, `tcp_info` | how fast a transfer is, and who keeps it from being faster |
//! | `waiting` | noticing that a waiting side went away |
//! | `note` | what is noted of a request: its id, its line in the access log |
//! | `linger` | closing without losing the answer |
//! | `load` | load limits: what counts, and what is refused |
//! | `counting` | what the metrics are told |
//! | `reload` | reading the configuration again |
//! | `shutdown` | how a process ends: stopping, draining, after a hand-over |
//! | `succession` | a new process takes over: what waits moves, what runs stays |
//! | `handover`, `successor`, `parcel`, `program` | starting that process with our sockets |
//! | `inherited` | sockets from systemd, or from the process that hands over |
//! | `conn`, `token`, `timers` | one connection, its name, its patience |
//! | `doctor` | trying what the machine allows, for `rdv doctor` |
//! | `budget`, `signals`, `sockopt` | descriptors there are, signals as events, what sockets can be told |

mod access;
mod admin;
mod agents;
mod answer;
mod body;
mod budget;
mod conn;
mod counting;
pub mod doctor;
mod drive;
mod ending;
mod event_loop;
mod events;
mod follower;
mod followers;
mod handover;
mod inherited;
mod intake;
mod linger;
mod listener;
mod listing;
mod load;
mod note;
mod parcel;
mod program;
mod relay;
mod reload;
mod request;
mod sampling;
mod shutdown;
mod signals;
mod sockopt;
mod succession;
mod successor;
mod tcp_info;
mod timers;
mod token;
mod waiting;

pub use event_loop::{EventLoop, serve};
pub use intake::{Appetite, Bell, Incoming, Intake, Pushed, Ticket, Verdict};
