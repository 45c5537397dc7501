//! Permission by token: the acts that a token allows, those that need one, and the decision about a
//! request. A token is compared elsewhere; here is only what it grants.

use super::name::{NAME_RULE, valid_name};
use super::{Callee, Failure, PathRoute, Route, RouteName, TokenFailure};
use crate::rendezvous::Part;
use std::fmt;
use std::str::FromStr;

/// An act that a token can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Create streams.
    Create,
    /// Upload.
    Send,
    /// Download, or see what a download would be.
    Receive,
    /// List streams and agents.
    List,
    /// Call the APIs of agents.
    Call,
    /// Become an agent.
    Agent,
    /// Have notifications sent to a URL.
    Notify,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Send,
        Self::Receive,
        Self::List,
        Self::Call,
        Self::Agent,
        Self::Notify,
    ];

    /// Returns its name, as in settings and in files of tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::List => "list",
            Self::Call => "call",
            Self::Agent => "agent",
            Self::Notify => "notify",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A token of the relay, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name, which is shown to operators.
    pub name: Box<str>,
    /// What it allows.
    pub grants: Grants,
}

/// What a token allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    scopes: Vec<Scope>,
    /// The names that the scopes `agent` and `call` are valid for, `*` for all.
    agents: Vec<Box<str>>,
    callees: Vec<Box<str>>,
}

/// The list of scopes, for errors.
const SCOPES: &str = "create, send, receive, list, call, call:NAME, agent, agent:NAME, notify";

impl Grants {
    /// Whether it allows this act, for some name at least.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it allows an agent with this name, or one without a name.
    pub fn allows_agent(&self, name: Option<&str>) -> bool {
        let is_named = name.is_none_or(|name| is_listed(&self.agents, name));
        self.allows(Scope::Agent) && is_named
    }

    /// Whether it allows calls of this agent.
    fn allows_call(&self, callee: Callee<'_>) -> bool {
        let is_named = match callee {
            // An agent without a name cannot be listed.
            Callee::Connection(_) => is_listed(&self.callees, ANY),
            Callee::Name(name) | Callee::Host(name) => is_listed(&self.callees, name),
        };
        self.allows(Scope::Call) && is_named
    }

    /// Adds a scope; `agent` and `call` without a name, or with `*`, are for all names. An invalid
    /// one may be a misplaced secret, so the error does not show it.
    fn add(&mut self, text: &str) -> Result<(), String> {
        let (scope, name) = match text.split_once(':') {
            Some((scope, name)) => (scope, Some(name)),
            None => (text, None),
        };
        let scope: Scope = scope.parse().map_err(|_| format!("the scopes are {SCOPES}"))?;
        let names = match scope {
            Scope::Agent => Some(&mut self.agents),
            Scope::Call => Some(&mut self.callees),
            Scope::Create | Scope::Send | Scope::Receive | Scope::List | Scope::Notify => None,
        };
        match (name, names) {
            (None, None) => {}
            (Some(_), None) => return Err(format!("the scope {scope} takes no name")),
            (None | Some("*"), Some(names)) => *names = vec![ANY.into()],
            (Some(name), Some(names)) if valid_name(name) => {
                // After a scope for all names, one for a single name changes nothing.
                if names.first().is_none_or(|first| **first != *ANY) {
                    names.push(name.into());
                }
            }
            (Some(_), Some(_)) => return Err(format!("{scope}:NAME: {NAME_RULE}; or * for any")),
        }
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
        Ok(())
    }
}

/// The name that means all names.
const ANY: &str = "*";

fn is_listed(names: &[Box<str>], name: &str) -> bool {
    names.iter().any(|listed| **listed == *ANY || listed.eq_ignore_ascii_case(name))
}

impl FromStr for Grants {
    type Err = String;

    /// Parses scopes that are separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut grants = Self::default();
        text.split(',').try_for_each(|scope| grants.add(scope))?;
        Ok(grants)
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for scope in &self.scopes {
            let names = match scope {
                Scope::Agent => &self.agents[..],
                Scope::Call => &self.callees,
                Scope::Create | Scope::Send | Scope::Receive | Scope::List | Scope::Notify => &[],
            };
            if names.iter().all(|name| **name == *ANY) {
                words.push(scope.to_string());
            } else {
                words.extend(names.iter().map(|name| format!("{scope}:{name}")));
            }
        }
        f.write_str(&words.join(","))
    }
}

