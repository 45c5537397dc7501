//! The fallible parts of a relay's start, tried without serving: for `rdv check-config`.

use super::port;
use crate::ops::access_log::AccessLog;
use crate::ops::admin::AdminAddress;
use crate::ops::cause;
use crate::ops::doctor::network::Port;
use crate::ops::request_id::RequestIds;
use crate::ops::{AdminListen, Settings, places};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Checks whether a relay with these settings would start; an address in use is a warning, because
/// the relay to be replaced, or systemd, may be using it.
///
/// # Errors
/// One line: what would fail, and why.
pub fn check(settings: &Settings) -> Result<Vec<String>, String> {
    AccessLog::check(&settings.access_log).map_err(|error| error.to_string())?;
    RequestIds::new(&settings.request_id).map_err(|error| error.to_string())?;
    let mut warnings: Vec<String> = settings.access_log.warning().into_iter().collect();
    warnings.extend(super::certificate_warnings(settings));
    let admin = match &settings.admin.admin_listen {
        Some(AdminListen::At(AdminAddress::Unix(path))) => {
            warnings.extend(admin_socket(path)?);
            None
        }
        Some(AdminListen::At(AdminAddress::Tcp(address))) => Some(*address),
        // A relay starts even without its default socket.
        Some(AdminListen::Off) | None => None,
    };
    if let Some(name) = &settings.congestion_control {
        super::congestion_control(name)?;
    }
    let tls = &settings.tls;
    if tls.http_redirect && tls.tls_listen.is_empty() {
        let why =
            "http-redirect without tls-listen needs a socket unit with FileDescriptorName=tls";
        warnings.push(why.into());
    }
    for address in settings.listeners().chain(admin) {
        warnings.extend(listener(address)?);
    }
    Ok(warnings)
}

fn admin_socket(path: &Path) -> Result<Option<String>, String> {
    let shown = path.display();
    places::socket(path).map_err(|error| format!("cannot listen on {shown}: {}", cause(&error)))?;
    let used = UnixStream::connect(path).is_ok();
    Ok(used.then(|| format!("{shown} is in use: a process listens on it")))
}

fn listener(address: SocketAddr) -> Result<Option<String>, String> {
    let why = match port::check(address) {
        Port::Free => return Ok(None),
        Port::Served(relay) => return Ok(Some(format!("{address} is in use, by {relay}"))),
        Port::Taken => return Ok(Some(format!("{address} is in use"))),
        Port::Forbidden => "no permission".to_owned(),
        Port::Foreign => "this machine has no such address".to_owned(),
        Port::Fails(reason) => reason,
    };
    Err(format!("cannot listen on {address}: {why}"))
}
