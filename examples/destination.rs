//! Sends the records of standard input to a URL, each as one POST, and prints the position of each
//! that the server confirmed:
//!
//! ```sh
//! cargo run --example destination -- https://things.example/in < records.jsonl
//! ```

use rdv::connector::Destination;
use rdv::connector::destination::{Backoff, DestinationOptions};
use rdv::connector::record::Reader;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: destination URL < RECORDS")?;

    let mut options = DestinationOptions::default();
    options.backoff = Backoff { retries: 5, ..options.backoff };
    options.timeout = Duration::from_secs(10);

    // Fails if the server cannot be reached, before a record is read.
    let mut destination = Destination::open(&url, options)?;
    let mut records = Reader::new(std::io::stdin());
    while let Some(incoming) = records.read()? {
        destination.write_incoming(&incoming)?;
        println!("{}", incoming.record.position.escape_ascii());
    }
    destination.teardown();
    Ok(())
}
