//! Sends files to a URL as one form, and prints what the server says:
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
    let url = arguments.next().ok_or("give a URL, then files")?;

    // All files are opened before the server hears of any; a missing one costs no connection.
    let files: Vec<Part<'_>> = arguments.map(Part::path).collect::<Result<_, _>>()?;

    let mut upload = Upload::new("POST", &url)?.field_name("files");
    upload.options().set_connect_timeout(Duration::from_secs(5));

    // The answer comes as soon as there is one, even if not all was sent.
    let mut response = upload.send_all(files)?;
    io::copy(response.body(), &mut io::stdout())?;
    if !response.is_success() || response.is_early() {
        return Err(format!("the server answered {}", response.status()).into());
    }
    Ok(())
}
