//! Consistency of promtool, the table of all metrics and the dashboard with the output.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{
    Authority, Framing, Observed, TokenFile, Wire, ask, certified, https_address,
};

/// A relay with non-zero counters in every family.
fn busy_relay() -> Observed {
    let tokens = TokenFile::new(&[("ci", "list", "hush")]);
    let flags = ["--max-streams", "2", "--max-unjoined-streams-per-address", "2"];
    let guarded = ["--tokens", tokens.path(), "--require", "list"];
    let (authority, clients) = (Authority::new(), Authority::named("clients"));
    let (own, client) = (authority.server("localhost"), clients.client("ci"));
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let files = [text(own.certificate()), text(own.key()), text(&clients.file())];
    let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", &files[0], "--tls-key", &files[1]];
    let certified_by = ["--tls-client-ca", &files[2]];
    let relay = Observed::start(&[&flags[..], &guarded, &tls, &certified_by].concat());
    let config = certified(&authority, &client);
    let mut encrypted = Wire::encrypted(https_address(&relay), config);
    assert_eq!(encrypted.exchange(&ask("GET", "/ping")).status(), 200);
    relay.exchange(&ask("GET", "/stream").field("Authorization", "Bearer hush"));
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    pair.complete();
    relay.create();
    relay.create();
    assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503);
    relay
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The output of `promtool check metrics` for a text.
fn promtool_errors(text: &str) -> String {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        panic!("this test needs promtool(1): install the package `prometheus`");
    };
    let mut stdin = promtool.stdin.take().expect("stdin");
    stdin.write_all(text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { printed } else { format!("{}: {printed}", output.status) }
}

#[test]
fn promtool_accepts_the_metrics() {
    let scrape = busy_relay().scrape();
    assert_eq!(promtool_errors(&scrape.0), "", "of\n{}", scrape.0);
}

#[test]
fn promtool_rejects_invalid_metrics() {
    for (name, text) in [
        ("no help", "# TYPE rdv_a gauge\nrdv_a 1\n"),
        ("a counter without its end", "# HELP rdv_a A.\n# TYPE rdv_a counter\nrdv_a 1\n"),
        ("no text at all", "{\n"),
    ] {
        assert_ne!(promtool_errors(text), "", "{name}");
    }
}

#[test]
fn openmetrics_is_sent_only_if_accepted() {
    let relay = busy_relay();
    for (name, accept, kind, total) in [
        ("nothing", None, "text/plain; version=0.0.4; charset=utf-8", "counter"),
        ("anything", Some("*/*"), "text/plain; version=0.0.4; charset=utf-8", "counter"),
        (
            "Prometheus",
            Some("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"),
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "unit",
        ),
    ] {
        let ask =
            accept.iter().fold(ask("GET", "/metrics"), |ask, accept| ask.field("Accept", accept));
        let answer = relay.admin_exchange(&ask);
        assert_eq!(answer.head.get("Content-Type"), Some(kind), "{name}");
        let text = answer.text();
        assert!(text.ends_with("\n# EOF\n"), "{name}: {text}");
        let classic = text.contains("# TYPE rdv_relayed_bytes_total counter\n");
        let open =
            text.contains("# TYPE rdv_relayed_bytes counter\n# UNIT rdv_relayed_bytes bytes\n");
        assert_eq!((classic, open), (total == "counter", total == "unit"), "{name}: {text}");
        assert!(text.contains("\nrdv_relayed_bytes_total{path=\"copied\"} 5\n"), "{name}: {text}");
    }
}

/// One line of the table of all metrics: name, type, labels, meaning.
type Row = [String; 4];

/// The rows required by the output.
fn rendered_rows(text: &str) -> BTreeSet<Row> {
    let of = |kind: &'static str| {
        text.lines().filter_map(move |line| line.strip_prefix(kind)?.split_once(' '))
    };
    of("# HELP ")
        .map(|(name, help)| {
            let kind = of("# TYPE ").find(|(typed, _)| *typed == name).expect("a type").1;
            let help = help.trim_end_matches('.');
            [name, kind, &labels_of(text, name), help].map(str::to_owned)
        })
        .collect()
}

/// The labels of a metric, each in backticks; `le` is a part of histograms.
fn labels_of(text: &str, name: &str) -> String {
    let series = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let labels = series.map_or("", |rest| rest.split('}').next().unwrap_or_default());
    let names = labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_documented_metrics_match_the_rendered_ones() {
    let page = page("docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let documented: Vec<Row> = rows
        .filter_map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, meaning] = cells[..] else { return None };
            Some([name.trim_matches('`'), kind, labels, meaning].map(str::to_owned))
        })
        .collect();
    let distinct: BTreeSet<Row> = documented.iter().cloned().collect();
    assert_eq!(distinct.len(), documented.len(), "each metric has one row");
    let rendered = rendered_rows(&busy_relay().scrape().0);
    let missing: Vec<_> = rendered.difference(&distinct).collect();
    let stale: Vec<_> = distinct.difference(&rendered).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:#?}\nstale: {stale:#?}");
}

#[test]
fn every_value_of_a_label_is_documented() {
    let page = page("docs/metrics.md");
    let scrape = busy_relay().scrape();
    for line in scrape.0.lines().filter(|line| line.starts_with("rdv_") && !line.contains("le=")) {
        let Some((_, labels)) = line.split_once('{') else { continue };
        if line.starts_with("rdv_build_info") {
            continue;
        }
        for value in labels.split('"').skip(1).step_by(2) {
            assert!(page.contains(&format!("`{value}`")), "docs/metrics.md names no `{value}`");
        }
    }
}

/// All queries in a dashboard.
fn queries(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let own = members.iter().filter(|(name, _)| ["expr", "query"].contains(&name.as_str()));
            let own = own.filter_map(|(_, value)| value.as_str());
            own.chain(members.values().flat_map(queries)).collect()
        }
        Value::Array(values) => values.iter().flat_map(queries).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn the_dashboard_queries_existing_metrics() {
    let dashboard = crate::support::parse(page("deploy/grafana-dashboard.json").as_bytes());
    let scrape = busy_relay().scrape();
    let samples: BTreeSet<&str> = scrape.samples().into_iter().collect();
    let queries = queries(&dashboard);
    assert!(queries.len() >= 10, "{queries:?}");
    let mut required = BTreeSet::new();
    for query in queries {
        let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names = words.filter(|word| word.starts_with("rdv_") || word.starts_with("process_"));
        for name in names {
            assert!(samples.contains(name), "{name} of {query:?} does not exist");
            required.insert(name);
        }
    }
    for name in samples.iter().filter(|name| name.starts_with("rdv_") && name.ends_with("_total")) {
        assert!(required.contains(name), "the dashboard does not show {name}");
    }
}
