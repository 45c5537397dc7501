//! The commands at either end of a stream, used correctly and incorrectly: each as a process, with
//! a real relay between them.

mod blocking;
mod configuration;
mod digests;
mod directories;
mod disk;
mod endings;
mod heartbeats;
mod hostile;
mod interrupted;
mod memory;
mod names;
mod nodes;
mod other_servers;
mod output;
mod pages;
mod pipe;
mod receipts;
mod receive;
mod refusals;
mod send;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tokens;
mod upload;
mod workdir;
