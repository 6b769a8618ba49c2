//! The host's policy at the door: loaded once per call, asked for the ways to each object,
//! and for the verdict. What the verbs share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::trail::Trail;
use super::{caller, entry, log, text_file};
use crate::cgroup::Limits;
use crate::cli::Global;
use crate::draft::{Draft, DraftHook, PROFILE, Process};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Grants;
use crate::policy::{
    self, Around, Decision, Document, Policy, Recorded, Redacted, Request, Verb, Verdict, compiled, trusted,
};
use crate::resolve::{self, Facts};
use crate::state::{BindIdentity, BindKind, State, StateRoot, Status};
use crate::sys::caller::present;

const LARGEST: usize = 1 << 20;

/// The policy that stands for one call, if one stands.
#[derive(Debug)]
pub struct Judge<'g> {
    global: &'g Global,
    policy: Option<Policy>,
    /// The profile that the launch names.
    chosen: Option<String>,
    /// The state directory that was judged.
    root: RefCell<Option<StateRoot>>,
}

/// A Draft whose objects are opened, and that was allowed.
#[derive(Debug)]
pub struct Judged {
    /// The decisions.
    pub draft: Draft,
    /// The objects.
    pub facts: Facts,
}

/// Set where a call was refused because there was nothing to judge it by.
static UNJUDGED: AtomicBool = AtomicBool::new(false);

/// Whether this call is refused because its policy cannot be trusted, read or understood: it has
/// left no record then.
pub fn is_unjudged() -> bool {
    UNJUDGED.load(Ordering::Relaxed)
}

/// The host's policy, read once per call.
///
/// # Errors
/// Kind `PolicyRefused`: it cannot be trusted, read or understood.
pub fn host_policy() -> Result<Option<Document>> {
    static READ: OnceLock<Option<Document>> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read.clone());
    }
    let understood = |(text, compiled): (String, Option<Vec<u8>>)| {
        let known = compiled.and_then(|compiled| compiled::decode(&compiled, &text));
        known.map_or_else(|| Document::parse(trusted::POLICY_FILE, &text), Ok)
    };
    let read = trusted::read_both()?.map(understood).transpose();
    let read = read.map_err(|error| error.kind(Kind::PolicyRefused))?;
    Ok(READ.get_or_init(|| read).clone())
}

impl<'g> Judge<'g> {
    /// Loads the host's policy, and `--policy`.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: a policy that cannot be trusted, read or understood.
    fn load(global: &'g Global, profile: Option<&str>) -> Result<Self> {
        Self::loaded(global, profile).inspect_err(|_| UNJUDGED.store(true, Ordering::Relaxed))
    }

    fn loaded(global: &'g Global, profile: Option<&str>) -> Result<Self> {
        let host = host_policy()?;
        let own = match &global.policy {
            Some(path) => Some(own_policy(path.as_path())?),
            None => None,
        };
        let understood = |error: Error| error.kind(Kind::PolicyRefused);
        let policy = match (host, own) {
            (None, None) => None,
            (Some(document), own) => {
                let mut policy = document.for_launch(profile);
                if present().is_some() {
                    // Told and let pass, what root's rights are asked for would be the caller's.
                    policy.mode = policy::Mode::Enforce;
                }
                if let Some((name, text)) = own {
                    policy.narrow(&name, &text).map_err(understood)?;
                }
                Some(policy)
            }
            (None, Some((name, text))) => {
                let document = Document::parse(&name, &text).map_err(understood)?;
                // Root would write where its caller says.
                if document.audit.is_some() {
                    let text = "`audit` is a section of the host's own policy file alone";
                    return Err(Error::new(Kind::PolicyRefused, text).object(name).field("--policy"));
                }
                Some(document.for_launch(profile))
            }
        };
        Ok(Self { global, policy, chosen: profile.map(str::to_owned), root: RefCell::new(None) })
    }

    /// For a launch, whose profile `field` chooses.
    ///
    /// # Errors
    /// As `load`; a profile without a policy that could have it.
    pub fn for_launch(global: &'g Global, profile: Option<&str>, field: &str) -> Result<Self> {
        let judge = Self::load(global, profile)?;
        match profile {
            Some(_) if !judge.stands() => {
                Err(Error::usage("there is no policy file that has profiles").field(field))
            }
            _ => Ok(judge),
        }
    }

    /// For a launch by a configuration: it chooses by annotation.
    ///
    /// # Errors
    /// As [`Self::for_launch`].
    pub fn of_annotations(global: &'g Global, annotations: &BTreeMap<String, String>) -> Result<Self> {
        Self::for_launch(global, profile_of(annotations), &format!("/annotations/{PROFILE}"))
    }

    /// For a container that exists: by the profile that it was made with.
    ///
    /// # Errors
    /// As `load`.
    pub fn of_container(global: &'g Global, state: &State) -> Result<Self> {
        Self::load(global, profile_of(&state.annotations))
    }

