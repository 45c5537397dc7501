//! The document, from the table of routes.

use super::Scope;
use super::about::{About, Answer, REDIRECTED, Tag};
use super::errors::Errors;
use crate::api::route::table::{Methods, Operation, Row, TABLE};
use crate::http::head::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const COMPONENTS: &str = include_str!("components.json");
const SCHEMAS: &str = include_str!("schemas.json");

const DESCRIPTION: &str = "\
One `PUT /stream/{id}` meets one `GET /stream/{id}`, and the bytes pass from one to the other.

One `/` at the end of a path is ignored. Other paths are 404 `BadRouteError`; other methods of a path are 405 with \
`Allow`, except for `OPTIONS`, which is 204 with `Allow`, and answers preflights (`--cors-origin`). Every error has `Rdv-Error`, and is JSON, text or a page, as `Accept` prefers.";

const OPERATORS: &str = "\
The admin listener: for operators only. Every process that can connect is one.";

/// The status of an upgrade (RFC 9110, section 15.2.2).
const SWITCHING: u16 = 101;

/// A document being made.
struct Builder<'s> {
    scope: &'s Scope,
    errors: Errors<'s>,
    /// The names of operations so far: some are at several paths.
    ids: BTreeSet<&'static str>,
}

/// Returns the document for a listener.
pub fn document(scope: &Scope) -> Value {
    let mut builder = Builder { scope, errors: Errors::new(scope), ids: BTreeSet::new() };
    let paths: Map<String, Value> = TABLE.iter().filter_map(|row| builder.path(row)).collect();
    let mut components = parse(COMPONENTS);
    components["responses"] = builder.errors.responses().into();
    components["schemas"] = parse(SCHEMAS);
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "rdv",
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "description": if scope.operators { OPERATORS } else { DESCRIPTION },
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/", "description": "This relay" }],
        "security": [],
        "tags": tags(&paths),
        "paths": paths,
        "components": components,
    });
    remove_unused(&mut document);
    document
}

/// Parses one of the files of this folder.
fn parse(text: &str) -> Value {
    // A test parses them.
    serde_json::from_str(text).unwrap_or_default()
}

