//! Tests that cannot run on this machine. With `RDV_NO_SKIPS`, as in `.ci/run`, they fail instead.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// What may be skipped even so, and why it cannot be installed.
pub(crate) const MAY_SKIP: [(&str, &str); 4] = [
    ("slow link", "tbf is a module of the kernel"),
    ("conduit", "it is not in the registries of Debian, PyPI, npm and crates.io"),
    ("ipv6", "the kernel is built with it, or is not"),
    ("released", "a shallow clone does not have the released versions"),
];

/// Reports that a test, or a part of it, is skipped for lack of something.
///
/// # Panics
/// With `RDV_NO_SKIPS`, except for what [`MAY_SKIP`] lists.
pub(crate) fn skip(what: &str, reason: &str) {
    println!("skipped: {what}: {}", reason.trim_end());
    let may = MAY_SKIP.iter().any(|(listed, _)| *listed == what);
    let forbidden = env::var_os("RDV_NO_SKIPS").is_some();
    assert!(may || !forbidden, "{what} is skipped, which RDV_NO_SKIPS forbids: {reason}");
}

/// Whether this machine has IPv6; otherwise the test is skipped.
pub(crate) fn ipv6() -> bool {
    let bound = TcpListener::bind("[::1]:0");
    if let Err(error) = &bound {
        skip("ipv6", &error.to_string());
    }
    bound.is_ok()
}

/// The directory filled by the script `install` of this folder of `tests/`, which `RDV_NAME` can
/// name, after the folder's name; without it the test is skipped.
pub(crate) fn installation(of: &str) -> Option<PathBuf> {
    let name = of.rsplit('/').next().unwrap_or(of);
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
    let folder =
        env::var_os(format!("RDV_{}", name.to_uppercase())).map_or_else(here, PathBuf::from);
    // Written last, so that a partial installation does not count.
    if folder.join("installed").exists() {
        return Some(folder);
    }
    let install = format!("tests/{of}/install");
    skip(name, &format!("nothing is installed in {}; see {install}", folder.display()));
    None
}
