//! Accepts HTTP requests on a local port, and prints the path and the body length in bytes of each:
//!
//! ```sh
//! cargo run --example source -- 3000
//! curl -d hello http://127.0.0.1:3000/hooks
//! ```

use rdv::connector::Source;
use rdv::connector::source::SourceSettings;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("usage: source PORT (0 for a free one)")?;

    let port = port.parse()?;
    let settings = SourceSettings { port, max_body: 1 << 20, ..SourceSettings::default() };

    let mut source = Source::open(settings)?;
    for address in source.addresses() {
        eprintln!("listening on http://{address}/");
    }
    // Runs until the process is terminated.
    while let Some(record) = source.read()? {
        let path = &record.metadata["rdv.source.path"];
        let body = record.payload.after.as_ref().map_or(0, |body| body.bytes().len());
        println!("{path} {body}");
        // The sender gets its 201 now: store the record before this, not after.
        source.ack(&record)?;
    }
    source.teardown()?;
    Ok(())
}
