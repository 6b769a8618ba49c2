//! What one call leaves in the audit log (docs/audit.md): an `intent` before anything starts,
//! and an `outcome` when it has ended, or in place of both where nothing started. There is a
//! log where the host's policy has a section `[audit]`.

use serde::Serialize;
use serde_json::{Value, json};

use super::judge;
use super::report::seccomp_digest;
use crate::audit::{Body, Caller, Log, Place};
use crate::cgroup::Counters;
use crate::draft::Draft;
use crate::error::{Call, Error, Kind, Result};
use crate::launch::{Ended, Outcome};
use crate::plan::{Plan, digest};
use crate::policy::{AuditRules, Destination, Mode, Policy, Recorded, Redacted, Verdict, trusted};
use crate::resolve::{Facts, Identity};
use crate::state::{self, State};
use crate::sys;
use crate::types::hex;

/// What stands for something that is not told.
const REDACTED: &str = "[redacted]";

/// One call's part of the log.
#[derive(Debug)]
pub struct Trail {
    log: Option<(Log, AuditRules)>,
    op: String,
    verb: &'static str,
    container: Option<String>,
    /// What was asked for, by whom, and what was said to it.
    asked: Body,
    begun: bool,
    ended: bool,
}

/// Whether an act may go on that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// As the policy says.
    AsRequired,
    /// It ends something, which is never held up.
    Never,
}

/// What a program used, at the most.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Peaks {
    /// Of the cgroup.
    pub memory_bytes: Option<u64>,
    /// Of its largest process.
    pub max_rss_bytes: Option<u64>,
    /// Tasks at once.
    pub pids: Option<u64>,
    /// CPU time.
    pub cpu_us: Option<u64>,
    /// From the start of the program.
    pub wall_us: Option<u64>,
    /// What was read of its stdout, where it was counted.
    pub stdout_bytes: Option<u64>,
    /// The same of stderr.
    pub stderr_bytes: Option<u64>,
}

impl Peaks {
    /// What was measured of a program that ran in the foreground.
    pub fn measured(ended: &Ended, after: &Counters) -> Self {
        Self {
            memory_bytes: after.memory_peak,
            max_rss_bytes: ended.rusage.map(|rusage| rusage.max_rss_kib.saturating_mul(1024)),
            pids: after.pids_peak,
            cpu_us: after.cpu_usage_us.or(ended.rusage.map(|rusage| rusage.user_us + rusage.system_us)),
            wall_us: Some(u64::try_from(ended.wall.as_micros()).unwrap_or(u64::MAX)),
            stdout_bytes: ended.bytes.first().copied().flatten(),
            stderr_bytes: ended.bytes.last().copied().flatten(),
        }
    }

    /// What a cgroup counted, where nobody measured the rest.
    pub fn of(counters: &Counters) -> Self {
        Self {
            memory_bytes: counters.memory_peak,
            pids: counters.pids_peak,
            cpu_us: counters.cpu_usage_us,
            ..Self::default()
        }
    }
}

impl Trail {
    /// For a call that is judged by this policy, if one stands.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: the log is required, and cannot be.
    pub fn under(policy: Option<&Policy>, verb: &'static str, container: Option<&str>) -> Result<Self> {
        let rules = policy.and_then(|policy| policy.audit.clone());
        let mut trail = Self::opened(rules, verb, container, Need::AsRequired)?;
        if let Some(policy) = policy.filter(|_| trail.is_on()) {
            let mode = match policy.mode {
                Mode::Enforce => "enforce",
                Mode::Audit => "audit",
            };
            let said = json!({"digests": policy.digests, "mode": mode, "profile": policy.profile});
            trail.asked.fields.insert("policy".to_owned(), said);
        }
        Ok(trail)
    }

    /// For a call that nothing judges: the log is the host's, and the call goes on without.
    pub fn of_host(verb: &'static str, container: &str) -> Self {
        let rules = judge::host_policy().map(|document| document.and_then(|document| document.audit));
        let opened = rules.and_then(|rules| Self::opened(rules, verb, Some(container), Need::Never));
        opened.unwrap_or_else(|error| {
            let trail = Self::nothing(verb, Some(container));
            trail.degraded(&error);
            trail
        })
    }

