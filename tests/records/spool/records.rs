//! Records determined by their numbers, and processes that spool them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::pattern;
use rdv::connector::spool::{Next, SpoolLimits, SpoolReader, head};
use uuid::Uuid;

/// Variables for the processes started by a test.
pub(crate) const DIRECTORY: &str = "RDV_TEST_SPOOL";

/// Small segments, so that many are created and removed in a round.
pub(crate) const LIMITS: SpoolLimits =
    SpoolLimits { segment_bytes: 50_000, max_bytes: 1 << 30, keep_bytes: 0 };

pub(crate) fn at(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

/// The line of a record, whose length and bytes are determined by its number.
pub(crate) fn line(number: u64) -> Vec<u8> {
    let size = match number % 50 {
        0 => 300_000,
        rest => 10 + 37 * usize::try_from(rest).expect("below 50"),
    };
    let text: String =
        pattern(number, size).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("{},\"number\":{number},\"text\":\"{text}\"}}\n", head(at(number))).into_bytes()
}

pub(crate) fn number(position: Uuid) -> u64 {
    u64::try_from(position.as_u128() - at(0).as_u128()).expect("a position of this test")
}

/// All readable records, by their numbers.
pub(crate) fn records(reader: &mut SpoolReader) -> BTreeMap<u64, Vec<u8>> {
    let (mut records, mut record) = (BTreeMap::new(), Vec::new());
    loop {
        match reader.read().expect("reading") {
            Next::End => return records,
            Next::Gone => panic!("no segment is removed"),
            Next::Piece(piece) => {
                record.extend(piece.bytes);
                if piece.ends {
                    let before =
                        records.insert(number(piece.position), std::mem::take(&mut record));
                    assert_eq!(before, None, "{} is delivered twice", number(piece.position));
                }
            }
        }
    }
}

/// This program as a process that runs the ignored test of this name.
pub(crate) fn child(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", name]).env(DIRECTORY, directory);
    command
}

pub(crate) fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).expect("the directory, from the test that starts this").into()
}
