//! The commands of people at either end of a stream, as they are used and misused: each as a
//! process, with a real relay between them.

mod blocking;
mod configuration;
mod desk;
mod digests;
mod directories;
mod elsewhere;
mod endings;
mod hostile;
mod interrupted;
mod memory;
mod names;
mod pages;
mod pipe;
mod receipts;
mod receive;
mod refusals;
mod send;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod telling;
mod tls;
mod upload;