    /// Of a call that is refused because its policy cannot be trusted, read or understood. Where that is the
    /// host's, nobody knows where its log is: then it is the one at the default place, if one stands there.
    pub fn unjudged(verb: &'static str, container: Option<&str>) -> Self {
        let rules = judge::host_policy().map_or_else(
            |_| at_the_default_place(),
            |document| Ok(document.and_then(|document| document.audit)),
        );
        let opened = rules.and_then(|rules| Self::opened(rules, verb, container, Need::Never));
        opened.unwrap_or_else(|error| {
            let trail = Self::nothing(verb, container);
            trail.degraded(&error);
            trail
        })
    }

    /// Of a call that leaves nothing.
    pub fn nothing(verb: &'static str, container: Option<&str>) -> Self {
        let container = container.map(str::to_owned);
        Self {
            log: None,
            op: String::new(),
            verb,
            container,
            asked: Body::default(),
            begun: false,
            ended: false,
        }
    }

    fn opened(
        rules: Option<AuditRules>,
        verb: &'static str,
        container: Option<&str>,
        need: Need,
    ) -> Result<Self> {
        let mut trail = Self::nothing(verb, container);
        let Some(rules) = rules else { return Ok(trail) };
        let required = rules.required && need == Need::AsRequired;
        let made = log_of(&rules).and_then(|log| Ok((log, random_op(verb)?, Caller::read()?)));
        match made {
            Ok((log, op, caller)) => {
                (trail.log, trail.op) = (Some((log, rules)), op);
                trail.asked.fields.insert("caller".to_owned(), json!(caller));
                Ok(trail)
            }
            Err(error) if required => Err(refused(&error, rules.line)),
            Err(error) => {
                trail.degraded(&error);
                Ok(trail)
            }
        }
    }

    /// Whether there is a log.
    pub fn is_on(&self) -> bool {
        self.log.is_some()
    }

    /// The name of this call in the log, for the record of what it makes.
    pub fn op(&self) -> Option<String> {
        self.is_on().then(|| self.op.clone())
    }

    /// The container, where its name was not known from the start.
    pub fn of_container(&mut self, id: &str) {
        self.container = Some(id.to_owned());
    }

    /// What else was asked for.
    pub fn asks(&mut self, key: &str, value: Value) {
        if self.is_on() {
            self.asked.fields.insert(key.to_owned(), value);
        }
    }

    /// What was asked for, what was opened for it, and the verdict.
    pub fn judged(&mut self, draft: &Draft, facts: Option<&Facts>, verdict: &Verdict) {
        if !self.is_on() {
            return;
        }
        self.program(draft);
        self.asks("image_digest", json!(draft.root.image.as_ref().map(|image| &image.digest)));
        self.asks("binds", facts.map_or(json!([]), |facts| json!(binds(draft, facts))));
        let opened = facts.map(|facts| facts.root.iter().chain(facts.binds.iter().flatten()));
        if opened.into_iter().flatten().any(|pinned| pinned.identity.path.to_str().is_none()) {
            self.asks("altered", json!(["binds: not UTF-8"]));
        }
        self.said(verdict);
    }

    /// What the judge read, so that the launch can be judged again; `None` for one that JSON cannot say.
    ///
    /// # Errors
    /// None in practice: serde_json.
    pub fn keeps(&mut self, recorded: Option<&Recorded>) -> Result<()> {
        let json = recorded.map_or_else(|| Ok("null".to_owned()), Recorded::to_json);
        self.asked.judged = Some(json.map_err(|error| Error::internal(error.to_string()))?);
        Ok(())
    }

    /// The verdict.
    pub fn said(&mut self, verdict: &Verdict) {
        let hides = self.redacts(Redacted::Environment);
        let mut violations = json!(verdict.violations());
        for violation in violations.as_array_mut().into_iter().flatten() {
            if hides && violation.get("rule") == Some(&json!("process.environment")) {
                violation["asked"] = REDACTED.into();
            }
        }
        self.asks("verdict", json!({"kind": verdict.name(), "violations": violations}));
    }

