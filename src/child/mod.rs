//! The child's half: it walks the Plan, step by step, from clone3 to execve.
//!
//! It may not allocate, format, log, lock or decide: the parent's heap is a copy in an
//! unknown state, and every choice was taken before the clone. It leaves only by
//! execve or `_exit`. THE LIST is the order of [`crate::plan::Plan::steps`], which
//! `resolve/steps.rs` lays down; ARCHITECTURE.md has the reasons.

mod attributes;
mod confine;
mod console;
mod copy_up;
mod credentials;
mod dangling;
mod hook;
pub use hook::{HookRun, run_hook};
mod init;
pub use init::SIGNAL;
mod meet;
pub use meet::SET_RLIMITS;
mod mounts;
mod namespaces;
mod overlay;
pub mod place;
mod program;
mod root;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::plan::{Failure, Meeting, Plan, Records, Step};
use crate::sys;

/// What a step returns: done, or what the kernel said.
type Done = Result<(), Errno>;

/// The exit code of a child that could not go on; the records say why.
const GAVE_UP: i32 = 125;

/// The child's whole state.
struct Child<'p> {
    plan: &'p Plan,
    records: &'p Records,
    socket: BorrowedFd<'p>,
    page: BorrowedFd<'p>,
    /// The new root, once it is attached, until everything is closed.
    root: Option<OwnedFd>,
    /// What was mounted and is nobody else's.
    fresh: mounts::FreshMounts,
    /// What covers masked directories, once the first is covered, until everything is closed.
    cover: Option<OwnedFd>,
    /// The candidate that FindProgram found.
    found: usize,
    /// Whether the working directory is entered already.
    at_cwd: bool,
    /// The memory of pinfold's own arguments, where they are to be hidden.
    arguments: Option<sys::arguments::Arguments>,
    /// Whether this is the tool beside the init.
    in_tool: bool,
    /// The end of `start`, once it has said go.
    starter: Option<OwnedFd>,
}

/// Walks the Plan. Called in the child right after clone3; never returns.
pub fn walk(
    plan: &Plan,
    records: &Records,
    socket: BorrowedFd<'_>,
    page: BorrowedFd<'_>,
    arguments: Option<sys::arguments::Arguments>,
) -> ! {
    let mut child = Child {
        plan,
        records,
        socket,
        page,
        root: None,
        fresh: mounts::FreshMounts::none(),
        cover: None,
        found: 0,
        at_cwd: false,
        arguments,
        in_tool: false,
        starter: None,
    };
    let mut timed = records.is_timed();
    for (index, planned) in plan.steps.iter().enumerate() {
        records.enter(index);
        if timed {
            records.entered_at(index, sys::clock::monotonic_ns());
            // A filter may end whoever asks what time it is.
            timed = !matches!(planned.step, Step::EarlySeccomp(..) | Step::LateSeccomp(..));
        }
        if let Err(errno) = child.take(&planned.step) {
            records.fail(Failure { index, errno, in_tool: child.in_tool });
            break;
        }
    }
    sys::clone::exit_now(GAVE_UP)
}

