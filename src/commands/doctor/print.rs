//! The verdict for people and for programs.

use serde_json::{Value, json};

use super::verdict::{Check, State, Weight, ready};
use crate::error::{Error, Result};

/// Version of the JSON form; a field may be added without a new number.
const FORMAT: u32 = 1;

/// One line per check, a fix below each that failed, and the sum.
pub(super) fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        text.push_str(&format!("{:<8} {:<18} {}\n", word(check), check.name, check.found));
        if let State::Missing(fix) = &check.state {
            for (number, line) in fix.lines().enumerate() {
                let lead = if number == 0 { "fix: " } else { "     " };
                text.push_str(&format!("         {lead}{line}\n"));
            }
        }
    }
    text.push_str(sum(checks));
    text
}

fn word(check: &Check) -> &'static str {
    match (&check.state, check.weight) {
        (State::Good, _) => "ok",
        (State::Missing(_), Weight::Required) => "MISSING",
        (State::Missing(_), Weight::Default) => "degraded",
        (State::Missing(_), Weight::Optional) => "absent",
    }
}

fn sum(checks: &[Check]) -> &'static str {
    let degraded = checks.iter().any(|check| word(check) == "degraded");
    match (ready(checks), degraded) {
        (true, false) => "\npinfold sandbox works here with all its defaults.\n",
        (true, true) => {
            "\npinfold sandbox works here, but what is marked degraded is given up; --strict refuses.\n"
        }
        (false, _) => "\npinfold sandbox cannot work here: mend what is marked MISSING.\n",
    }
}

/// One JSON object with everything that the text has.
pub(super) fn json(checks: &[Check]) -> Result<String> {
    let list = checks.iter().map(entry).collect::<Vec<_>>();
    let document = json!({ "format": FORMAT, "ready": ready(checks), "checks": list });
    let text = serde_json::to_string_pretty(&document).map_err(|error| Error::internal(error.to_string()))?;
    Ok(text + "\n")
}

fn entry(check: &Check) -> Value {
    let weight = match check.weight {
        Weight::Required => "required",
        Weight::Default => "default",
        Weight::Optional => "optional",
    };
    let fix = match &check.state {
        State::Good => Value::Null,
        State::Missing(fix) => json!(fix),
    };
    json!({
        "name": check.name,
        "ok": check.state == State::Good,
        "weight": weight,
        "found": check.found,
        "fix": fix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weight: Weight, state: State) -> Check {
        Check { name: "x", found: "y".to_owned(), weight, state }
    }

    #[test]
    fn every_line_of_a_fix_stands_below_its_check() {
        let text = text(&[check(Weight::Required, State::Missing("a\nb".to_owned()))]);
        let lines = text.lines().collect::<Vec<_>>();
        assert_eq!(lines[0], "MISSING  x                  y");
        assert_eq!(lines[1..3], ["         fix: a", "              b"]);
        assert!(lines[4].contains("cannot work"));
    }

    #[test]
    fn the_sum_follows_from_the_checks() {
        let missing = || State::Missing("a".to_owned());
        let rows = [
            (Weight::Default, State::Good, "all its defaults"),
            (Weight::Optional, missing(), "all its defaults"),
            (Weight::Default, missing(), "--strict refuses"),
            (Weight::Required, missing(), "cannot work"),
        ];
        for (weight, state, words) in rows {
            assert!(sum(&[check(weight, state)]).contains(words), "{words}");
        }
    }

    #[test]
    fn the_json_says_the_same() {
        let checks =
            [check(Weight::Default, State::Missing("a".to_owned())), check(Weight::Required, State::Good)];
        let value: Value = serde_json::from_str(&json(&checks).unwrap()).unwrap();
        assert_eq!(value["ready"], true);
        let expected = json!({ "name": "x", "ok": false, "weight": "default", "found": "y", "fix": "a" });
        assert_eq!(value["checks"][0], expected);
        assert_eq!(value["checks"][1]["fix"], Value::Null);
    }
}
