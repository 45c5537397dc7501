//! The API documents of the listeners: made when first requested, and again after the settings that
//! they depend on have changed.

use crate::api::openapi::{Scope, document};
use crate::ops::Settings;
use crate::web::File;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use std::io::Write as _;

/// The documents made so far.
#[derive(Debug, Default)]
pub struct Documents {
    public: Option<Made>,
    operators: Option<Made>,
}

#[derive(Debug)]
struct Made {
    scope: Scope,
    etag: String,
    json: String,
    gzip: Vec<u8>,
}

impl Documents {
    /// Returns the document of the public or the admin listeners.
    pub fn get(&mut self, settings: &Settings, operators: bool) -> File<'_> {
        let place = if operators { &mut self.operators } else { &mut self.public };
        let scope = scope(settings, operators);
        let made = place.take().filter(|made| made.scope == scope);
        place.insert(made.unwrap_or_else(|| make(scope))).file()
    }
}

impl Made {
    fn file(&self) -> File<'_> {
        File {
            name: "openapi.json",
            kind: "application/json",
            etag: &self.etag,
            bytes: self.json.as_bytes(),
            gzip: &self.gzip,
        }
    }
}

fn make(scope: Scope) -> Made {
    let json = format!("{}\n", document(&scope));
    let mut crc = Crc::new();
    crc.update(json.as_bytes());
    let etag = format!("{:08x}-{:x}", crc.sum(), json.len());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let gzip = encoder.write_all(json.as_bytes()).and_then(|()| encoder.finish());
    Made { scope, etag, json, gzip: gzip.unwrap_or_default() }
}

fn scope(settings: &Settings, operators: bool) -> Scope {
    let id = &settings.request_id;
    Scope {
        operators,
        paths: settings.paths,
        pages: !settings.no_pages,
        cors: !operators && !settings.cors_origin.is_empty(),
        nodes: settings.nodes.node_id.is_some(),
        too_busy_status: settings.load.too_busy_status,
        request_id: id.request_id.then(|| id.request_id_header.clone()),
    }
}
