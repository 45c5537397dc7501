use super::*;
use crate::api::route::table::TABLE;
use crate::api::{Failure, Route};
use crate::http::head::{FieldSlots, HeadLimits, Method, parse};
use crate::rendezvous::StreamState;
use serde_json::Value;
use std::collections::BTreeSet;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, target_bytes: 2048 };

/// Returns all operations of a document, with their paths and methods.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Returns everything that a document refers to.
fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    if let Some(reference) = value["$ref"].as_str() {
        found.insert(reference);
    }
    value.as_object().into_iter().flat_map(|it| it.values()).for_each(|it| references(it, found));
    value.as_array().into_iter().flatten().for_each(|it| references(it, found));
}

#[test]
fn each_operation_is_described_under_a_name_of_its_own() {
    for operators in [false, true] {
        let document = document(&Scope::complete(operators));
        let mut names = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name}");
            let summary = operation["summary"].as_str().unwrap();
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{method} {path}");
        }
    }
}

#[test]
fn the_document_has_the_methods_that_the_relay_allows() {
    let documents = [document(&Scope::complete(false)), document(&Scope::complete(true))];
    for row in &TABLE {
        for (document, methods) in documents.iter().zip([&row.public, &row.operators]) {
            let item = document["paths"].get(row.path);
            if methods.operations.is_empty() || row.resource.is_api() {
                assert_eq!(item.is_some(), row.resource.is_api() && !methods.allow.is_empty());
                continue;
            }
            let allowed = methods.allow.split(", ").filter(|name| *name != "OPTIONS");
            let allowed: BTreeSet<_> = allowed.map(str::to_ascii_lowercase).collect();
            let described = item.unwrap().as_object().unwrap().keys();
            let described = described.filter(|name| *name != "parameters").cloned().collect();
            assert_eq!(allowed, described, "{}", row.path);
        }
    }
}

#[test]
fn each_reference_has_its_component_and_each_component_a_reference() {
    for operators in [false, true] {
        let document = document(&Scope::complete(operators));
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let component = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(component.is_some(), "{reference}");
        }
        for (kind, components) in document["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys() {
                let reference = format!("#/components/{kind}/{name}");
                let used = found.contains(reference.as_str()) || kind == "securitySchemes";
                assert!(used, "{reference}");
            }
        }
    }
}

#[test]
fn what_is_not_served_is_not_described() {
    let all = Scope::complete(false);
    for (name, scope, absent) in [
        ("paths", Scope { paths: false, ..all.clone() }, "/p/{path}"),
        ("pages", Scope { pages: false, ..all.clone() }, "/s/{id}"),
        ("html", Scope { pages: false, ..all.clone() }, "text/html"),
        ("nodes", Scope { nodes: false, ..all.clone() }, "307"),
        ("other origins", Scope { cors: false, ..all.clone() }, "Access-Control-Allow-Origin"),
    ] {
        let absent = format!("\"{absent}\"");
        assert!(document(&all).to_string().contains(&absent), "{name}");
        assert!(!document(&scope).to_string().contains(&absent), "{name}");
    }
    let scope = Scope { too_busy_status: 529, request_id: Some("X-Id".into()), ..all };
    let document = document(&scope);
    for (path, method, operation) in operations(&document) {
        let responses = &operation["responses"];
        assert!(responses["529"].is_object() && responses["503"].is_null(), "{method} {path}");
    }
    assert!(document["paths"]["/ping"]["get"]["responses"]["200"]["headers"]["X-Id"].is_object());
}

#[test]
fn each_state_is_described() {
    let document = document(&Scope::complete(false));
    let states = StreamState::ALL.map(StreamState::name);
    assert_eq!(document["components"]["schemas"]["State"]["enum"], serde_json::json!(states));
}

#[test]
fn an_operation_is_found_at_its_path() {
    for row in &TABLE {
        for operation in row.public.operations {
            let path = row.path.replace("{id}", "0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0");
            let path = path.replace(['{', '}'], "");
            let text = format!("{} {path} HTTP/1.1\r\nHost: h\r\n\r\n", operation.method.name());
            let mut slots = FieldSlots::new();
            let head = parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
            let route = crate::api::route(&head, crate::api::Audience::Public { paths: true });
            assert!(!matches!(route, Route::Nothing | Route::NotAllowed(_)), "{text}: {route:?}");
            assert_ne!(operation.method, Method::Options, "it is added to all paths");
        }
    }
}

/// The number of a kind of failure. `None`: it is of `rdv source` only, has the name and status of
/// another one, or those that a client chose.
fn number(failure: &Failure) -> Option<usize> {
    Some(match failure {
        Failure::Unauthorized
        | Failure::BadSignature(_)
        | Failure::UnknownCoding
        | Failure::StreamEnded(_)
        | Failure::Reported(_)
        | Failure::BadFraming(_) => return None,
        Failure::Rejected(_) => 0,
        Failure::InvalidBody(_) => 1,
        Failure::BodyTooLarge(_) => 2,
        Failure::UploadTooLarge(_) => 3,
        Failure::SourceTooLarge(_) => 4,
        Failure::BodyBroken => 5,
        Failure::RequestTimeout(_) => 6,
        Failure::ExpectationFailed => 7,
        Failure::RequestIdInvalid => 8,
        Failure::RangeNotSupported => 9,
        Failure::NoTunnel => 10,
        Failure::SessionNotFound => 11,
        Failure::BadRoute => 12,
        Failure::MethodNotAllowed(_) => 13,
        Failure::StreamStarted => 14,
        Failure::Receipt(_) => 15,
        Failure::Denied(_) => 16,
        Failure::AlreadyConnected(_) => 17,
        Failure::PathTaken(_) => 18,
        Failure::BadPathRequest(_) => 19,
        Failure::Disconnected(_) => 20,
        Failure::Failed(_) => 21,
        Failure::SessionTimeout => 22,
        Failure::Stopping => 23,
        Failure::AgentNotFound => 24,
        Failure::AgentGone => 25,
        Failure::AgentTimeout => 26,
        Failure::AgentQueueTimeout => 27,
        Failure::AgentBroke(_) => 28,
        Failure::AgentCancelled => 29,
        Failure::NotText => 30,
        Failure::CallTooLarge(_) => 31,
        Failure::UpgradeRequired => 32,
        Failure::BadUpgrade(_) => 33,
        Failure::Token(_) => 34,
        Failure::AgentForbidden => 35,
        Failure::NoSuchApi => 36,
        Failure::SpareRefused => 37,
        Failure::TooBusy(_) => 38,
        Failure::Creation(_) => 39,
        Failure::Misdirected(_) => 40,
    })
}

#[test]
fn each_failure_is_described() {
    let of_operations = TABLE
        .iter()
        .flat_map(|row| [&row.public, &row.operators])
        .flat_map(|methods| methods.operations)
        .flat_map(|operation| operation.about.failures);
    let described: BTreeSet<_> = of_operations.chain(errors::all()).filter_map(number).collect();
    let missing: Vec<_> = (0..=40).filter(|number| !described.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?} of the numbers above");
}

#[test]
fn the_page_of_the_api_is_made_from_the_document() {
    let path = format!("{}/docs/api.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == markdown(),
        "docs/api.md is not what the document makes; make it again: rdv openapi --markdown > docs/api.md"
    );
}
