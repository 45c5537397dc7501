//! Takes HTTP requests in at a port of this machine, prints the path and the length of each body, and
//! has its sender answered:
//!
//! ```sh
//! cargo run --example source -- 3000
//! curl -d hello http://127.0.0.1:3000/hooks
//! ```

use rdv::connector::Source;
use rdv::connector::source::SourceSettings;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("give a port, or 0 for a free one")?;

    let port = port.parse()?;
    let settings = SourceSettings { port, max_body: 1 << 20, ..SourceSettings::default() };

    let mut source = Source::open(settings)?;
    for address in source.addresses() {
        eprintln!("taking requests at http://{address}/");
    }
    // This goes on until something ends the program.
    while let Some(record) = source.read()? {
        let path = &record.metadata["rdv.source.path"];
        let body = record.payload.after.as_ref().map_or(0, |body| body.bytes().len());
        println!("{path} {body}");
        // Its sender is answered 201 now; before that, the record should be somewhere safe.
        source.ack(&record)?;
    }
    source.teardown()?;
    Ok(())
}
