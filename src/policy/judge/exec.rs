//! `[exec]`: what a further program has beyond the container's own.

use super::Bench;
use crate::draft::Process;
use crate::policy::rules::Caps;

pub(super) fn beyond(bench: &mut Bench<'_>, own: &Process, asked: &Process) {
    let rules = &bench.layer.rules.exec;
    let sets = [
        (asked.bounding, own.bounding),
        (asked.caps.effective, own.caps.effective),
        (asked.caps.permitted, own.caps.permitted),
        (asked.caps.inheritable, own.caps.inheritable),
        (asked.ambient, own.ambient),
    ];
    let more = sets.iter().fold(0, |all, (asked, own)| all | (asked & !own));
    if let Some(allowed) = rules.capabilities.as_ref().filter(|_| more != 0) {
        let beyond = more & !allowed.value.0;
        let told = Caps(if beyond == 0 { more } else { beyond });
        bench.decide(beyond == 0, allowed.line, "exec.capabilities", "--cap", told, allowed.value);
    }
    if let Some(users) = rules.users.as_ref().filter(|_| asked.uid != own.uid) {
        let allowed = format!("{} as the container, {}", own.uid, users.value);
        let kept = users.value.hold(asked.uid);
        bench.decide(kept, users.line, "exec.users", "--user", asked.uid, allowed);
    }
    if bench.first && own.no_new_privs && !asked.no_new_privs {
        let field = "/process/noNewPrivileges";
        bench.refuse(0, "exec.no_new_privs", field, "false", "true, as the container has it");
    }
}