    /// The policy.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// Whether one stands.
    pub fn stands(&self) -> bool {
        self.policy.is_some()
    }

    /// What this call leaves in the audit log.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: the log is required, and cannot be.
    pub fn trail(&self, verb: policy::Verb, container: Option<&str>) -> Result<Trail> {
        Trail::under(self.policy(), verb.name(), container)
    }

    /// Opens what a launch names, on the ways that the policy leaves open, and judges it.
    ///
    /// # Errors
    /// A path; kind `PolicyRefused` with every violation.
    pub fn launch(
        &self,
        draft: Draft,
        base: BorrowedFd<'_>,
        request: &Request,
        trail: &mut Trail,
    ) -> Result<Judged> {
        let (facts, grants) = self.pin(&draft, base, request)?;
        let verdict = policy::judge(&draft, &facts, request, self.policy());
        if let Some(policy) = self.policy().filter(|_| trail.is_on()) {
            let around = Around {
                policy,
                grants: &grants,
                profile: self.chosen.as_deref(),
                sudo_unseen: caller::is_unseen(),
                hides_args: trail.redacts(Redacted::Argv),
            };
            trail.keeps(Recorded::of(&draft, &facts, request, around).as_ref())?;
        }
        trail.judged(&draft, Some(&facts), &verdict);
        self.enforce(verdict)?;
        Ok(Judged { draft: with_files(draft, &facts), facts })
    }

    /// The verdict on a launch with the rule that decided each part, and what was opened for it.
    ///
    /// # Errors
    /// A path that cannot be opened.
    pub fn decisions(
        &self,
        draft: &Draft,
        base: BorrowedFd<'_>,
        request: &Request,
    ) -> Result<(Facts, Vec<Decision>, Verdict)> {
        let (facts, _) = self.pin(draft, base, request)?;
        let (decisions, verdict) = policy::explain(draft, &facts, request, self.policy());
        Ok((facts, decisions, verdict))
    }

    fn pin(&self, draft: &Draft, base: BorrowedFd<'_>, request: &Request) -> Result<(Facts, Grants)> {
        let grants = self
            .policy
            .as_ref()
            .map_or_else(Grants::default, |policy| policy::select(draft, request, policy));
        Ok((resolve::pin(draft, base, &grants)?, grants))
    }

    /// Judges a further program of a container.
    ///
    /// # Errors
    /// Kind `PolicyRefused` with every violation.
    pub fn exec(
        &self,
        draft: &Draft,
        own: Option<&Process>,
        request: &Request,
        trail: &mut Trail,
    ) -> Result<()> {
        let verdict = policy::judge_exec(draft, own, request, self.policy());
        trail.judged(draft, None, &verdict);
        self.enforce(verdict)
    }

    /// The hooks of a container that exists, each with the content that was judged.
    ///
    /// # Errors
    /// A file that cannot be read; kind `PolicyRefused` with every violation.
    pub fn hooks(&self, mut hooks: Vec<DraftHook>) -> Result<Vec<DraftHook>> {
        let Some(policy) = self.policy() else { return Ok(hooks) };
        let mut barred = vec![];
        let files = resolve::hooks(&hooks, &policy::select_hooks(&hooks, policy), &mut barred)?;
        let request = Request::new(Verb::Run, PathBuf::from("/"), PathBuf::new());
        self.enforce(policy::judge_hooks(&hooks, &files, &barred, &request, policy))?;
        for (hook, file) in hooks.iter_mut().zip(files) {
            hook.judged = file;
        }
        Ok(hooks)
    }

    /// Judges new limits.
    ///
    /// # Errors
    /// Kind `PolicyRefused` with every violation.
    pub fn update(&self, limits: &Limits, request: &Request, trail: &mut Trail) -> Result<()> {
        let verdict = policy::judge_update(limits, request, self.policy());
        trail.said(&verdict);
        self.enforce(verdict)
    }

    /// In audit mode the violations are told in `--log`, or else on stderr, and the launch goes on.
    ///
    /// # Errors
    /// Kind `PolicyRefused` with every violation.
    pub fn enforce(&self, verdict: Verdict) -> Result<()> {
        let told: Vec<_> = verdict.enforce()?.iter().map(|told| format!("policy (audit): {told}")).collect();
        log::warnings(told.iter());
        Ok(())
    }

    /// How many launches live in the state directories of the policy; 0 where nobody asks.
    ///
    /// # Errors
    /// A state directory that cannot be read.
    pub fn running(&self) -> Result<u64> {
        let running = self.policy.as_ref().map(|policy| &policy.running);
        let Some(roots) =
            running.filter(|running| running.max.is_some()).and_then(|all| all.state_roots.as_ref())
        else {
            return Ok(0);
        };
        let by_sudo = roots.value.iter().flat_map(|root| caller::state_roots(root));
        let all: Vec<_> = roots.value.iter().cloned().chain(by_sudo).collect();
        all.iter().map(|root| living(root)).sum()
    }

