//! `--log FILE --log-format text|json`: where callers of an OCI runtime read why it failed.
//! A success writes nothing, but the file is there, as runc's is.

use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::{caller, text_file};
use crate::cli::{Global, LogFormat};
use crate::error::{Call, Context, Error, Result};
use crate::state::rfc3339;
use crate::sys;

/// Appends one line about a failure, with one write; never through a link.
///
/// # Errors
/// The file cannot be opened or written.
pub fn failure(global: &Global, error: &Error) -> Result<()> {
    match &global.log {
        Some(path) => {
            append(path.as_path(), &line(global.log_format, "error", &error.to_string(), &rfc3339::now()))
        }
        None => Ok(()),
    }
}

/// From here on warnings go into the log, as runc's do. One that cannot be opened is told and ends nothing: no verb
/// rests on it.
pub fn takes_warnings(global: &Global) {
    if let Some(path) = global.log.clone() {
        if let Err(error) = append(path.as_path(), "") {
            crate::error::warn(format_args!("{error}"));
        }
        let format = global.log_format;
        let log = move |text: &str| append(path.as_path(), &line(format, "warning", text, &rfc3339::now()));
        crate::error::warnings_to(Box::new(log));
    }
}

/// What of a configuration was left out.
pub fn warnings<'a>(warnings: impl Iterator<Item = &'a String>) {
    warnings.for_each(|warning| crate::error::warn(format_args!("{warning}")));
}

fn append(path: &Path, line: &str) -> Result<()> {
    if let Some(inherited) = text_file::inherited(path).at("--log")? {
        return sys::file::write_all(inherited, line.as_bytes()).call("write").on(path.display()).at("--log");
    }
    let how = OpenHow::new()
        .flags(
            OFlag::O_WRONLY
                | OFlag::O_CREAT
                | OFlag::O_APPEND
                | OFlag::O_NOFOLLOW
                | OFlag::O_CLOEXEC
                | OFlag::O_NONBLOCK,
        )
        .mode(Mode::from_bits_truncate(0o600))
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    let file = nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how)
        .call("openat2")
        .on(path.display())
        .at("--log")?;
    sys::file::write_all(file.as_fd(), line.as_bytes()).call("write").on(path.display()).at("--log")
}

fn line(format: LogFormat, level: &str, message: &str, time: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match format {
        LogFormat::Text => format!("time={} level={level} msg={}\n", quoted(time), quoted(message)),
        LogFormat::Json => {
            format!("{{\"level\":{},\"msg\":{},\"time\":{}}}\n", quoted(level), quoted(message), quoted(time))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_runcs_keys() {
        let line = line(LogFormat::Json, "error", "a \"b\"\nc", "T");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value, serde_json::json!({"level": "error", "msg": "a \"b\"\nc", "time": "T"}));
        assert_eq!(line.matches('\n').count(), 1);
    }
}
