//! What few requests have, behind one pointer: many connections wait at once.

use crate::api::Cors;
use crate::api::permission::Token;
use std::net::SocketAddr;
use std::sync::Arc;

/// What few requests have. Those of the next request replace it.
#[derive(Debug, Default)]
pub struct Extras(Option<Box<Fields>>);

#[derive(Debug, Default)]
struct Fields {
    client: Option<SocketAddr>,
    cors: Cors,
    correlation_id: Option<Box<str>>,
    token: Option<Arc<Token>>,
}

impl Extras {
    /// Returns the address of its client, if a proxy forwarded the request.
    pub fn client(&self) -> Option<SocketAddr> {
        self.0.as_ref()?.client
    }

    /// Sets the client for which a proxy forwarded the request.
    pub fn set_client(&mut self, client: SocketAddr) {
        self.fields().client = Some(client);
    }

    /// Forgets the client; whether there was one.
    pub fn take_client(&mut self) -> bool {
        self.0.as_mut().is_some_and(|fields| fields.client.take().is_some())
    }

    /// Returns whether pages of other origins can read the response.
    pub fn cors(&self) -> &Cors {
        self.0.as_ref().map_or(&Cors::Off, |fields| &fields.cors)
    }

    /// Sets whether pages of other origins can read the response.
    pub fn set_cors(&mut self, cors: Cors) {
        if cors != *self.cors() {
            self.fields().cors = cors;
        }
    }

    /// Returns the correlation id of a call.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.as_ref()?.correlation_id.as_deref()
    }

    /// Sets the correlation id of a call.
    pub fn set_correlation_id(&mut self, id: Box<str>) {
        self.fields().correlation_id = Some(id);
    }

    /// Returns the token of this relay that the request has.
    pub fn token(&self) -> Option<&Arc<Token>> {
        self.0.as_ref()?.token.as_ref()
    }

    /// Sets the token of this relay that the request has.
    pub fn set_token(&mut self, token: Arc<Token>) {
        self.fields().token = Some(token);
    }

    fn fields(&mut self) -> &mut Fields {
        self.0.get_or_insert_default()
    }
}
