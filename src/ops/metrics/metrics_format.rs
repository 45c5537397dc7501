//! The two formats of metrics. `prometheus-client` writes OpenMetrics; older readers and `promtool
//! check metrics` need the preceding text format, which differs in a few comment lines.

use crate::http::negotiate;

/// A format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Classic,
}

impl MetricsFormat {
    /// Selects the format by the values of the `Accept` fields: OpenMetrics if it is named, as
    /// Prometheus does, with at least the weight of plain text; otherwise the classic format, which
    /// all clients read.
    pub fn accepted<'a>(accept_values: impl Iterator<Item = &'a [u8]>) -> Self {
        let (named, other) = (("application", "openmetrics-text"), ("text", "plain"));
        if negotiate::names_and_prefers(accept_values, named, other) {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// Returns the `Content-Type` of a response in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => super::CONTENT_TYPE,
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Converts OpenMetrics text to this format.
    pub fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Classic => classic(&open_metrics),
        }
    }
}

/// Converts OpenMetrics to the classic format. In OpenMetrics the samples of a counter end in
/// `_total` and its name does not; in the classic format both do. Units did not exist; `# EOF` is
/// an ordinary comment.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let renamed = match line.split(' ').collect::<Vec<_>>()[..] {
            ["#", "UNIT", ..] => continue,
            ["#", "TYPE", name, "counter"] => Some(name),
            ["#", "HELP", name, ..] if lines.peek().is_some_and(|next| is_counter(next, name)) => {
                Some(name)
            }
            _ => None,
        };
        match renamed {
            Some(name) => text.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn is_counter(line: &str, name: &str) -> bool {
    line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_prefix(name)) == Some(" counter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_like_their_samples_in_the_classic_format() {
        let open_metrics = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
             a_seconds_total 1.5\n# HELP b A counter in words only.\n# TYPE b gauge\nb 1\n# EOF\n";
        let classic = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\n\
             a_seconds_total 1.5\n# HELP b A counter in words only.\n# TYPE b gauge\nb 1\n# EOF\n";
        assert_eq!(MetricsFormat::Classic.of(open_metrics.into()), classic);
        assert_eq!(MetricsFormat::OpenMetrics.of(open_metrics.into()), open_metrics);
    }

    #[test]
    fn openmetrics_is_used_only_if_accepted_by_name() {
        for (name, accept, form) in [
            ("nothing", &[][..], MetricsFormat::Classic),
            ("anything", &["*/*"][..], MetricsFormat::Classic),
            ("a browser", &["text/html, */*;q=0.8"][..], MetricsFormat::Classic),
            (
                "Prometheus",
                &["application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.2"][..],
                MetricsFormat::OpenMetrics,
            ),
            (
                "not at all",
                &["application/openmetrics-text;q=0, text/plain;q=0"][..],
                MetricsFormat::Classic,
            ),
            (
                "never",
                &["*/*", "application/openmetrics-text; Q=0.000"][..],
                MetricsFormat::Classic,
            ),
            (
                "less",
                &["application/openmetrics-text;q=0.4, text/*;q=0.5"][..],
                MetricsFormat::Classic,
            ),
            ("a longer name", &["application/openmetrics-text2"][..], MetricsFormat::Classic),
            (
                "within quotes",
                &["text/plain;x=\"application/openmetrics-text\""][..],
                MetricsFormat::Classic,
            ),
            (
                "in capitals",
                &["text/plain", "Application/OpenMetrics-Text"][..],
                MetricsFormat::OpenMetrics,
            ),
        ] {
            assert_eq!(
                MetricsFormat::accepted(accept.iter().map(|a| a.as_bytes())),
                form,
                "{name}"
            );
        }
    }
}
