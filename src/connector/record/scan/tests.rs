//! What the scanner extracts from a line, compared with a parser.

use super::super::{Data, Record};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

#[derive(Default)]
struct Divided {
    skeleton: Vec<u8>,
    content: Vec<u8>,
}

impl PartSinks for Divided {
    fn skeleton(&mut self, bytes: &[u8]) -> Result<(), super::super::ReadError> {
        self.skeleton.extend_from_slice(bytes);
        Ok(())
    }

    fn content(&mut self, text: &[u8]) -> Result<(), super::super::ReadError> {
        self.content.extend_from_slice(text);
        Ok(())
    }
}

/// Values that look like the content, in other places.
const DECOYS: [&str; 8] = [
    r#"{"after":"AAAA","payload":{"after":"BBBB"}}"#,
    r#"[{"payload":{"after":"AAAA"}},"after","payload"]"#,
    r#""after""#,
    r#""\\\"payload\\""#,
    r#"{"a":["]","}",{"after":[]}]}"#,
    "1e5",
    "null",
    "[]",
];

/// Spellings of the name and the value of the content.
const AFTERS: [&str; 8] = [
    r#""after":"Zm9v""#,
    r#""after" : "Z\u006d9v""#,
    r#""\u0061fter":"\u005am9v""#,
    r#""after":"""#,
    r#""after":null"#,
    r#""after":{"after":"Zm9v"}"#,
    r#""before":null"#,
    r#""after":"\/\/\/\/""#,
];

proptest! {
    #[test]
    fn only_the_payload_is_extracted(
        decoys in prop::array::uniform4(0..DECOYS.len()),
        after in 0..AFTERS.len(),
        first in any::<bool>(),
        piece in 1..20_usize,
    ) {
        let [a, b, c, d] = decoys.map(|decoy| DECOYS[decoy]);
        let after = AFTERS[after];
        let inner = if first { format!("{after},\"x\":{a}") } else { format!("\"x\":{a}, {after}") };
        let line = format!(
            r#"{{"y":{b},"position":"cA==","operation":"create","z":{c},"payload":{{{inner}}},"w":{d}}}"#
        );
        let (mut scanner, mut divided) = (Scanner::default(), Divided::default());
        for piece in line.as_bytes().chunks(piece) {
            scanner.feed(piece, &mut divided).unwrap();
        }
        prop_assert!(!scanner.in_content());
        let whole = Record::parse(line.as_bytes()).unwrap().payload.after;
        let skeleton = Record::parse(&divided.skeleton).unwrap().payload.after;
        match whole {
            Some(Data::Raw(bytes)) => {
                prop_assert_eq!(skeleton, Some(Data::Raw(Vec::new())));
                prop_assert_eq!(STANDARD.decode(&divided.content).unwrap(), bytes);
            }
            other => {
                prop_assert_eq!(skeleton, other);
                prop_assert_eq!(String::from_utf8(divided.skeleton).unwrap(), line);
            }
        }
    }
}

#[test]
fn invalid_json_is_scanned_without_a_panic() {
    for text in
        ["}}}]]]{{{", "\"\\", "{\"payload\":{\"after\":\"\\u12", "{\"payload\":{\"after\":\"\\"]
    {
        let _ = Scanner::default().feed(text.as_bytes(), &mut Divided::default());
    }
}
