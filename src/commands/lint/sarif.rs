//! SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"): one run, all rules, a result
//! with region and JSON pointer for each finding.

use serde_json::{Value, json};

use super::Placed;
use crate::cli::version;
use crate::error::Result;
use crate::lint::{Severity, rules};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn sarif(config: &str, found: &[Placed]) -> Result<String> {
    let rules = rules();
    let descriptors: Vec<_> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "help": { "text": rule.fix },
                "defaultConfiguration": { "level": level(rule.severity) },
                "properties": { "security-severity": score(rule.severity), "tags": ["security"] },
            })
        })
        .collect();
    let index = |id: &str| rules.iter().position(|rule| rule.id == id);
    let uri = super::uri(config);
    let results: Vec<_> = found.iter().map(|one| result(one, index(one.id), &uri)).collect();
    super::json(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "pinfold lint",
                "version": version::PINFOLD,
                "rules": descriptors,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn result(one: &Placed, index: Option<usize>, uri: &str) -> Value {
    json!({
        "ruleId": one.id,
        "ruleIndex": index,
        "level": level(one.severity),
        "message": { "text": format!("{}: {}. Fix: {}", one.title, one.reason, one.fix) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri },
                "region": one.region,
            },
            "logicalLocations": [{ "fullyQualifiedName": one.field }],
        }],
        "partialFingerprints": { "ruleAndField/v1": format!("{} {}", one.id, one.field) },
        "properties": { "severity": one.severity },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Note => "note",
    }
}

/// What code hosts sort by, in the bands of CVSS.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Note => "1.0",
    }
}
