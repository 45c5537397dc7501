//! Files with several names: sent once, then linked.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How many files with further hard links are remembered. Further ones are sent as files of their
/// own: correct, but twice. A name takes about 100 bytes, so this is some megabytes.
const LINKS_MAX: usize = 1 << 16;

/// The first names of files that have several.
#[derive(Default)]
pub(super) struct Links(HashMap<(u64, u64), PathBuf>);

impl Links {
    /// The name under which this file has been sent already; else it is remembered by this one.
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

    /// The file of this name was not sent after all.
    pub fn forget(&mut self, name: &Path) {
        self.0.retain(|_, first| first != name);
    }
}