impl Child<'_> {
    #[rustfmt::skip]
    #[expect(clippy::too_many_lines, reason = "a table: one line for each step")]
    fn take(&mut self, step: &Step) -> Done {
        match step {
            Step::AwaitRelease => self.await_release(),
            Step::HideArguments => self.hide_arguments(),
            Step::JoinCgroup(files) => namespaces::join_cgroup(files),
            Step::BecomeRoot { setgroups } => credentials::become_root(*setgroups),
            Step::NewSession => namespaces::new_session(),
            Step::JoinNamespace { fd, nstype, .. } => namespaces::join(fd, *nstype),
            Step::TimeOffsets(text) => namespaces::time_offsets(text),
            Step::CloneAgain { flags } => self.clone_again(*flags),
            Step::JoinContainer { pidfd, nstypes } => namespaces::join(pidfd, *nstypes),
            Step::UnshareCgroup => namespaces::unshare_cgroup(),
            Step::LoopbackUp => sys::net::loopback_up(),
            Step::Hostname(name) => sys::host::sethostname(name),
            Step::Domainname(name) => sys::host::setdomainname(name),
            Step::Personality(persona) => sys::personality::personality(*persona).map(|_| ()),
            Step::ForgetCaller => attributes::forget_caller(),
            Step::MemoryPolicy(policy) => attributes::memory_policy(policy.mode, &policy.nodes),
            Step::CutPropagation { flags } => mounts::set_root_propagation(*flags),
            Step::AttachRoot { from, attrs, onto } => self.attach_root(from, *attrs, onto.as_ref()),
            Step::Make(made) => place::make(self.root()?, made),
            Step::Mount { from, target, propagation } => self.mount(from, target, propagation),
            Step::Remount { path, change } => mounts::remount(self.root()?, path, change),
            Step::MakeCwd(target) => place::make_directory(self.root()?, target, 0o755),
            Step::ConsolePty { target, size, owner, lent } => self.console_pty(target.as_ref(), *size, *owner, *lent),
            Step::MeetForHooks => self.meet(Meeting::Hooks),
            Step::CreateContainerHook(hook, state) => self.create_container_hook(hook, state),
            Step::Pivot => self.pivot(),
            Step::Chroot => self.chroot(),
            Step::RedirectStdio(streams) => root::redirect_stdio(streams),
            Step::CloseFds => self.close_fds(),
            Step::Sysctl { key, value } => confine::sysctl(key, value),
            Step::Mask(path) => self.mask(path),
            Step::ReadonlyPath(path) => mounts::readonly_path(self.root()?, path),
            Step::ReadonlyRoot => mounts::readonly_root(self.root()?),
            Step::RootPropagation(flags) => mounts::set_root_propagation(*flags),
            Step::SessionKeyring => confine::session_keyring(),
            Step::ExecLabel { proc, file, text } => confine::exec_label(proc.as_fd(), file, text),
            Step::NoNewPrivs => sys::prctl::set_no_new_privs(),
            Step::EarlySeccomp(filter, flags) | Step::LateSeccomp(filter, flags) => self.seccomp(filter, *flags),
            Step::Umask(mask) => sys::file::umask(*mask),
            Step::DropBounding { keep } => credentials::drop_bounding(*keep),
            Step::KeepCaps => sys::prctl::set_keepcaps(true),
            Step::ChownStdio { uid, gid } => credentials::chown_stdio(*uid, *gid),
            Step::SetGroups(groups) => sys::ids::setgroups(groups),
            Step::SetGid(gid) => sys::ids::setresgid(*gid),
            Step::SetUid(uid) => sys::ids::setresuid(*uid),
            Step::Capabilities(sets) => credentials::capabilities(sets),
            Step::Ambient { raise } => credentials::ambient(*raise),
            Step::Dumpable(yes) => sys::prctl::set_dumpable(*yes),
            Step::DieWithParent => self.die_with_parent(),
            Step::TryChdir(path) => self.try_chdir(path),
            Step::Chdir(_) if self.at_cwd => Ok(()),
            Step::Chdir(path) => credentials::chdir(path),
            Step::ProveCwd => credentials::prove_cwd(),
            Step::FindProgram => self.find_program(),
            Step::Landlock { ruleset, rules, flags } => confine::landlock(ruleset, rules, *flags),
            Step::MeetForCheck => self.meet(Meeting::Check),
            Step::EndBySignals => Self::end_by_signals(),
            Step::AwaitStart { listener, lean } => self.await_start(listener, *lean),
            Step::StartContainerHook(hook, state) => self.start_container_hook(hook, state),
            Step::EnterPidNamespace => self.enter_pid_namespace(),
            Step::BecomeInit { detached, deadline_ms } => self.become_init(*detached, *deadline_ms),
            Step::ControllingTerminal => console::take_control(),
            Step::ResetSignals => sys::signal::reset(),
            Step::Exec => self.exec(),
        }
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Errno> {
        use std::os::fd::AsFd;
        self.root.as_ref().map(OwnedFd::as_fd).ok_or(Errno::EBADF)
    }
}
