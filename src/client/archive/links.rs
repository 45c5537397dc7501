//! Hard links: a file with several names is sent once, then linked.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Maximum number of remembered files with further hard links. Others are sent as separate files:
/// correct, but twice. A name takes about 100 bytes, so this is a few megabytes.
const LINKS_MAX: usize = 1 << 16;

/// The first name of each file that has several.
#[derive(Default)]
pub(super) struct Links(HashMap<(u64, u64), PathBuf>);

impl Links {
    /// Returns the name under which this file has already been sent; otherwise remembers this name.
    pub fn first(&mut self, metadata: &Metadata, name: &Path) -> Option<PathBuf> {
        if metadata.nlink() < 2 {
            return None;
        }
        let key = (metadata.dev(), metadata.ino());
        let first = self.0.get(&key).cloned();
        if first.is_none() && self.0.len() < LINKS_MAX {
            self.0.insert(key, name.to_owned());
        }
        first
    }

    /// Forgets a name whose file was not sent after all.
    pub fn forget(&mut self, name: &Path) {
        self.0.retain(|_, first| first != name);
    }
}
