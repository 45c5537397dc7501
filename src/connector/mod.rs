//! Records between HTTP and pipelines. Its promise: a record is whole or it is not there; what is
//! acknowledged has been handed on; and memory stays flat, however large or many records are.

pub mod record;
pub mod signature;
pub mod source;
pub mod spool;
