//! Sends files to a URL as one form, and prints the response:
//!
//! ```sh
//! cargo run --example upload -- https://files.example/in report.pdf data.csv
//! ```

use rdv::client::{Part, Upload};
use std::error::Error;
use std::io;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: upload URL FILE...")?;

    // All files are opened before the connection is made: a missing one costs none.
    let files: Vec<Part<'_>> = arguments.map(Part::path).collect::<Result<_, _>>()?;

    let mut upload = Upload::new("POST", &url)?.field_name("files");
    upload.options().set_connect_timeout(Duration::from_secs(5));

    // Returns as soon as the server responds, even if not everything was sent.
    let mut response = upload.send_all(files)?;
    io::copy(response.body(), &mut io::stdout())?;
    if !response.is_success() || response.is_early() {
        return Err(format!("the server responded with {}", response.status()).into());
    }
    Ok(())
}
