//! Templates: `{{name}}` in a file is replaced by the escaped value of that name.

use super::file;

/// Fills in a template; every name in it must be among the values.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let bytes = file(template).map_or(&[][..], |file| file.bytes);
    let text = str::from_utf8(bytes).unwrap_or_default();
    debug_assert!(!text.is_empty(), "{template} is embedded, and UTF-8");
    let mut page = String::with_capacity(text.len() + 512);
    let mut parts = text.split("{{");
    page.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        debug_assert!(value.is_some(), "{template} needs a value of {name}");
        escape(value.map_or("", |(_, value)| value), &mut page);
        page.push_str(rest);
    }
    page
}

/// Appends text so that it is text in HTML, in an element or between quotes (HTML Standard 13.1.2).
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_only_text() {
        let mut page = String::new();
        escape("<script src='//x'>&\"</script>", &mut page);
        assert_eq!(page, "&lt;script src=&#39;//x&#39;&gt;&amp;&quot;&lt;/script&gt;");
    }
}
