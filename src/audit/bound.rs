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
pub fn bound(body: &mut Map<String, Value>) {
    let told = body.shift_remove("altered").unwrap_or_default();
    let told = told.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut altered: Vec<String> = told.map(str::to_owned).collect();
    for (key, value) in body.iter_mut() {
        cut(value, &Way { before: None, word: key, index: 0 }, &mut altered);
    }
    // Nearly every record is far from too much, and need not be written to know it.
    let is_short = body.iter().map(|(key, value)| 6 * key.len() + most(value)).sum::<usize>() <= LARGEST;
    for key in if is_short { &[][..] } else { &SPARE } {
        if size(body) <= LARGEST {
            break;
        }
        if let Some(value) = body.get_mut(*key).filter(|value| !value.is_null()) {
            *value = Value::Null;
            altered.retain(|place| !place.starts_with(key));
            altered.push((*key).to_owned());
        }
    }
    if !altered.is_empty() {
        altered.truncate(LONGEST_LIST);
        body.insert("altered".to_owned(), json!(altered));
    }
}

/// As it is written in the end: every letter beyond ASCII as an escape of six bytes or twelve.
fn size(body: &Map<String, Value>) -> usize {
    let json = serde_json::to_string(body).unwrap_or_default();
    json.chars().map(|letter| if letter.is_ascii() { 1 } else { 6 * letter.len_utf16() }).sum()
}

/// At least what it is as JSON: a byte becomes at most six, and around each value there are a few.
fn most(value: &Value) -> usize {
    match value {
        Value::String(text) => 6 * text.len() + 4,
        Value::Array(list) => list.iter().map(most).sum::<usize>() + 4,
        Value::Object(map) => {
            map.iter().map(|(key, value)| 6 * key.len() + 4 + most(value)).sum::<usize>() + 4
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 32,
    }
}

/// Where a value stands: told only where it is cut.
struct Way<'a> {
    before: Option<&'a Self>,
    /// Its key; empty in a list.
    word: &'a str,
    index: usize,
}

impl Way<'_> {
    fn text(&self) -> String {
        let own = if self.word.is_empty() { self.index.to_string() } else { self.word.to_owned() };
        self.before.map_or(own.clone(), |before| format!("{}/{own}", before.text()))
    }
}

fn cut(value: &mut Value, way: &Way<'_>, altered: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => {
            let end = (0..=LONGEST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            altered.push(way.text());
        }
        Value::Array(list) => {
            if list.len() > LONGEST_LIST {
                list.truncate(LONGEST_LIST);
                altered.push(way.text());
            }
            for (index, entry) in list.iter_mut().enumerate() {
                cut(entry, &Way { before: Some(way), word: "", index }, altered);
            }
        }
        Value::Object(map) => {
            for (key, entry) in map.iter_mut() {
                cut(entry, &Way { before: Some(way), word: key, index: 0 }, altered);
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
        let mut body = value.as_object().unwrap().clone();
        bound(&mut body);
        body
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
