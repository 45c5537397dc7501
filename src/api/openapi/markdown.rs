//! The document for people: docs/api.md. It is made from the finished documents of both listeners.

use super::about::Tag;
use super::{Scope, document};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const HEAD: &str = "\
# API

<!-- Made from the API document: `rdv openapi --markdown`. A test compares the two. -->

`GET /openapi.json` returns this as an OpenAPI 3.1 document of the listener that serves it, as it is configured; `rdv openapi`
prints it. [protocol.md](protocol.md) describes the behaviour. `HEAD` works wherever `GET` does, except for upgrades, and
`OPTIONS` is 204 with `Allow`.
";

const ERRORS: &str = "
## Errors

[protocol.md](protocol.md#errors) describes their form. Above, each request has only the errors that not all requests can get.

| status | name | message |
|---|---|---|
";

/// Responses of all requests, which are not repeated for each.
const EVERYWHERE: [&str; 9] = [
    "BadRequest",
    "RequestTimeout",
    "UriTooLong",
    "ExpectationFailed",
    "HeaderFieldsTooLarge",
    "NotImplemented",
    "TooBusy",
    "HttpVersionNotSupported",
    "Forbidden",
];

/// Returns the page.
pub fn markdown() -> String {
    let documents = [document(&Scope::complete(false)), document(&Scope::complete(true))];
    let [public, operators] = &documents;
    let mut page = HEAD.to_owned();
    for (tag, text) in Tag::ALL {
        let _ = write!(page, "\n## {}\n\n{text}\n", title(tag.name()));
        put_paths(&mut page, public, |_, operation| operation["tags"][0] == tag.name());
    }
    page.push_str("\n## Admin listener\n\nBesides `/ping`, `/version`, the lists, and requests about streams that move no bytes:\n");
    put_paths(&mut page, operators, |path, _| public["paths"].get(path).is_none());
    page.push_str("\n## Bodies\n");
    put_schemas(&mut page, &documents);
    page.push_str(ERRORS);
    put_errors(&mut page, &documents);
    page
}

/// Writes the operations that a test selects.
fn put_paths(page: &mut String, document: &Value, selects: impl Fn(&str, &Value) -> bool) {
    for (path, item) in members(&document["paths"]) {
        let selected = members(item).filter(|(method, operation)| {
            !["options", "parameters"].contains(method) && selects(path, operation)
        });
        // Methods with the same effect are one.
        let mut groups: Vec<(Vec<String>, &Value)> = Vec::new();
        for (method, operation) in selected {
            let known =
                groups.iter_mut().find(|(_, first)| first["summary"] == operation["summary"]);
            let name = method.to_ascii_uppercase();
            match known {
                Some(_) if method == "head" => {}
                Some((methods, _)) => methods.push(name),
                None => groups.push((vec![name], operation)),
            }
        }
        for (methods, operation) in groups {
            let _ = write!(page, "\n### `{} {path}`\n\n", methods.join(", "));
            put_operation(page, document, operation);
        }
    }
}

fn put_operation(page: &mut String, document: &Value, operation: &Value) {
    page.push_str(text(&operation["summary"]));
    let description = text(&operation["description"]);
    let _ = write!(page, ".{}{description}", if description.is_empty() { "" } else { " " });
    if let Some(body) = operation.get("requestBody") {
        let body = resolve(document, body);
        let _ = write!(page, " Body: {}", schemas(body));
        let _ = write!(page, "{}", text(&body["description"]));
    }
    page.push_str("\n\n");
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut rows = String::new();
    for parameter in parameters.map(|parameter| resolve(document, parameter)) {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        let _ = writeln!(rows, "| `{name}` | {place} | {} |", cell(&parameter["description"]));
    }
    if !rows.is_empty() {
        let _ = writeln!(page, "| parameter | in | |\n|---|---|---|\n{rows}");
    }
    page.push_str("| status | response |\n|---|---|\n");
    let mut responses: Vec<_> = members(&operation["responses"]).collect();
    responses.sort_by_key(|(status, _)| *status);
    for (status, response) in responses {
        let shared = text(&response["$ref"]).rsplit('/').next().unwrap_or_default();
        if EVERYWHERE.contains(&shared) {
            continue;
        }
        let status = if status == "default" { "other" } else { status };
        let response = resolve(document, response);
        let body = if shared.is_empty() { schemas(response) } else { String::new() };
        let _ = writeln!(page, "| {status} | {body}{} |", cell(&response["description"]));
    }
}

/// Returns links to the schemas of a body.
fn schemas(body: &Value) -> String {
    let mut links: Vec<String> = members(&body["content"])
        .filter_map(|(_, content)| {
            let schema = &content["schema"];
            let first = schema["anyOf"].get(0).unwrap_or(schema);
            text(&first["$ref"]).rsplit('/').next()
        })
        .filter(|name| !["", "Data", "Text", "Page", "Events", "Done"].contains(name))
        .map(|name| format!("[{name}](#{})", name.to_ascii_lowercase()))
        .collect();
    links.dedup();
    if links.is_empty() { String::new() } else { format!("{}. ", links.join(", ")) }
}

fn put_schemas(page: &mut String, documents: &[Value]) {
    let all = documents.iter().flat_map(|it| members(&it["components"]["schemas"]));
    let all: BTreeMap<&str, &Value> = all.collect();
    for (name, schema) in all {
        if schema["properties"].is_null() {
            continue;
        }
        let _ = write!(page, "\n### {name}\n\n");
        let description = text(&schema["description"]);
        if !description.is_empty() {
            let _ = write!(page, "{description}\n\n");
        }
        page.push_str("| member | value | |\n|---|---|---|\n");
        put_members(page, "", schema);
    }
}

/// Writes the members of an object, and of objects in it, after the names of the outer ones.
fn put_members(page: &mut String, outer: &str, schema: &Value) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (name, member) in members(&schema["properties"]) {
        let must = required.iter().any(|required| *required == name);
        let optional = if must || !outer.is_empty() { "" } else { ", optional" };
        let kind = kind(member);
        let _ = writeln!(
            page,
            "| `{outer}{name}` | {kind}{optional} | {} |",
            cell(&member["description"])
        );
        put_members(page, &format!("{outer}{name}."), member);
    }
}

