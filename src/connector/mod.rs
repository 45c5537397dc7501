//! Records between HTTP and pipelines. Its promise: a record is whole or it is not there; what is
//! acknowledged has been handed on; and memory stays flat, however large or many records are.

pub mod destination;
pub mod record;
pub mod signature;
pub mod source;
pub mod spool;

pub use destination::Destination;
pub use source::Source;
