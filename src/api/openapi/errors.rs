//! Responses with an error. Operations whose errors have the same names share one.

use super::Scope;
use super::about::About;
use crate::api::permission::Scope as Permission;
use crate::api::{Busy, Denied, ERROR_FIELD, Failure, Misdirected, TokenFailure};
use crate::http::reject::Reject;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Failures of all operations.
static EVERYWHERE: [Failure; 8] = [
    Failure::Rejected(Reject::HostInvalid),
    Failure::Rejected(Reject::TargetTooLong),
    Failure::Rejected(Reject::HeadTooLong),
    Failure::Rejected(Reject::CodingUnsupported),
    Failure::Rejected(Reject::VersionUnsupported),
    Failure::RequestIdInvalid,
    Failure::RequestTimeout("The request head did not come in time"),
    Failure::ExpectationFailed,
];

/// Failures of all operations on a public listener.
static IN_PUBLIC: [Failure; 6] = [
    Failure::TooBusy(Busy::Connections),
    Failure::TooBusy(Busy::AddressConnections),
    Failure::TooBusy(Busy::Descriptors),
    Failure::TooBusy(Busy::Requests),
    Failure::TooBusy(Busy::Stopping),
    Failure::TooBusy(Busy::Replaced),
];

/// Failures of all operations on the admin listener.
static FOR_OPERATORS: [Failure; 2] =
    [Failure::Denied(Denied::Host), Failure::Denied(Denied::Origin)];

/// Failures of operations that need a token.
static FOR_TOKENS: [Failure; 6] = [
    Failure::Token(TokenFailure::Needed(Permission::Create)),
    Failure::Token(TokenFailure::Unknown),
    Failure::Token(TokenFailure::StreamNeeded),
    Failure::Token(TokenFailure::ScopeMissing(Permission::Create)),
    Failure::Token(TokenFailure::StreamOther),
    Failure::Token(TokenFailure::TooMany),
];

/// Failures of operations for what another node can have.
static OF_NODES: [Failure; 1] =
    [Failure::Misdirected(Misdirected { node: 7, url: None, is_redirected: false })];

/// Failures of requests that have no operation.
pub(super) static ELSEWHERE: [Failure; 3] =
    [Failure::BadRoute, Failure::MethodNotAllowed("GET, HEAD, OPTIONS"), Failure::NoTunnel];

/// The responses with an error so far, by the names of their errors.
#[derive(Debug)]
pub struct Errors<'s> {
    scope: &'s Scope,
    shared: BTreeMap<String, Vec<&'static Failure>>,
}

impl<'s> Errors<'s> {
    /// Returns none.
    pub fn new(scope: &'s Scope) -> Self {
        Self { scope, shared: BTreeMap::new() }
    }

    /// Adds the responses with an error of an operation to its other ones. `secured`: it may need a
    /// token.
    pub fn add(
        &mut self,
        about: &'static About,
        secured: bool,
        responses: &mut Map<String, Value>,
    ) {
        let tokens: &[Failure] = if secured { &FOR_TOKENS } else { &[] };
        let nodes: &[Failure] = if about.is_of_node && self.scope.nodes { &OF_NODES } else { &[] };
        let listener: &[Failure] = if self.scope.operators { &FOR_OPERATORS } else { &IN_PUBLIC };
        let mut by_status: BTreeMap<u16, Vec<&'static Failure>> = BTreeMap::new();
        let own = about.failures.iter().chain(tokens).chain(nodes);
        for failure in own.chain(&EVERYWHERE).chain(listener) {
            by_status.entry(self.status(failure)).or_default().push(failure);
        }
        for (status, failures) in by_status {
            let name = shared_name(&failures);
            let response = json!({ "$ref": format!("#/components/responses/{name}") });
            let free = responses.insert(status.to_string(), response).is_none();
            debug_assert!(free, "an error has a status of its own: {status}");
            let shared = self.shared.entry(name).or_default();
            for failure in failures {
                if !shared.contains(&failure) {
                    shared.push(failure);
                }
            }
        }
    }

    /// Returns all of them, by name.
    pub fn responses(&self) -> Map<String, Value> {
        self.shared.iter().map(|(name, failures)| (name.clone(), self.response(failures))).collect()
    }

    fn response(&self, failures: &[&Failure]) -> Value {
        let names: Vec<_> = names(failures).iter().map(|name| format!("`{name}`")).collect();
        let mut content = json!({
            "application/json": {
                "schema": { "$ref": "#/components/schemas/Error" },
                "examples": examples(failures),
            },
            "text/plain": { "schema": { "$ref": "#/components/schemas/Text" } },
        });
        if self.scope.pages {
            content["text/html"] = json!({ "schema": { "$ref": "#/components/schemas/Page" } });
        }
        json!({
            "description": names.join(" or "),
            "headers": headers(failures),
            "content": content,
        })
    }

    fn status(&self, failure: &Failure) -> u16 {
        if matches!(failure, Failure::TooBusy(_)) {
            self.scope.too_busy_status
        } else {
            failure.status()
        }
    }
}

/// Returns the name of the component for failures with one status.
fn shared_name(failures: &[&Failure]) -> String {
    let names = names(failures);
    let short: Vec<_> =
        names.iter().map(|name| name.strip_suffix("Error").unwrap_or(name)).collect();
    let name = short.join("Or");
    // The same name with another status.
    if failures.iter().any(|failure| matches!(failure, Failure::PathTaken(_))) {
        return format!("Path{name}");
    }
    name
}

/// Returns the names of errors, each once.
fn names<'f>(failures: &[&'f Failure]) -> Vec<&'f str> {
    let mut names: Vec<_> = failures.iter().map(|failure| failure.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns an example of each error, in JSON.
fn examples(failures: &[&Failure]) -> Map<String, Value> {
    let mut examples = Map::new();
    for failure in failures {
        let message = failure.message();
        if message.is_empty() {
            continue;
        }
        let same = examples.keys().filter(|key| key.starts_with(failure.name())).count();
        let number = if same == 0 { String::new() } else { (same + 1).to_string() };
        let value = json!({ "name": failure.name(), "message": message });
        examples.insert(format!("{}{number}", failure.name()), json!({ "value": value }));
    }
    examples
}

/// Returns the header fields of these errors; those that not all have are optional.
fn headers(failures: &[&Failure]) -> Value {
    let shared = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = Map::new();
    headers.insert(ERROR_FIELD.into(), shared(ERROR_FIELD));
    for failure in failures {
        if failure.may_pass() {
            headers.insert("Retry-After".into(), shared("Retry-After"));
        }
        if !failure.challenges().is_empty() {
            headers.insert("WWW-Authenticate".into(), json!({ "schema": { "type": "string" } }));
        }
        for (name, value) in failure.fields().iter().copied() {
            if name != "Connection" {
                let schema = json!({ "type": "string", "const": value });
                headers.insert(name.into(), json!({ "schema": schema }));
            }
        }
    }
    headers.into()
}

/// Returns the failures that no operation names.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static Failure> {
    EVERYWHERE
        .iter()
        .chain(&FOR_TOKENS)
        .chain(&OF_NODES)
        .chain(&IN_PUBLIC)
        .chain(&FOR_OPERATORS)
        .chain(&ELSEWHERE)
}
