//! A record has a bound, whatever a caller asks for: what is too long is cut, and `altered`
//! names what was.

use serde_json::{Value, json};

use super::record::Body;

/// Bytes of one text, and entries of one list.
const LONGEST_TEXT: usize = 2048;
const LONGEST_LIST: usize = 128;
/// What a record may take as JSON, so that with number, hashes and escapes it stays below the
/// longest line: a text may grow sixfold when it is escaped.
const LARGEST: usize = super::record::LONGEST - 1024;
/// What is left out first where all of it together is too much, after what the judge read.
const SPARE: [&str; 5] = ["argv", "changes", "binds", "verdict", "caller"];

/// Cuts what is too long. What the judge read is there whole, or left out: a part of it would be another launch.
pub fn bound(body: &mut Body) {
    let told = body.fields.shift_remove("altered").unwrap_or_default();
    let told = told.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut altered: Vec<String> = told.map(str::to_owned).collect();
    for (key, value) in body.fields.iter_mut() {
        cut(value, &Way { before: None, word: key, index: 0 }, &mut altered);
    }
    // Nearly every record is far from too much, and need not be written to know it.
    let each = body.fields.iter().map(|(key, value)| 6 * key.len() + most(value));
    let judged = body.judged.as_ref().map_or(0, String::len);
    if each.sum::<usize>() + 6 * judged > LARGEST {
        leave_out(body, &mut altered);
    }
    if !altered.is_empty() {
        altered.truncate(LONGEST_LIST);
        body.fields.insert("altered".to_owned(), json!(altered));
    }
}

fn leave_out(body: &mut Body, altered: &mut Vec<String>) {
    let null = || Some("null".to_owned());
    if size(body) > LARGEST && body.judged.is_some() && body.judged != null() {
        body.judged = null();
        altered.push("judged".to_owned());
    }
    for key in SPARE {
        if size(body) <= LARGEST {
            break;
        }
        if let Some(value) = body.fields.get_mut(key).filter(|value| !value.is_null()) {
            *value = Value::Null;
            altered.retain(|place| !place.starts_with(key));
            altered.push(key.to_owned());
        }
    }
}

/// As it is written in the end: every letter beyond ASCII as an escape of six bytes or twelve.
fn size(body: &Body) -> usize {
    let json = serde_json::to_string(&body.fields).unwrap_or_default();
    let letters = json.chars().chain(body.judged.iter().flat_map(|judged| judged.chars()));
    letters.map(|letter| if letter.is_ascii() { 1 } else { 6 * letter.len_utf16() }).sum()
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
    use crate::audit::record::{Head, LONGEST, fields, seal};

    fn bounded(value: Value, judged: Option<String>) -> Body {
        let mut body = Body { fields: value.as_object().unwrap().clone(), judged };
        bound(&mut body);
        body
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let value = json!({"kind": "intent", "argv": ["a", "b"], "caller": {"pid": 1}});
        let body = bounded(value.clone(), Some("{\"a\":[]}".to_owned()));
        assert_eq!((Value::Object(body.fields), body.judged.as_deref()), (value, Some("{\"a\":[]}")));
    }

    #[test]
    fn what_is_cut_is_named() {
        let long = "é".repeat(3000);
        let cut = bounded(json!({"argv": ["a", long], "binds": vec![1; 500]}), None).fields;
        assert_eq!(cut["altered"], json!(["argv/1", "binds"]));
        assert_eq!(cut["argv"][1].as_str().unwrap().len(), LONGEST_TEXT);
        assert_eq!(cut["binds"].as_array().unwrap().len(), LONGEST_LIST);
    }

    #[test]
    fn no_content_makes_a_line_longer_than_the_longest() {
        for text in ["x", "\u{1}", "é", "\u{1f600}", "\"", "\u{7f}"] {
            let many = vec![text.repeat(4000); 4000];
            let all = json!({
                "kind": "intent", "argv": many, "binds": many,
                "verdict": {"violations": many}, "changes": many, "caller": {"exe": text.repeat(9000)},
                "container": text.repeat(9000),
            });
            let body = bounded(all, Some(json!({"a": many, "b": many}).to_string()));
            assert_eq!(body.judged.as_deref(), Some("null"));
            let (line, _) = seal(&Head::nothing(), &fields(&body).unwrap());
            assert!(line.len() <= LONGEST, "{text:?}: {}", line.len());
        }
    }

    #[test]
    fn what_the_judge_read_is_left_out_before_anything_else_and_by_what_it_takes_in_the_end() {
        for (text, fits) in [("x", 60_000), ("é", 10_000), ("\u{1f600}", 5_000)] {
            for (many, left_out) in [(fits, false), (fits + fits / 10, true)] {
                let judged = json!({"a": text.repeat(many)}).to_string();
                let body = bounded(json!({"argv": ["a"]}), Some(judged.clone()));
                let expected = if left_out { "null".to_owned() } else { judged };
                assert_eq!(body.judged, Some(expected), "{text} {many}");
                assert_eq!(body.fields.get("altered"), left_out.then(|| json!(["judged"])).as_ref());
                assert_eq!(body.fields["argv"], json!(["a"]));
            }
        }
    }
}
