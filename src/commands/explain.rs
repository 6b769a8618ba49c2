//! `explain`: the Plan in words, the same that a launch walks, with its digest.

use crate::plan::{Plan, digest};

/// One line per step.
pub fn render(plan: &Plan, degraded: &[String]) -> String {
    let mut text = format!("plan {}\n", digest(plan));
    text.push_str(&format!("clone3 flags={:#x}\n", plan.clone_flags));
    for (index, planned) in plan.steps.iter().enumerate() {
        let field = if planned.field.is_empty() { "-" } else { &planned.field };
        text.push_str(&format!("{index:3} {} [{field}]\n", planned.step.describe()));
    }
    for (resource, soft, hard) in &plan.parent.rlimits {
        text.push_str(&format!("    parent: rlimit {resource} soft={soft} hard={hard}\n"));
    }
    for missing in degraded {
        text.push_str(&format!("degraded: {missing}\n"));
    }
    text
}
