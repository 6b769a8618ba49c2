//! The program's environment: a short list of our own, then what the options say. Nothing
//! else of the caller's gets in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::text_file;
use super::image::RunImage;
use super::users::User;
use crate::cli::SandboxArgs;
use crate::error::{Context, Error, Result};
use crate::types::EnvArg;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ENV_FILE_LIMIT: usize = 1 << 20;

/// `KEY=VALUE` entries, sorted by key.
pub(super) fn environment(args: &SandboxArgs, user: &User, image: Option<&RunImage>) -> Result<Vec<String>> {
    let mut entries: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |key: &str, value: &str| {
        entries.insert(key.to_owned(), value.to_owned());
    };
    set("PATH", PATH);
    set("HOME", &user.home);
    set("USER", &user.name);
    set("LANG", "C.UTF-8");
    if let Some(zone) = std::env::var_os("TZ").and_then(|zone| zone.into_string().ok()) {
        set("TZ", &zone);
    }
    if args.process.tty {
        set("TERM", &std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
    }
    for (key, value) in image.map(RunImage::environment).transpose()?.unwrap_or_default() {
        entries.insert(key, value);
    }
    for file in &args.process.env_file {
        let content = text_file::read(file.as_path(), ENV_FILE_LIMIT).at("--env-file")?;
        for (number, line) in String::from_utf8_lossy(&content).lines().enumerate() {
            add_line(&mut entries, line).map_err(|error| {
                error.object(format!("{}:{}", file.as_path().display(), number + 1)).field("--env-file")
            })?;
        }
    }
    for entry in &args.process.env {
        add(&mut entries, entry)?;
    }
    Ok(entries.into_iter().map(|(key, value)| format!("{key}={value}")).collect())
}

fn add_line(entries: &mut BTreeMap<String, String>, line: &str) -> Result<()> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(Error::usage("expected KEY=VALUE or KEY"));
    }
    add(entries, &EnvArg { key: OsString::from(key), value: value.map(OsString::from) })
}

/// A key without a value takes the caller's, and is left out where the caller has none.
fn add(entries: &mut BTreeMap<String, String>, entry: &EnvArg) -> Result<()> {
    let Some(value) = entry.value.clone().or_else(|| std::env::var_os(&entry.key)) else { return Ok(()) };
    let text = |word: &OsString| {
        let text = word.to_str().filter(|text| !text.as_bytes().contains(&0)).map(str::to_owned);
        text.ok_or_else(|| {
            let shown = String::from_utf8_lossy(word.as_bytes()).into_owned();
            Error::usage("not UTF-8, which the runtime specification needs").field("--env").object(shown)
        })
    };
    entries.insert(text(&entry.key)?, text(&value)?);
    Ok(())
}
