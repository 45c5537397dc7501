//! The token of a request, and whether the request is allowed with it.

use crate::api::permission::{self, Scope};
use crate::api::{Failure, Route};
use crate::http::credentials::{self, AUTHORIZATION, PROXY_AUTHORIZATION};
use crate::http::head::RequestHead;
use crate::http::negotiate::BodyForm;
use crate::relay::io::{ConnId, Io, ListenerKind};
use std::borrow::Cow;

/// Checks whether a request is allowed with its token, which is noted with the connection. Operators
/// need none.
///
/// # Errors
/// Returns why it is not.
pub fn authorize(
    io: &mut Io,
    id: ConnId,
    head: &RequestHead<'_, '_>,
    route: &Route<'_>,
) -> Result<(), Failure> {
    let conn = &io.conns[id];
    let tokens = &io.settings.tokens;
    // To other clients than browsers the page that sends is a text about the relay.
    let is_text = *route == Route::Home && conn.reply.form != BodyForm::Page;
    if tokens.tokens.is_none() || conn.listener == ListenerKind::Admin || is_text {
        return Ok(());
    }
    let presented = presented(head, route, tokens.requires(Scope::Call));
    let found = presented.map(|secret| io.take_token(id, &secret));
    let found = found.as_ref().map(|found| found.as_deref());
    permission::check(route, io.settings.tokens.required(), found)
}

/// Returns the token that was sent for the relay. `Authorization` of a call is for the called API,
/// unless calls need a token and it is not in a field of its own.
fn presented<'b>(
    head: &RequestHead<'_, 'b>,
    route: &Route<'_>,
    guards_calls: bool,
) -> Option<Cow<'b, [u8]>> {
    let of = |field| credentials::token(&head.fields, field);
    if !matches!(route, Route::Call { .. }) {
        of(AUTHORIZATION)
    } else if guards_calls {
        of(PROXY_AUTHORIZATION).or_else(|| of(AUTHORIZATION))
    } else {
        None
    }
}
