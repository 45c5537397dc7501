//! What stands beside the event loop: sockets that listen, descriptors, signals, the configuration
//! read again, the process that takes over, the end. Each is a part of its own that the loop asks;
//! none knows a service, a transfer or a stream.
//!
//! | file | holds |
//! |---|---|
//! | `listeners` | the public and the agents' listeners: accepting, bounded per turn |
//! | `admin_listener`, `socket_file` | the operators' listener, and the file of its socket |
//! | `shortage` | accepting pauses while descriptors or memory are out |
//! | `budget` | how many descriptors there are, and what that allows |
//! | `signals`, `shutdown` | signals as events; what they order, and how far the end has come |
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
pub use listeners::Listeners;
pub use reload::{Reading, Reloader, is_of_log};
pub use shutdown::{ShutdownAction, ShutdownMode, ShutdownPhase, ShutdownSignal};
pub use signals::Signals;
