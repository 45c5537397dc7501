//! Adds the git revision to the binary when the package is built from its own repository, and embeds
//! the files of the pages, with their compressed forms and their entity tags.

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The directory of the pages' files.
const PAGES: &str = "src/web";

fn main() -> io::Result<()> {
    embed_pages()?;
    find_revision();
    Ok(())
}

/// Writes a list of the pages' files as Rust code, and each file compressed.
fn embed_pages() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PAGES}");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut names: Vec<_> = fs::read_dir(PAGES)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| media_type(name).is_some())
        .collect();
    names.sort();
    let mut code = "[\n".to_owned();
    for name in &names {
        let path = format!("{root}/{PAGES}/{name}");
        let bytes = fs::read(&path)?;
        let gzip = format!("{out}/{name}.gz");
        fs::write(&gzip, compressed(&bytes)?)?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        let etag = format!("{:08x}-{:x}", crc.sum(), bytes.len());
        let kind = media_type(name).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            code,
            "    File {{ name: {name:?}, kind: {kind:?}, etag: {etag:?}, bytes: include_bytes!({path:?}), \
             gzip: include_bytes!({gzip:?}) }},"
        );
    }
    code.push_str("]\n");
    fs::write(Path::new(&out).join("files.rs"), code)
}

/// Returns the media type of a file of the pages; `None` if it is not one.
fn media_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn find_revision() {
    // Without any line of this kind Cargo runs this again whenever a file of the package changes;
    // with a line that names a missing file, at every build.
    println!("cargo::rerun-if-changed=build.rs");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=RDV_VERSION={version}");
    // A package that is unpacked inside another repository must not take over its revision.
    if !Path::new(".git").exists() {
        return;
    }
    // In a linked worktree these two are outside of it.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(revision) = git(&["show", "-s", "--abbrev=12", "--format=%h", "HEAD"]) {
        println!("cargo::rustc-env=RDV_REVISION={revision}");
        println!("cargo::rustc-env=RDV_VERSION={version} ({revision})");
    }
}

/// What this git command prints, if it succeeds.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
