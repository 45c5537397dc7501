//! Opens an idle tunnel: a connection on which the relay sends requests as plain HTTP/1.1.

use crate::client::connection::Connection;
use crate::client::redirect::Redirects;
use crate::client::{self, Options, Url};
use crate::socket::Error;
use crate::socket::connecting::{ask, switched, upgrade_head};
use std::time::Duration;
use uuid::Uuid;

/// Protocol that the connection is upgraded to.
const PROTOCOL: &str = "rdv.spare.v1";

/// A tunnel waits for its next request indefinitely.
const UNLIMITED: Duration = Duration::MAX;

/// The agent that the idle tunnels belong to.
#[derive(Clone, Debug)]
pub struct Owner {
    /// URL of the relay.
    pub relay: Url,
    /// Agent connection that the tunnels belong to.
    pub connection: Uuid,
    /// Secret from the relay that authenticates the tunnels.
    pub secret: Uuid,
    /// How to connect to the relay.
    pub options: Options,
}

/// Why an idle tunnel could not be opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The relay refused it.
    Refused(u16),
    /// The relay is unreachable, or its response is invalid.
    Failed,
}

impl From<client::Error> for NotOpened {
    fn from(_: client::Error) -> Self {
        Self::Failed
    }
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        if let Error::Refused { status, .. } = error { Self::Refused(status) } else { Self::Failed }
    }
}

/// Opens an idle tunnel.
pub(super) fn open(owner: &Owner) -> Result<Connection, NotOpened> {
    // Another node than that of the agent's connection redirects to that one.
    let mut place = Redirects::new(owner.relay.below("socket/spare"), &owner.options);
    loop {
        let connection = Connection::open(place.url(), place.options())?;
        let mut request = Vec::with_capacity(256);
        upgrade_head(&mut request, place.url(), &connection, PROTOCOL)
            .field("Rdv-Connection", owner.connection.to_string().as_bytes())
            .field("Rdv-Spare", owner.secret.to_string().as_bytes())
            .end();
        let (connection, head) = ask(connection, &request)?;
        if place.follow(head.status, head.text("Location"))? {
            continue;
        }
        let (mut connection, _) = switched(connection, head)?;
        // The next request may take any time.
        connection.set_stall_timeout(UNLIMITED);
        return Ok(connection);
    }
}
