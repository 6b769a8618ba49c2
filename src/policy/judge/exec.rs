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
    if let Some(allowed) = rules.capabilities.as_ref().filter(|allowed| more & !allowed.value.0 != 0) {
        let beyond = Caps(more & !allowed.value.0);
        bench.refuse(allowed.line, "exec.capabilities", "--cap", beyond, allowed.value);
    }
    if let Some(users) =
        rules.users.as_ref().filter(|users| asked.uid != own.uid && !users.value.hold(asked.uid))
    {
        let allowed = format!("{} as the container, {}", own.uid, users.value);
        bench.refuse(users.line, "exec.users", "--user", asked.uid, allowed);
    }
    if bench.first && own.no_new_privs && !asked.no_new_privs {
        let field = "/process/noNewPrivileges";
        bench.refuse(0, "exec.no_new_privs", field, "false", "true, as the container has it");
    }
}
