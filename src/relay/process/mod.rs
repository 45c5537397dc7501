//! The parts beside the event loop: listening sockets, descriptors, signals, reloading the
//! configuration, the process that takes over, shutdown. Each is independent and used by the loop;
//! none knows a service, a transfer or a stream.
//!
//! | file | holds |
//! |---|---|
//! | `listeners` | the public and the agents' listeners: accepting, bounded per turn |
//! | `admin_listener`, `socket_file` | the operators' listener, and the file of its socket |
//! | `shortage` | accepting pauses while descriptors or memory are out |
//! | `budget` | the available descriptors, and what they allow |
//! | `signals`, `shutdown` | signals as events; what they order, and the progress of the shutdown |
//! | `mailbox` | what one worker sends to another |
//! | `reload` | reading the configuration again |
//! | `inherited` | sockets from systemd, or from the process that hands over |
//! | `handover`, `successor`, `inherited_state`, `program` | starting the process that takes over |
//! | `doctor` | trying what the machine allows, for `rdv doctor` |

mod admin_listener;
mod budget;
pub mod doctor;
mod handover;
mod inherited;
mod inherited_state;
mod listeners;
mod mailbox;
mod program;
mod reload;
mod shortage;
mod shutdown;
mod signals;
mod socket_file;
mod successor;

pub use admin_listener::AdminListener;
pub use budget::Budget;
pub use handover::{Handover, Successor};
pub use inherited::{Inherited, Predecessor};
#[cfg(feature = "fuzzing")]
pub use listeners::ACCEPTS_PER_TURN;
pub use listeners::{Endpoint, Listeners, Sharing, deal};
pub use mailbox::Mailbox;
pub use reload::{Reading, Reloader, is_of_log};
pub use shutdown::{ShutdownAction, ShutdownMode, ShutdownPhase, ShutdownSignal};
pub use signals::Signals;
