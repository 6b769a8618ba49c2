//! A record has a bound, whatever a caller asks for: what is too long is cut, and `altered`
//! names what was.

use serde_json::{Map, Value, json};

/// Bytes of one text, and entries of one list.
const LONGEST_TEXT: usize = 2048;
const LONGEST_LIST: usize = 128;
/// What a record may take as JSON, so that with number, hashes and escapes it stays below the
/// longest line: a text may grow sixfold when it is escaped.
const LARGEST: usize = super::record::LONGEST - 1024;
/// What is left out first where all of it together is too much.
const SPARE: [&str; 6] = ["judged", "argv", "changes", "binds", "verdict", "caller"];

/// Cuts what is too long.
pub fn bound(mut body: Map<String, Value>) -> Map<String, Value> {
    let told = body.shift_remove("altered").unwrap_or_default();
    let told = told.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut altered: Vec<String> = told.map(str::to_owned).collect();
    for (key, value) in &mut body {
        cut(value, key, &mut altered);
    }
    for key in SPARE {
        if size(&body) <= LARGEST {
            break;
        }
        if let Some(value) = body.get_mut(key).filter(|value| !value.is_null()) {
            *value = Value::Null;
            altered.retain(|place| !place.starts_with(key));
            altered.push(key.to_owned());
        }
    }
    if !altered.is_empty() {
        altered.truncate(LONGEST_LIST);
        body.insert("altered".to_owned(), json!(altered));
    }
    body
}

/// As it is written in the end: every letter beyond ASCII as an escape of six bytes or twelve.
fn size(body: &Map<String, Value>) -> usize {
    let json = serde_json::to_string(body).unwrap_or_default();
    json.chars().map(|letter| if letter.is_ascii() { 1 } else { 6 * letter.len_utf16() }).sum()
}

fn cut(value: &mut Value, place: &str, altered: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => {
            let end = (0..=LONGEST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            altered.push(place.to_owned());
        }
        Value::Array(list) => {
            if list.len() > LONGEST_LIST {
                list.truncate(LONGEST_LIST);
                altered.push(place.to_owned());
            }
            for (index, entry) in list.iter_mut().enumerate() {
                cut(entry, &format!("{place}/{index}"), altered);
            }
        }
        Value::Object(map) => {
            for (key, entry) in map.iter_mut() {
                cut(entry, &format!("{place}/{key}"), altered);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Head, LONGEST, seal};

    fn record(value: Value) -> Map<String, Value> {
        bound(value.as_object().unwrap().clone())
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let value = json!({"kind": "intent", "argv": ["a", "b"], "caller": {"pid": 1}});
        assert_eq!(Value::Object(record(value.clone())), value);
    }

    #[test]
    fn what_is_cut_is_named() {
        let long = "é".repeat(3000);
        let cut = record(json!({"argv": ["a", long], "binds": vec![1; 500]}));
        assert_eq!(cut["altered"], json!(["argv/1", "binds"]));
        assert_eq!(cut["argv"][1].as_str().unwrap().len(), LONGEST_TEXT);
        assert_eq!(cut["binds"].as_array().unwrap().len(), LONGEST_LIST);
    }

    #[test]
    fn no_content_makes_a_line_longer_than_the_longest() {
        for text in ["x", "\u{1}", "é", "\u{1f600}", "\"", "\u{7f}"] {
            let many = vec![text.repeat(4000); 4000];
            let all = json!({
                "kind": "intent", "argv": many, "binds": many, "judged": {"a": many, "b": many},
                "verdict": {"violations": many}, "changes": many, "caller": {"exe": text.repeat(9000)},
                "container": text.repeat(9000),
            });
            let (line, _) = seal(&Head::nothing(), &record(all)).unwrap();
            assert!(line.len() <= LONGEST, "{text:?}: {}", line.len());
        }
    }
}
