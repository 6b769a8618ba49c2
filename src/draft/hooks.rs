//! `hooks`: config.md, "POSIX-platform Hooks".

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use oci_spec::runtime::Spec;

use crate::error::{Error, Result};
use crate::plan::{Hook, HookKind};
use crate::sys::exec::CStringArray;

/// The content of a hook's file, once and for all.
#[derive(Debug, Clone)]
pub struct JudgedHook {
    /// A file in memory that nobody can change any more.
    pub program: Arc<OwnedFd>,
    /// Of its content: 64 hexadecimal digits.
    pub sha256: String,
}

/// Of two with one digest the content is the same.
impl PartialEq for JudgedHook {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl Eq for JudgedHook {}

/// One hook of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftHook {
    /// JSON pointer of the entry.
    pub field: String,
    /// When and where it runs.
    pub kind: HookKind,
    /// Its place among those of its kind.
    pub index: u16,
    /// The program, absolute.
    pub path: CString,
    /// What was judged by a policy, and is run in the place of what lies at the path then.
    pub judged: Option<JudgedHook>,
    /// argv; the path where the configuration names none.
    pub args: Vec<CString>,
    /// environ: what the configuration says and nothing else.
    pub env: Vec<CString>,
    /// The configuration says nothing of environ: a hook inside has the program's, one of the host's may have pinfold's.
    pub env_absent: bool,
    /// After how long it is ended.
    pub timeout_ms: Option<u64>,
}

impl DraftHook {
    /// The path of the program.
    pub fn program(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.as_bytes()))
    }

    /// Rendered for running it.
    pub fn ready(&self) -> Hook {
        Hook {
            kind: self.kind,
            index: self.index,
            path: self.path.clone(),
            program: self.judged.as_ref().map(|judged| Arc::clone(&judged.program)),
            argv: CStringArray::new(self.args.clone()),
            envp: CStringArray::new(self.env.clone()),
            timeout_ms: self.timeout_ms,
        }
    }
}

/// Every hook of a configuration, in the order of the lifecycle and, within a kind, of the list.
///
/// # Errors
/// A relative path, a timeout that is not above zero, more than 65535 of a kind.
pub fn hooks(spec: &Spec) -> Result<Vec<DraftHook>> {
    let Some(given) = spec.hooks() else { return Ok(vec![]) };
    let mut all = vec![];
    for kind in HookKind::ALL {
        let list = match kind {
            HookKind::Prestart => given.prestart(),
            HookKind::CreateRuntime => given.create_runtime(),
            HookKind::CreateContainer => given.create_container(),
            HookKind::StartContainer => given.start_container(),
            HookKind::Poststart => given.poststart(),
            HookKind::Poststop => given.poststop(),
        };
        for (index, hook) in list.iter().flatten().enumerate() {
            all.push(one(kind, index, hook)?);
        }
    }
    Ok(all)
}

fn one(kind: HookKind, index: usize, hook: &oci_spec::runtime::Hook) -> Result<DraftHook> {
    let field = format!("/hooks/{kind}/{index}");
    let number = u16::try_from(index).map_err(|error| Error::usage(error.to_string()).field(&field))?;
    if !hook.path().is_absolute() {
        let path = format!("{field}/path");
        return Err(Error::usage("must be an absolute path").field(path).object(hook.path().display()));
    }
    let path = c_string(hook.path().as_os_str().as_bytes(), &format!("{field}/path"))?;
    let list = |strings: Option<&Vec<String>>, name: &str| -> Result<Vec<CString>> {
        let entries = strings.into_iter().flatten().enumerate();
        entries.map(|(at, text)| c_string(text.as_bytes(), &format!("{field}/{name}/{at}"))).collect()
    };
    let mut args = list(hook.args().as_ref(), "args")?;
    if args.is_empty() {
        args.push(path.clone());
    }
    let env = list(hook.env().as_ref(), "env")?;
    let timeout_ms = hook.timeout().map(|seconds| timeout(seconds, &field)).transpose()?;
    let env_absent = hook.env().is_none();
    Ok(DraftHook { field, kind, index: number, path, judged: None, args, env, env_absent, timeout_ms })
}

fn timeout(seconds: i64, field: &str) -> Result<u64> {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(seconds.saturating_mul(1000)),
        _ => Err(Error::usage("must be greater than zero")
            .field(format!("{field}/timeout"))
            .object(format!("`{seconds}`"))),
    }
}

fn c_string(bytes: &[u8], field: &str) -> Result<CString> {
    CString::new(bytes).map_err(|error| Error::usage(error.to_string()).field(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &serde_json::Value) -> Result<Vec<DraftHook>> {
        let spec = serde_json::json!({"ociVersion": "1.0.2", "hooks": json});
        hooks(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn the_order_is_the_lifecycles_and_the_lists() {
        let json = serde_json::json!({
            "poststop": [{"path": "/f"}], "startContainer": [{"path": "/d"}],
            "prestart": [{"path": "/a", "args": ["x", "y"], "env": ["K=v"], "timeout": 2}, {"path": "/a2"}],
            "createRuntime": [{"path": "/b"}], "createContainer": [{"path": "/c"}], "poststart": [{"path": "/e"}],
        });
        let all = of(&json).unwrap();
        let fields: Vec<_> = all.iter().map(|hook| hook.field.as_str()).collect();
        let wanted = [
            "/hooks/prestart/0",
            "/hooks/prestart/1",
            "/hooks/createRuntime/0",
            "/hooks/createContainer/0",
            "/hooks/startContainer/0",
            "/hooks/poststart/0",
            "/hooks/poststop/0",
        ];
        assert_eq!(fields, wanted);
        assert_eq!(all[0].args, [c"x".to_owned(), c"y".to_owned()]);
        assert_eq!((&all[0].env, all[0].timeout_ms), (&vec![c"K=v".to_owned()], Some(2000)));
        assert_eq!((&all[1].args, all[1].env.len()), (&vec![c"/a2".to_owned()], 0));
        assert_eq!((all[1].index, all[1].timeout_ms), (1, None));
    }

    #[test]
    fn what_no_hook_may_say_is_refused_by_its_field() {
        for (hook, field) in [
            (serde_json::json!({"path": "bin/true"}), "/hooks/poststop/0/path"),
            (serde_json::json!({"path": ""}), "/hooks/poststop/0/path"),
            (serde_json::json!({"path": "/a", "timeout": 0}), "/hooks/poststop/0/timeout"),
            (serde_json::json!({"path": "/a", "timeout": -1}), "/hooks/poststop/0/timeout"),
            (serde_json::json!({"path": "/a\u{0}b"}), "/hooks/poststop/0/path"),
            (serde_json::json!({"path": "/a", "args": ["a", "b\u{0}"]}), "/hooks/poststop/0/args/1"),
            (serde_json::json!({"path": "/a", "env": ["b\u{0}"]}), "/hooks/poststop/0/env/0"),
        ] {
            let error = of(&serde_json::json!({ "poststop": [hook] })).unwrap_err();
            assert_eq!(error.field_name(), Some(field));
        }
    }
}
