//! The source: HTTP requests become records, one line each. Its promise: a sender is answered 201
//! only when its record was handed over, whole, and flushed; one that is answered otherwise finds
//! that its record was not, and will not be.
//!
//! It is served by the relay's own event loop, with the same strictness and limits. Threads do what
//! could block: `delivery` writes records, `spill` keeps large bodies.
//!
//! | file | holds |
//! |---|---|
//! | `settings`, `accept_rules` | settings, and what follows for a request |
//! | `request_reader` | requests on the loop, from head to record |
//! | `envelope`, `positions` | what is put around a body |
//! | `queue`, `worker_handle` | what is between the loop and the threads |
//! | `delivery`, `output`, `line` | handing over, to whom, and what |
//! | `poll_set` | what the delivery waits for |
//! | `acks` | acknowledgements as they come in |
//! | `direct` | records from memory |
//! | `spool_worker`, `spooled`, `pending` | records through a spool |
//! | `spill` | large bodies on the disk |
//! | `serve` | all of them put together |
//! | `relayed` | one large record from a relay instead |
//! | `command`, `library` | `rdv source`, and the same in a program |

mod accept_rules;
mod acks;
mod clock;
pub mod command;
mod delivery;
mod direct;
mod envelope;
mod library;
mod line;
mod output;
mod pending;
mod poll_set;
mod positions;
mod queue;
mod relayed;
mod request_reader;
mod serve;
pub mod settings;
mod spill;
mod spool_worker;
mod spooled;
mod worker_handle;

pub use library::Source;
pub use settings::SourceSettings;