/// The scopes that an act needs.
enum Need {
    Nothing,
    All(&'static [Scope]),
    /// The act is open to either side of a stream, so it is to all clients if one of these is.
    OneOf(&'static [Scope]),
}

/// Checks whether a request is allowed where these scopes need a token; it has this token, or one
/// that was refused for this reason.
///
/// # Errors
/// What is missing.
pub fn check(
    route: &Route<'_>,
    required: &[Scope],
    presented: Option<Result<&Token, &Failure>>,
) -> Result<(), Failure> {
    let grants = presented.and_then(Result::ok).map(|token| &token.grants);
    let has = |scope: &Scope| !required.contains(scope) || holds(grants, *scope, route);
    let missing = match need(route) {
        Need::Nothing => None,
        // The metadata, which follow, may have it.
        Need::All(_) if *route == Route::Attach && presented.is_none() => None,
        Need::All(scopes) => scopes.iter().find(|scope| !has(scope)),
        Need::OneOf(scopes) if scopes.iter().any(has) => None,
        Need::OneOf(scopes) => scopes.first(),
    };
    let Some(&missing) = missing else { return Ok(()) };
    Err(match presented {
        None => Failure::Token(TokenFailure::Needed(missing)),
        Some(Err(refused)) => refused.clone(),
        Some(Ok(_)) => Failure::Token(TokenFailure::ScopeMissing(missing)),
    })
}

/// Whether the response depends on the token of a request: then invalid ones are counted. Elsewhere
/// they may be for a reverse proxy, and reveal nothing.
pub fn depends_on_token(route: &Route<'_>, required: &[Scope]) -> bool {
    use RouteName::{AgentEvents, Agents, Create, List};
    let (Need::All(scopes) | Need::OneOf(scopes)) = need(route) else { return false };
    scopes.iter().any(|scope| required.contains(scope))
        || [Create, List, Agents, AgentEvents].contains(&route.name())
}

fn holds(grants: Option<&Grants>, scope: Scope, route: &Route<'_>) -> bool {
    grants.is_some_and(|grants| {
        if let Route::Call { callee, .. } = route {
            grants.allows_call(*callee)
        } else {
            grants.allows(scope)
        }
    })
}

/// Returns what a request needs. The sender at a path may create the stream.
fn need(route: &Route<'_>) -> Need {
    const EITHER_SIDE: Need = Need::OneOf(&[Scope::Send, Scope::Receive, Scope::Create]);
    if let Route::Path(PathRoute::Upload(_)) = route {
        return Need::All(&[Scope::Create, Scope::Send]);
    }
    match route.name() {
        RouteName::Create | RouteName::Home => Need::All(&[Scope::Create]),
        RouteName::Source => Need::All(&[Scope::Send]),
        RouteName::Destination | RouteName::Exists | RouteName::ReceivePage => {
            Need::All(&[Scope::Receive])
        }
        RouteName::Delete
        | RouteName::Report
        | RouteName::Receipt
        | RouteName::Status
        | RouteName::Events => EITHER_SIDE,
        RouteName::List | RouteName::Agents | RouteName::AgentEvents => Need::All(&[Scope::List]),
        RouteName::Call => Need::All(&[Scope::Call]),
        RouteName::Attach => Need::All(&[Scope::Agent]),
        RouteName::Paths
        | RouteName::Push
        | RouteName::AttachTunnel
        | RouteName::PageFile
        | RouteName::Watch
        | RouteName::Health
        | RouteName::Readiness
        | RouteName::State
        | RouteName::Control
        | RouteName::Metrics
        | RouteName::Ping
        | RouteName::Document
        | RouteName::Version
        | RouteName::Options
        | RouteName::NotAllowed
        | RouteName::Nothing
        | RouteName::Tunnel
        | RouteName::Unread => Need::Nothing,
    }
}

/// Whether a client with this part in a stream with tokens can send this request about it.
pub fn serves(route: &Route<'_>, part: Part) -> bool {
    use RouteName::{
        Delete, Destination, Events, Exists, Receipt, ReceivePage, Report, Source, Status,
    };
    let own: &[RouteName] = match part {
        Part::Source => &[Source],
        Part::Destination => &[Destination, ReceivePage, Receipt],
        Part::Owner => &[Delete],
    };
    own.contains(&route.name()) || [Exists, Status, Events, Report].contains(&route.name())
}

#[cfg(test)]
mod tests;
