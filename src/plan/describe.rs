//! The names and the sentences of the steps: for `explain`, the digest and error messages.

use super::{FreshFs, Made, MountFrom, RootFrom, Step};

impl Step {
    /// The step's name in reports and in ARCHITECTURE.md.
    #[rustfmt::skip]
    #[expect(clippy::too_many_lines, reason = "a table: one line for each step")]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AwaitRelease => "await_release",
            Self::HideArguments => "hide_arguments",
            Self::JoinCgroup(_) => "join_cgroup",
            Self::BecomeRoot { .. } => "become_root",
            Self::NewSession => "new_session",
            Self::JoinNamespace { .. } => "join_namespace",
            Self::TimeOffsets(_) => "time_offsets",
            Self::CloneAgain { .. } => "clone_again",
            Self::JoinContainer { .. } => "join_container",
            Self::UnshareCgroup => "unshare_cgroup",
            Self::LoopbackUp => "loopback_up",
            Self::Hostname(_) => "hostname",
            Self::Domainname(_) => "domainname",
            Self::Personality(_) => "personality",
            Self::ForgetCaller => "forget_caller",
            Self::MemoryPolicy(_) => "memory_policy",
            Self::CutPropagation { .. } => "cut_propagation",
            Self::AttachRoot { .. } => "attach_root",
            Self::Make(_) => "make",
            Self::Mount { .. } => "mount",
            Self::Remount { .. } => "remount",
            Self::MakeCwd(_) => "make_cwd",
            Self::ConsolePty { .. } => "console_pty",
            Self::MeetForHooks => "meet_for_hooks",
            Self::CreateContainerHook(..) => "create_container_hook",
            Self::Pivot => "pivot",
            Self::Chroot => "chroot",
            Self::RedirectStdio(_) => "redirect_stdio",
            Self::CloseFds => "close_fds",
            Self::Sysctl { .. } => "sysctl",
            Self::Mask(_) => "mask",
            Self::ReadonlyPath(_) => "readonly_path",
            Self::ReadonlyRoot => "readonly_root",
            Self::RootPropagation(_) => "root_propagation",
            Self::SessionKeyring => "session_keyring",
            Self::ExecLabel { .. } => "exec_label",
            Self::NoNewPrivs => "no_new_privs",
            Self::EarlySeccomp(..) => "early_seccomp",
            Self::Umask(_) => "umask",
            Self::DropBounding { .. } => "drop_bounding",
            Self::KeepCaps => "keep_caps",
            Self::ChownStdio { .. } => "chown_stdio",
            Self::SetGroups(_) => "set_groups",
            Self::SetGid(_) => "set_gid",
            Self::SetUid(_) => "set_uid",
            Self::Capabilities(_) => "capabilities",
            Self::Ambient { .. } => "ambient",
            Self::Dumpable(_) => "dumpable",
            Self::DieWithParent => "die_with_parent",
            Self::TryChdir(_) => "try_chdir",
            Self::Chdir(_) => "chdir",
            Self::ProveCwd => "prove_cwd",
            Self::FindProgram => "find_program",
            Self::Landlock { .. } => "landlock",
            Self::MeetForCheck => "meet_for_check",
            Self::EndBySignals => "end_by_signals",
            Self::AwaitStart { .. } => "await_start",
            Self::StartContainerHook(..) => "start_container_hook",
            Self::EnterPidNamespace => "enter_pid_namespace",
            Self::LateSeccomp(..) => "late_seccomp",
            Self::BecomeInit { .. } => "become_init",
            Self::ControllingTerminal => "controlling_terminal",
            Self::ResetSignals => "reset_signals",
            Self::Exec => "exec",
        }
    }

    /// The object that the step is about, for messages; empty where there is none.
    pub fn object(&self) -> String {
        match self {
            Self::Mount { target, .. } | Self::MakeCwd(target) => target.display(),
            Self::Make(made) => made.target().display(),
            Self::Mask(path)
            | Self::ReadonlyPath(path)
            | Self::TryChdir(path)
            | Self::Chdir(path)
            | Self::Remount { path, .. } => path.to_string_lossy().into_owned(),
            Self::Sysctl { key, .. } => key.to_string_lossy().into_owned(),
            Self::ConsolePty { .. } => "/dev/pts/ptmx".to_owned(),
            Self::JoinNamespace { name, .. } => (*name).to_owned(),
            Self::Hostname(name) | Self::Domainname(name) => name.to_string_lossy().into_owned(),
            _ => String::new(),
        }
    }

    /// Name and object.
    pub fn title(&self) -> String {
        format!("{} {}", self.name(), self.object()).trim_end().to_owned()
    }

    /// One line that says all of it, without file descriptor numbers.
    pub fn describe(&self) -> String {
        let detail = match self {
            Self::AttachRoot { from, attrs, onto } => {
                let place = if onto.is_some() { " in its own place" } else { "" };
                format!("{} attrs={attrs:#x}{place}", from.describe())
            }
            Self::CreateContainerHook(hook, _) | Self::StartContainerHook(hook, _) => hook.describe(),
            Self::Mount { from, propagation, .. } => {
                format!("{} propagation={propagation:x?}", from.describe())
            }
            Self::Remount { change, .. } => change.describe(),
            Self::Make(made) => made.describe(),
            Self::Sysctl { value, .. } => value.to_string_lossy().into_owned(),
            Self::EarlySeccomp(filter, flags) | Self::LateSeccomp(filter, flags) => {
                format!("{} instructions flags={flags:#x}", filter.len())
            }
            Self::DropBounding { keep } => format!("keep={keep:#x}"),
            Self::Ambient { raise } => format!("raise={raise:#x}"),
            Self::Capabilities(sets) => {
                format!("eff={:#x} prm={:#x} inh={:#x}", sets.effective, sets.permitted, sets.inheritable)
            }
            Self::ExecLabel { text, .. } => text.to_string_lossy().into_owned(),
            Self::Personality(persona) => format!("{persona:#x}"),
            Self::MemoryPolicy(policy) => format!("{:#x} {:x?}", policy.mode, policy.nodes),
            Self::SetGroups(groups) => format!("{groups:?}"),
            Self::SetGid(id) | Self::SetUid(id) => id.to_string(),
            Self::Umask(mask) => format!("{mask:04o}"),
            Self::ConsolePty { size, owner, lent, .. } => format!("owner={owner} size={size:?} lent={lent}"),
            Self::BecomeInit { detached, deadline_ms } => {
                format!("detached={detached} deadline_ms={deadline_ms:?}")
            }
            Self::Landlock { rules, .. } => {
                let rules: Vec<_> =
                    rules.iter().map(|(p, a)| format!("{}={a:#x}", p.to_string_lossy())).collect();
                rules.join(" ")
            }
            Self::TimeOffsets(text) => text.to_string_lossy().trim_end().replace('\n', ", "),
            Self::JoinContainer { nstypes: flags, .. }
            | Self::CloneAgain { flags }
            | Self::CutPropagation { flags }
            | Self::RootPropagation(flags) => format!("{flags:#x}"),
            _ => String::new(),
        };
        [self.name(), &self.object(), &detail]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl FreshFs {
    fn describe(&self) -> String {
        let option = |(key, value): &(std::ffi::CString, Option<std::ffi::CString>)| match value {
            Some(value) => format!("{}={}", key.to_string_lossy(), value.to_string_lossy()),
            None => key.to_string_lossy().into_owned(),
        };
        let options: Vec<_> = self.options.iter().map(option).collect();
        let fstype = self.fstype.to_string_lossy();
        format!("{fstype} [{}] attrs={:#x} covered={:?}", options.join(","), self.attrs, self.covered)
    }
}

impl super::Change {
    fn describe(&self) -> String {
        let Self { own, recursive, propagation } = self;
        format!(
            "set={:#x} clear={:#x} recursive set={:#x} clear={:#x} propagation={propagation:x?}",
            own.set, own.clear, recursive.set, recursive.clear
        )
    }
}

impl RootFrom {
    fn describe(&self) -> String {
        match self {
            Self::Tree(_) => "pinned tree".to_owned(),
            Self::Path(reopened) => format!("reopened {}", reopened.path.to_string_lossy()),
            Self::Tmpfs(fresh) => fresh.describe(),
            Self::Overlay(overlay) => {
                let (layers, upper) = (overlay.lowers.len(), overlay.upper.describe());
                format!(
                    "image {} of {layers} layers attrs={:#x} upper: {upper}",
                    overlay.image, overlay.attrs
                )
            }
        }
    }
}

impl MountFrom {
    fn describe(&self) -> String {
        match self {
            Self::Tree(_, words) => format!("pinned {words}"),
            Self::Path(reopened, attr) => {
                format!("reopened {} set={:#x}", reopened.path.to_string_lossy(), attr.set)
            }
            Self::Fresh(fresh) => fresh.describe(),
            Self::Inside(path, attr) => format!("inside {} set={:#x}", path.to_string_lossy(), attr.set),
        }
    }
}

impl Made {
    /// Where it is made.
    pub fn target(&self) -> &super::Target {
        match self {
            Self::Directory(target, _) | Self::Link(target, _) | Self::OnlyLink(target, _) => target,
            Self::File { target, .. } | Self::Device { target, .. } => target,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Directory(_, mode) => format!("directory {mode:04o}"),
            Self::File { content, mode, owner, .. } => {
                format!("file {mode:04o} {}:{} {} bytes", owner.0, owner.1, content.len())
            }
            Self::Link(_, text) => format!("link -> {}", text.to_string_lossy()),
            Self::OnlyLink(_, text) => {
                format!("link -> {}, in place of what is there", text.to_string_lossy())
            }
            Self::Device { file_type, rdev, mode, owner, .. } => {
                format!("device {file_type:#o} {rdev:#x} {mode:04o} {}:{}", owner.0, owner.1)
            }
        }
    }
}
