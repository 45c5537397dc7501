//! The fenced blocks of docs/connector.md.

use std::path::Path;

/// The blocks of the section with this heading, in their order.
pub(crate) fn blocks(heading: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/connector.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(&format!("# {heading}\n")).expect("the heading");
    let section = section.split_once("\n##").map_or(section, |(section, _)| section);
    // Every other part is within a fence; it starts with its info string.
    let fenced = section.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

/// A text with these replacements, each of which must apply.
pub(crate) fn adapted(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in {text}");
        text.replace(from, to)
    })
}