    /// Whether this is kept out of the log.
    pub fn redacts(&self, what: Redacted) -> bool {
        self.log.as_ref().is_some_and(|(_, rules)| rules.redact.contains(&what))
    }

    /// The program's arguments, and the names of its environment variables: never their values.
    fn program(&mut self, draft: &Draft) {
        let Some(process) = &draft.process else { return };
        let hides = self.redacts(Redacted::Argv);
        let word = |(index, arg): (usize, &std::ffi::CString)| match hides && index > 0 {
            true => REDACTED.to_owned(),
            false => arg.to_string_lossy().into_owned(),
        };
        let argv: Vec<_> = process.args.iter().enumerate().map(word).collect();
        let name = |entry: &std::ffi::CString| match entry.to_string_lossy().split_once('=') {
            Some((name, _)) => name.to_owned(),
            None => entry.to_string_lossy().into_owned(),
        };
        let names =
            (!self.redacts(Redacted::Environment)).then(|| process.env.iter().map(name).collect::<Vec<_>>());
        self.asks("argv", json!(argv));
        self.asks("environment", json!(names));
    }

    /// Before anything starts.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: the policy requires the log, and it cannot be written. Otherwise
    /// what is missing comes back.
    pub fn intent(&mut self, plan: Option<&Plan>, need: Need) -> Result<Option<String>> {
        let Some((log, rules)) = &self.log else { return Ok(None) };
        if let Some(plan) = plan {
            self.asked.fields.insert("plan_digest".to_owned(), digest(plan).into());
            self.asked.fields.insert("seccomp_digest".to_owned(), json!(seccomp_digest(plan)));
        }
        let mut body = self.named();
        body.with(std::mem::take(&mut self.asked));
        let Err(error) = log.append("intent", &mut body) else {
            self.begun = true;
            return Ok(None);
        };
        let refused = (rules.required && need == Need::AsRequired).then(|| refused(&error, rules.line));
        // The outcome has all of it where no intent could be written.
        self.asked = body;
        match refused {
            Some(refused) => Err(refused),
            None => {
                self.degraded(&error);
                Ok(Some(format!("audit log: {error}")))
            }
        }
    }

    /// It lives on, and pinfold lets go of it.
    pub fn detached(&mut self, pid: i32) {
        self.write("detached", json!({"pid": pid}));
    }

    /// It ran, and this is how it ended.
    pub fn ran(&mut self, outcome: &Outcome, peaks: &Peaks) {
        self.write("outcome", json!({"outcome": outcome, "peaks": peaks}));
        self.ended = true;
    }

    /// A further program lives on in its container, and at most as long.
    pub fn let_go(&mut self) {
        self.write("outcome", json!({"outcome": {"kind": "let_go", "exit_code": null, "signal": null}}));
        self.ended = true;
    }

    /// It was done, and nothing of it goes on.
    pub fn done(&mut self) {
        self.write("outcome", json!({"outcome": {"kind": "done", "exit_code": null, "signal": null}}));
        self.ended = true;
    }

    /// Why it was not done, where nothing else has told its end.
    pub fn failed(&mut self, error: &Error) {
        if self.ended {
            return;
        }
        let outcome = json!(Outcome::of_failure(error.class()));
        self.write("outcome", json!({"outcome": outcome, "error": error.to_string()}));
        self.ended = true;
    }

    /// Either.
    pub fn end<T>(&mut self, did: Result<T>) -> Result<T> {
        match &did {
            Ok(_) if !self.ended => self.done(),
            Ok(_) => {}
            Err(error) => self.failed(error),
        }
        did
    }