    /// Asked again once the launch has its own entry: of two that were counted at the same
    /// time, both see the other now.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: too many.
    pub fn still_room(&self) -> Result<()> {
        let Some(policy) = self.policy() else { return Ok(()) };
        let Some(max) = &policy.running.max else { return Ok(()) };
        match self.running()? > max.value && policy.mode == policy::Mode::Enforce {
            true => {
                let text =
                    format!("refused by policy: more than {} launches at once (rule running.max)", max.value);
                Err(Error::new(Kind::PolicyRefused, text).field("running"))
            }
            false => Ok(()),
        }
    }

    /// What a call through this door asks for, as far as every call does.
    ///
    /// # Errors
    /// The state directory cannot be opened.
    pub fn request(&self, verb: Verb, base: PathBuf) -> Result<Request> {
        let state_root = match self.stands() {
            true => {
                let root = entry::open_root(self.global)?;
                let path = root.path().to_owned();
                self.root.replace(Some(root));
                path
            }
            false => PathBuf::new(),
        };
        let caller = present();
        Ok(Request {
            caller: caller.cloned(),
            cgroup_place: caller.map(caller::cgroup_place).transpose()?,
            ..Request::new(verb, base, state_root)
        })
    }
}

impl Judge<'_> {
    /// The state directory for the entry of a launch: the one that was judged.
    ///
    /// # Errors
    /// It cannot be opened, or is none of the policy's.
    pub fn state_root(&self) -> Result<StateRoot> {
        self.root.take().map_or_else(|| entry::open_root(self.global), Ok)
    }
}

/// What was judged of a hook is what is run.
pub fn with_files(mut draft: Draft, facts: &Facts) -> Draft {
    for (hook, file) in draft.hooks.iter_mut().zip(&facts.hooks) {
        hook.judged.clone_from(file);
    }
    draft
}

/// The profile that annotations choose.
fn profile_of(annotations: &BTreeMap<String, String>) -> Option<&str> {
    annotations.get(PROFILE).map(String::as_str)
}

fn own_policy(path: &Path) -> Result<(String, String)> {
    let text = text_file::read(path, LARGEST).at("--policy")?;
    let text = String::from_utf8(text).map_err(|error| Error::usage(error.to_string()).field("--policy"))?;
    Ok((path.display().to_string(), text))
}

/// What lives below one state directory. What cannot be read counts.
fn living(root: &Path) -> Result<u64> {
    if nix::sys::stat::stat(root).is_err() {
        return Ok(0);
    }
    let root = StateRoot::open(Some(root))?;
    let lives = |id: &String| match root.open_container(id).and_then(|dir| dir.load()) {
        Ok(state) => !matches!(Status::observe(&state), Ok(Status::Stopped)),
        // Removed in the meantime.
        Err(error) => error.errno() != Some(nix::errno::Errno::ENOENT),
    };
    let count = root.ids()?.iter().filter(|id| lives(id)).count();
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Compares every source with what `create` recorded.
///
/// # Errors
/// Kind `IdentityChanged`: what changed.
pub fn same_sources(state: &State) -> Result<()> {
    state.binds.iter().try_for_each(|bind| same(bind, &format!("mount on {}", bind.destination)))
}

/// Compares the root directory with what `create` recorded.
///
/// # Errors
/// Kind `IdentityChanged`: what changed.
pub fn same_root(state: &State) -> Result<()> {
    state.root.iter().try_for_each(|root| same(root, "/root/path"))
}

fn same(recorded: &BindIdentity, field: &str) -> Result<()> {
    let changed = |text: String| {
        Err(Error::new(Kind::IdentityChanged, text).field(field).object(&recorded.source).hint(
            "the container has what was judged; something else stands at this path now: delete it and create it anew",
        ))
    };
    let path = Path::new(&recorded.source);
    let found = match resolve::identify_without_links(path) {
        Ok(found) => super::container::identity(&recorded.destination, &found),
        Err(error) => return changed(format!("was there when it was judged: {error}")),
    };
    let before = (recorded.dev, recorded.ino, recorded.kind, recorded.uid, recorded.gid);
    let now = (found.dev, found.ino, found.kind, found.uid, found.gid);
    match before == now {
        true => Ok(()),
        false => changed(format!("was {}, is {}", words(recorded), words(&found))),
    }
}

fn words(identity: &BindIdentity) -> String {
    let BindIdentity { dev, ino, kind, uid, gid, .. } = identity;
    let kind = match kind {
        BindKind::Directory => "directory",
        BindKind::File => "file",
        BindKind::Other => "object",
    };
    format!("{kind} of {uid}:{gid}, device {dev}, inode {ino}")
}