/// Returns the type of a value.
fn kind(schema: &Value) -> String {
    if let Some(name) = text(&schema["$ref"]).rsplit('/').next().filter(|name| !name.is_empty()) {
        return match name {
            "StreamId" | "State" | "Time" | "HeaderFields" => name.to_owned(),
            _ => format!("[{name}](#{})", name.to_ascii_lowercase()),
        };
    }
    if let Some(kinds) = schema["anyOf"].as_array() {
        return kinds.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let values = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    let values: Vec<_> = values.map(|value| format!("`{}`", text(value))).collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    let types = schema["type"].as_array();
    let types: Vec<_> =
        types.map_or_else(|| vec![text(&schema["type"])], |it| it.iter().map(text).collect());
    let mut kind = types.join(" or ");
    match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(least), Value::Number(most)) if most.as_u64() < Some(1 << 32) => {
            let _ = write!(kind, ", {least} to {most}");
        }
        (Value::Number(least), _) => _ = write!(kind, ", {least} or more"),
        _ => {}
    }
    if let Some(default) = schema.get("default") {
        let _ = write!(
            kind,
            ", default `{}`",
            default.as_str().map_or(default.to_string(), str::to_owned)
        );
    }
    if kind.is_empty() { "any".to_owned() } else { kind }
}

fn put_errors(page: &mut String, documents: &[Value]) {
    let row = |status: &str, error: &Value| {
        let (name, message) = (text(&error["name"]), cell(&error["message"]));
        format!("| {status} | `{name}` | {message} |")
    };
    let mut rows: BTreeSet<String> = BTreeSet::new();
    for document in documents {
        let operations = members(&document["paths"]).flat_map(|(_, item)| members(item));
        for (status, response) in operations.flat_map(|(_, it)| members(&it["responses"])) {
            let errors = &resolve(document, response)["content"]["application/json"]["examples"];
            rows.extend(members(errors).map(|(_, example)| row(status, &example["value"])));
        }
    }
    for failure in &super::errors::ELSEWHERE {
        let error = json!({ "name": failure.name(), "message": failure.message() });
        rows.insert(row(&failure.status().to_string(), &error));
    }
    page.push_str(&rows.into_iter().map(|row| row + "\n").collect::<String>());
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = text(&value["$ref"]).strip_prefix('#');
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns a text as a cell of a table.
fn cell(value: &Value) -> String {
    text(value).replace('|', "\\|")
}

fn title(word: &str) -> String {
    super::document::capitalized(word)
}
