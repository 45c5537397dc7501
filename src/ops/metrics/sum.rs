//! The metrics of several workers as one text: samples with the same name and labels are added.

use std::fmt::Write as _;

/// Adds the samples of `others` to a text in OpenMetrics. Series and families that only others have
/// follow: a family without a series is not in a text.
pub(super) fn add(text: &str, others: &[String]) -> String {
    let mut more: Vec<(&str, Vec<&str>)> =
        others.iter().flat_map(|other| families(other)).collect();
    let mut sum = String::with_capacity(text.len() + 1024);
    for (name, lines) in families(text) {
        write_family(&mut sum, &lines, &take(&mut more, name));
    }
    while let Some(name) = more.first().map(|(name, _)| *name) {
        let mut same = take(&mut more, name);
        let first = same.remove(0);
        write_family(&mut sum, &first, &same);
    }
    sum.push_str("# EOF\n");
    sum
}

/// Takes the lines of a family, by the text that has them.
fn take<'t>(families: &mut Vec<(&'t str, Vec<&'t str>)>, name: &str) -> Vec<Vec<&'t str>> {
    families.extract_if(.., |(other, _)| *other == name).map(|(_, lines)| lines).collect()
}

/// Writes a family, with the samples that others have of it.
fn write_family(sum: &mut String, lines: &[&str], others: &[Vec<&str>]) {
    let mut added: Vec<Sample<'_>> =
        others.iter().flatten().filter_map(|line| sample(line)).collect();
    for line in lines {
        let Some((series, value)) = sample(line) else {
            let _ = writeln!(sum, "{line}");
            continue;
        };
        let same = added.extract_if(.., |(other, _)| *other == series).map(|(_, value)| value);
        let total = same.fold(value, |total, value| total + value);
        let _ = writeln!(sum, "{series} {total}");
    }
    write_new(sum, added);
}

/// Writes the series that the text did not have.
fn write_new(sum: &mut String, mut added: Vec<Sample<'_>>) {
    while let Some((series, value)) = added.first().copied() {
        let same = added.extract_if(.., |(other, _)| *other == series).skip(1);
        let total = same.fold(value, |total, (_, value)| total + value);
        let _ = writeln!(sum, "{series} {total}");
    }
}

/// A series, and its value.
type Sample<'t> = (&'t str, f64);

fn sample(line: &str) -> Option<Sample<'_>> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((series, value.parse().ok()?))
}

/// Returns the families of a text, each with its name and all its lines.
fn families(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let begins = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next());
        if let Some(name) = begins {
            all.push((name, Vec::new()));
        }
        if let Some((_, lines)) = all.last_mut() {
            lines.push(line);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_the_same_series_are_added() {
        let text = "# HELP a A.\n# TYPE a counter\na_total{x=\"1 2\"} 1\na_total{x=\"3\"} 5\n\
                    # HELP b B.\n# TYPE b gauge\nb 0.5\n\
                    # HELP c C.\n# TYPE c histogram\nc_sum 0.25\nc_bucket{le=\"+Inf\"} 2\n# EOF\n";
        let one = "# HELP a A.\n# TYPE a counter\na_total{x=\"3\"} 2\na_total{x=\"4\"} 7\n\
                   # HELP c C.\n# TYPE c histogram\nc_sum 0.5\nc_bucket{le=\"+Inf\"} 3\n# EOF\n";
        let other = "# HELP a A.\n# TYPE a counter\na_total{x=\"4\"} 1\n# EOF\n";
        let sum = "# HELP a A.\n# TYPE a counter\na_total{x=\"1 2\"} 1\na_total{x=\"3\"} 7\n\
                   a_total{x=\"4\"} 8\n# HELP b B.\n# TYPE b gauge\nb 0.5\n\
                   # HELP c C.\n# TYPE c histogram\nc_sum 0.75\nc_bucket{le=\"+Inf\"} 5\n# EOF\n";
        assert_eq!(add(text, &[one.into(), other.into()]), sum);
        let only_c = "# HELP c C.\n# TYPE c counter\nc_total 2\n# EOF\n";
        let both =
            "# HELP b B.\n# TYPE b gauge\nb 1\n# HELP c C.\n# TYPE c counter\nc_total 4\n# EOF\n";
        let only_b = "# HELP b B.\n# TYPE b gauge\nb 1\n# EOF\n";
        assert_eq!(add(only_b, &[only_c.into(), only_c.into()]), both);
        assert_eq!(add(text, &[]), text);
    }
}
