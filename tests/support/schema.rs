//! The part of JSON Schema that docs/*.schema.json use. A key that is not described counts as a
//! fault, and a keyword that is not known here is one of the test's.

#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;

/// Every way in which `value` is not what `schema` says, by its place.
struct Check<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

pub fn faults(root: &Value, value: &Value) -> Vec<String> {
    let mut check = Check { root, faults: vec![] };
    check.value(root, value, "");
    check.faults
}

impl Check<'_> {
    fn expect(&mut self, holds: bool, place: &str, rule: &str) {
        if !holds {
            self.faults.push(format!("{place}: {rule}"));
        }
    }

    fn value(&mut self, schema: &Value, value: &Value, place: &str) {
        for (keyword, rule) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" => {}
                "$ref" => {
                    let there = rule.as_str().unwrap().trim_start_matches('#');
                    let root = self.root;
                    self.value(root.pointer(there).unwrap(), value, place);
                }
                "anyOf" => {
                    let root = self.root;
                    let fits = |one: &Value| {
                        let mut check = Check { root, faults: vec![] };
                        check.value(one, value, place);
                        check.faults.is_empty()
                    };
                    let any = rule.as_array().unwrap().iter().any(fits);
                    self.expect(any, place, "anyOf");
                }
                "properties" => self.properties(rule, value, place),
                "required" => {
                    for key in rule.as_array().unwrap() {
                        let there = value.get(key.as_str().unwrap()).is_some();
                        self.expect(there, place, &format!("required {key}"));
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(rule, item, &format!("{place}/{index}"));
                    }
                }
                _ => self.expect(scalar(keyword, rule, value), place, keyword),
            }
        }
    }

    fn properties(&mut self, described: &Value, value: &Value, place: &str) {
        for (key, content) in value.as_object().into_iter().flatten() {
            let place = format!("{place}/{key}");
            match described.get(key) {
                Some(schema) => self.value(schema, content, &place),
                None => self.expect(false, &place, "is not described"),
            }
        }
    }
}

/// The keywords that look at one value; null meets those that are about its content.
fn scalar(keyword: &str, rule: &Value, value: &Value) -> bool {
    match keyword {
        "type" => match rule {
            Value::Array(types) => types.iter().any(|one| is_of_type(one, value)),
            one => is_of_type(one, value),
        },
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| is_hex_of(rule.as_str().unwrap(), text)),
        _ => panic!("the schema uses `{keyword}`, which this test does not know"),
    }
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the schema uses the type `{other}`, which this test does not know"),
    }
}

/// The one form of pattern that the schema has: a prefix and a number of hexadecimal digits.
fn is_hex_of(pattern: &str, text: &str) -> bool {
    let (prefix, rest) = pattern.trim_start_matches('^').split_once("[0-9a-f]{").unwrap();
    let length: usize = rest.trim_end_matches("}$").parse().unwrap();
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(prefix).is_some_and(|hex| hex.len() == length && hex.bytes().all(is_digit))
}
