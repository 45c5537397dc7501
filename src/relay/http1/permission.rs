//! The token of a request, and whether the request is allowed with it.

use crate::api::permission::{self, Scope};
use crate::api::{Failure, Route, TokenFailure};
use crate::http::credentials::{self, AUTHORIZATION, PROXY_AUTHORIZATION};
use crate::http::head::RequestHead;
use crate::http::hex;
use crate::http::negotiate::BodyForm;
use crate::relay::io::{ConnId, Io, ListenerKind};
use crate::rendezvous::Guard;
use std::borrow::Cow;

/// Checks whether a request is allowed with its token, which is noted with the connection. Operators
/// need none.
///
/// # Errors
/// Returns why it is not.
pub fn authorize(
    io: &mut Io,
    id: ConnId,
    (head, route): (&RequestHead<'_, '_>, &Route<'_>),
    guard: Option<Guard>,
) -> Result<(), Failure> {
    let conn = &io.conns[id];
    if conn.listener == ListenerKind::Admin {
        return Ok(());
    }
    if let Some(guard) = guard {
        return check_guard(io, id, (head, route), guard);
    }
    let tokens = &io.settings.tokens;
    // To other clients than browsers the page that sends is a text about the relay.
    let is_text = *route == Route::Home && conn.reply.form != BodyForm::Page;
    if tokens.tokens.is_none() || is_text {
        return Ok(());
    }
    let presented = presented(head, route, tokens.requires(Scope::Call));
    if !permission::depends_on_token(route, tokens.required()) {
        // Its name is logged.
        presented.and_then(|secret| io.note_token(id, &secret));
        return Ok(());
    }
    let found = presented.map(|secret| io.take_token(id, &secret));
    let found = found.as_ref().map(|found| found.as_deref());
    permission::check(route, io.settings.tokens.required(), found)
}

/// Checks the token of a stream: its creator decided which clients have one, so they need none of the
/// relay.
fn check_guard(
    io: &mut Io,
    id: ConnId,
    (head, route): (&RequestHead<'_, '_>, &Route<'_>),
    guard: Guard,
) -> Result<(), Failure> {
    let in_query = query_token(head.query).map(|token| Cow::Borrowed(token.as_bytes()));
    let sent = in_query.or_else(|| credentials::token(&head.fields, AUTHORIZATION));
    let sent = sent.ok_or(Failure::Token(TokenFailure::StreamNeeded))?;
    io.check_attempts(id)?;
    match hex::decode(&sent).and_then(|secret| guard.part(secret)) {
        Some(part) if permission::serves(route, part) => Ok(()),
        Some(_) => Err(Failure::Token(TokenFailure::StreamOther)),
        // A known token is not a guess: a client may send that of the relay with every request.
        None if io.note_token(id, &sent).is_some() => {
            Err(Failure::Token(TokenFailure::StreamNeeded))
        }
        None => Err(io.unknown_token(id)),
    }
}

/// Returns the token of a stream in the query of its URL.
fn query_token(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("t="))
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
