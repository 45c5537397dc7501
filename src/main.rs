//! The `rdv` binary: arguments, subcommand, exit code.

fn main() {}