impl Builder<'_> {
    /// Returns a path and its operations, if the listener has it.
    fn path(&mut self, row: &'static Row) -> Option<(String, Value)> {
        let methods = if self.scope.operators { &row.operators } else { &row.public };
        let first = methods.operations.first()?;
        let is_page = matches!(first.about.tag, Tag::Pages);
        if row.resource.is_of_paths() && !self.scope.paths || is_page && !self.scope.pages {
            return None;
        }
        let mut item = Map::new();
        let parameters: Vec<Value> =
            variables(row.path).map(|it| shared("parameters", it)).collect();
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into());
        }
        let ids: BTreeSet<_> = methods.operations.iter().map(|each| each.about.id).collect();
        for operation in methods.operations {
            let id = self.id(row.path, methods, operation);
            let described = self.operation(operation.about, id, operation.method == Method::Head);
            item.insert(operation.method.name().to_ascii_lowercase(), described);
        }
        self.ids.extend(ids);
        if row.resource.is_api() {
            let id = format!("{}Options", first.about.id);
            item.insert("options".into(), self.operation(first.about, id, false));
        }
        Some((row.path.into(), item.into()))
    }

    /// Returns the name of an operation, which no other one has: those of another method or path
    /// have it in addition.
    fn id(&self, path: &str, methods: &Methods, operation: &Operation) -> String {
        let Operation { method, about, .. } = operation;
        let mut id = about.id.to_owned();
        if self.ids.contains(about.id) {
            id.push_str(&capitalized(path.rsplit('/').next().unwrap_or_default()));
        }
        let same = methods.operations.iter().filter(|each| each.about.id == about.id);
        let main = same.map(|each| each.method).min_by_key(|method| match method {
            Method::Get | Method::Put => 0,
            Method::Head
            | Method::Post
            | Method::Delete
            | Method::Options
            | Method::Connect
            | Method::Trace
            | Method::Patch
            | Method::Other => 1,
        });
        if main != Some(*method) {
            id.push_str(&capitalized(&method.name().to_ascii_lowercase()));
        }
        id
    }

    fn operation(&mut self, about: &'static About, id: String, head_only: bool) -> Value {
        let mut operation = Map::new();
        operation.insert("operationId".into(), id.into());
        operation.insert("tags".into(), json!([about.tag.name()]));
        operation.insert("summary".into(), about.summary.into());
        if !about.description.is_empty() {
            operation.insert("description".into(), about.description.into());
        }
        if !about.parameters.is_empty() {
            let parameters = about.parameters.iter().map(|name| shared("parameters", name));
            operation.insert("parameters".into(), parameters.collect());
        }
        if let Some(body) = about.body.filter(|_| !head_only) {
            operation.insert("requestBody".into(), shared("requestBodies", body));
        }
        // Operators need no token.
        let secured = !about.security.is_empty() && !self.scope.operators;
        if secured {
            let schemes = about.security.iter().map(|&name| json!({ name: [] }));
            operation
                .insert("security".into(), std::iter::once(json!({})).chain(schemes).collect());
        }
        // Operators are not redirected.
        let redirects = about.is_of_node && self.scope.nodes && !self.scope.operators;
        let answers = about.answers.iter().chain(&about.other);
        let answers = answers.chain(redirects.then_some(&REDIRECTED));
        let mut responses = Map::new();
        // A request for a head alone upgrades nothing.
        for answer in answers.filter(|answer| !head_only || answer.status != SWITCHING) {
            let status =
                if answer.status == 0 { "default".into() } else { answer.status.to_string() };
            responses.insert(status, self.answer(answer, head_only));
        }
        self.errors.add(about, secured, &mut responses);
        operation.insert("responses".into(), responses.into());
        operation.into()
    }

    fn answer(&self, answer: &Answer, head_only: bool) -> Value {
        let mut response = Map::new();
        response.insert("description".into(), answer.text.into());
        let cors = Some("Access-Control-Allow-Origin").filter(|_| self.scope.cors);
        let headers = answer.headers.iter().copied().chain(cors);
        let mut headers: Map<_, _> =
            headers.map(|name| (name.to_owned(), shared("headers", name))).collect();
        if let Some(name) = &self.scope.request_id {
            headers.insert(name.clone(), json!({ "schema": { "type": "string" } }));
        }
        if !headers.is_empty() {
            response.insert("headers".into(), headers.into());
        }
        let content =
            answer.content.iter().filter(|(kind, _)| self.scope.pages || *kind != "text/html");
        let content: Map<_, _> = content
            .map(|(kind, schema)| ((*kind).into(), json!({ "schema": shared("schemas", schema) })))
            .collect();
        if !content.is_empty() && !head_only {
            response.insert("content".into(), content.into());
        }
        if !answer.links.is_empty() {
            let links = answer.links.iter().map(|name| ((*name).into(), shared("links", name)));
            response.insert("links".into(), links.collect::<Map<_, _>>().into());
        }
        response.into()
    }
}

fn shared(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// Returns the names of the variable parts of a path.
fn variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

pub(super) fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// Returns the groups that have operations.
fn tags(paths: &Map<String, Value>) -> Value {
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    let used: BTreeSet<_> = operations.filter_map(|it| it["tags"][0].as_str()).collect();
    let tags = Tag::ALL.iter().filter(|(tag, _)| used.contains(tag.name()));
    tags.map(|(tag, text)| json!({ "name": tag.name(), "description": text })).collect()
}

/// Removes the components that nothing refers to.
fn remove_unused(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut left = vec![&document["paths"]];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                let schemes =
                    members.get("security").and_then(Value::as_array).into_iter().flatten();
                let names = schemes.filter_map(Value::as_object).flat_map(Map::keys);
                used.extend(names.map(|name| format!("#/components/securitySchemes/{name}")));
                left.extend(members.values());
            }
            Value::Array(items) => left.extend(items),
            Value::String(text) => {
                if let Some(pointer) = text.strip_prefix('#').filter(|_| used.insert(text.clone()))
                {
                    left.extend(document.pointer(pointer));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let Some(kinds) = document["components"].as_object_mut() else { return };
    for (kind, components) in kinds.iter_mut() {
        let Some(components) = components.as_object_mut() else { continue };
        let is_used = |name: &String| used.contains(&format!("#/components/{kind}/{name}"));
        components.retain(|name, _| is_used(name));
    }
    kinds.retain(|_, components| components.as_object().is_some_and(|kind| !kind.is_empty()));
}