    /// The end of a container that its maker had let go of, or that outlived it. Its exit code
    /// is known to whoever waits for it.
    pub fn container_ended(&self, state: &State, how: &str, counters: Option<&Counters>) {
        let (Some((log, _)), Some(op)) = (&self.log, &state.audit) else { return };
        let verb = op.split('-').next().unwrap_or_default();
        let body = json!({
            "op": op, "verb": verb, "container": state.id, "by": self.op,
            "outcome": {"kind": how, "exit_code": null, "signal": null},
            "peaks": counters.map(Peaks::of), "oom_kills": counters.and_then(|counters| counters.oom_kill),
        });
        if let Err(error) = log.append("outcome", &mut body_of(body)) {
            self.degraded(&error);
        }
    }

    /// A record after the intent: what has happened is not undone for want of it.
    fn write(&self, kind: &str, more: Value) {
        let Some((log, _)) = &self.log else { return };
        let mut body = self.named();
        if !self.begun {
            body.with(self.asked.clone());
        }
        body.with(body_of(more));
        if let Err(error) = log.append(kind, &mut body) {
            self.degraded(&error);
        }
    }

    fn named(&self) -> Body {
        body_of(json!({"op": self.op, "verb": self.verb, "container": self.container}))
    }

    /// What is missing is named, in `--log` or on stderr.
    fn degraded(&self, error: &Error) {
        crate::error::warn(format_args!("audit log: {error}"));
    }
}

fn body_of(fields: Value) -> Body {
    match fields {
        Value::Object(fields) => Body { fields, judged: None },
        _ => Body::default(),
    }
}

fn refused(error: &Error, line: u32) -> Error {
    let text = format!(
        "refused by policy: the audit log cannot be written (rule audit.required, {}:{line}): {error}",
        trusted::POLICY_FILE
    );
    let hint = error.hint_text().unwrap_or_else(|| "nothing is launched that cannot be recorded".to_owned());
    Error::new(Kind::PolicyRefused, text).hint(hint)
}

/// The log that these rules ask for.
///
/// # Errors
/// A user without a place for it.
pub fn log_of(rules: &AuditRules) -> Result<Log> {
    let place = || Place::of_caller(rules.path.as_deref(), state::is_a_users()?);
    let file = rules.destinations.contains(&Destination::File).then(place).transpose()?;
    Ok(Log::new(file, rules.destinations.contains(&Destination::Journald), rules.durable))
}

/// A log without rules of its own, where there is one.
fn at_the_default_place() -> Result<Option<AuditRules>> {
    let rules = AuditRules {
        line: 0,
        required: false,
        durable: false,
        path: None,
        destinations: vec![Destination::File],
        redact: vec![],
    };
    let place = Place::of_caller(None, state::is_a_users()?)?;
    Ok(place.open_to_read()?.map(|_found| rules))
}

fn random_op(verb: &str) -> Result<String> {
    let mut bytes = [0_u8; 16];
    sys::random::fill(&mut bytes).call("getrandom")?;
    Ok(format!("{verb}-{}", hex(bytes)))
}

fn binds(draft: &Draft, facts: &Facts) -> Vec<Value> {
    // pinfold's own are what every sandbox shows of the host's /usr.
    let sources = draft.mounts.iter().zip(&facts.binds).filter(|(mount, _)| !mount.own);
    let sources = sources.filter_map(|(mount, pinned)| {
        Some(identity(&format!("{}/source", mount.field), &pinned.as_ref()?.identity))
    });
    let root = facts.root.iter().map(|root| identity("/root/path", &root.identity));
    root.chain(sources).collect()
}

fn identity(field: &str, found: &Identity) -> Value {
    let Identity { path, dev, ino, mnt_id, file_type, uid, gid, .. } = found;
    let kind = match *file_type {
        libc::S_IFDIR => "directory",
        libc::S_IFREG => "file",
        libc::S_IFSOCK => "socket",
        libc::S_IFIFO => "fifo",
        libc::S_IFCHR => "char",
        libc::S_IFBLK => "block",
        _ => "other",
    };
    let path = path.to_string_lossy();
    json!({"field": field, "path": path, "dev": dev, "ino": ino, "mnt_id": mnt_id, "type": kind, "uid": uid, "gid": gid})
}
