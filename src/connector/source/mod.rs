//! The source: HTTP requests become records, one line each. A sender is answered 201 only once its
//! record was completely delivered and flushed; any other answer means that it was not, and will
//! not be.
//!
//! It runs on the relay's event loop, with the same strictness and limits. Threads do what could
//! block: `delivery` writes records, `spill_thread` stores large bodies.
//!
//! | file | holds |
//! |---|---|
//! | `settings`, `accept_rules` | settings, and the rules for a request |
//! | `request_reader` | requests on the event loop, from head to record |
//! | `coding` | content codings of bodies |
//! | `envelope`, `positions` | metadata and position of a record |
//! | `queue`, `worker_handle` | exchange between the event loop and the threads |
//! | `delivery`, `output`, `output_file`, `line` | delivery, its output, and its lines |
//! | `poll_set` | events the delivery waits for |
//! | `acks` | parser of acknowledgements |
//! | `direct` | delivery from memory |
//! | `spool_worker`, `spooled`, `pending` | delivery through a spool |
//! | `spill_thread` | large bodies on disk |
//! | `serve` | setup of all parts |
//! | `relayed` | one large record from a relay instead |
//! | `command`, `library` | `rdv source`, and the source as a library |

mod accept_rules;
mod acks;
mod clock;
mod coding;
pub mod command;
mod delivery;
mod direct;
mod envelope;
mod library;
mod line;
mod output;
mod output_file;
mod pending;
mod poll_set;
mod positions;
mod queue;
mod relayed;
mod request_reader;
mod serve;
pub mod settings;
mod spill_thread;
mod spool_worker;
mod spooled;
mod worker_handle;

pub use library::Source;
pub use settings::SourceSettings;
