//! `--spec FILE|-`: the options of a sandbox as one JSON object, for callers that would
//! rather not quote. `{"ro": ["/srv/data:/data"], "memory": "256m", "args": ["ls", "/data"]}`
//! is `--ro /srv/data:/data --memory 256m -- ls /data`. It is read into the same command
//! line and goes through the same checks; an option in both places is given twice.

use std::ffi::OsString;
use std::os::fd::AsFd;

use serde_json::Value;

use super::super::text_file;
use crate::cli::{self, SandboxArgs, Verb};
use crate::error::{Context, Error, Result};
use crate::sys;
use crate::types::InputFile;

const LIMIT: usize = 1 << 20;

/// The options of the file and of the command line together.
pub(super) fn together(file: &InputFile, typed: &[OsString]) -> Result<SandboxArgs> {
    let text = match file {
        InputFile::Stdin => text_file::read_all(sys::file::borrow_stdio(0).as_fd(), LIMIT).at("--spec")?,
        InputFile::File(path) => text_file::read(path.as_path(), LIMIT).at("--spec")?,
    };
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| Error::usage(error.to_string()).field("--spec"))?;
    let words = words(&value)?;
    let parsed = cli::parse_from(splice(typed, words))
        .map_err(|error| Error::usage(cli::usage_text(&error)).field("--spec"))?;
    match parsed.verb {
        Verb::Sandbox(args) => Ok(*args),
        _ => Err(Error::usage("describes no sandbox").field("--spec")),
    }
}

/// The words of the object: options first, then `--` and the program.
fn words(value: &Value) -> Result<(Vec<OsString>, Vec<OsString>)> {
    let object = value.as_object().ok_or_else(|| Error::usage("expected a JSON object").field("--spec"))?;
    let (mut options, mut program) = (vec![], vec![]);
    for (key, value) in object {
        match key.as_str() {
            "args" => program = strings(key, value)?.into_iter().map(OsString::from).collect(),
            "spec" => return Err(Error::usage("a file cannot name another").field("--spec")),
            _ => option(key, value, &mut options)?,
        }
    }
    Ok((options, program))
}

fn option(key: &str, value: &Value, options: &mut Vec<OsString>) -> Result<()> {
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !plain || key.starts_with('-') {
        return Err(Error::usage("is not the long name of an option")
            .field("--spec")
            .object(format!("`{key}`")));
    }
    match value {
        Value::Bool(true) => options.push(format!("--{key}").into()),
        Value::Bool(false) => {}
        _ => options
            .extend(strings(key, value)?.into_iter().map(|text| OsString::from(format!("--{key}={text}")))),
    }
    Ok(())
}

fn strings(key: &str, value: &Value) -> Result<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Error::usage("expected a string, a number, or a list of these")
            .field("--spec")
            .object(format!("`{key}`"))),
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

/// The typed words without `--spec`, with the file's options before the program.
fn splice(typed: &[OsString], (options, program): (Vec<OsString>, Vec<OsString>)) -> Vec<OsString> {
    let end = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let (front, back) = typed.split_at(end);
    let mut all: Vec<OsString> = vec![];
    let mut skip = false;
    for word in front {
        let is_spec = word == "--spec";
        let joined = word.to_string_lossy().starts_with("--spec=");
        if !skip && !is_spec && !joined {
            all.push(word.clone());
        }
        skip = is_spec;
    }
    all.extend(options);
    all.extend(back.iter().cloned());
    if !program.is_empty() {
        if back.is_empty() {
            all.push("--".into());
        }
        all.extend(program);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced(typed: &[&str], json: &str) -> Vec<String> {
        let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let words = words(&serde_json::from_str(json).unwrap()).unwrap();
        splice(&typed, words).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_stands_in_front_of_the_program() {
        let json = r#"{"ro": ["/a:/b"], "memory": "64m", "tty": true, "args": ["ls", "-l"]}"#;
        let all = spliced(&["pinfold", "sandbox", "--spec", "f", "--timeout", "5s"], json);
        let expected = "pinfold sandbox --timeout 5s --ro=/a:/b --memory=64m --tty -- ls -l";
        assert_eq!(all.join(" "), expected);
    }

    #[test]
    fn a_key_cannot_smuggle_another_word() {
        for json in
            [r#"{"ro /etc --rw": "x"}"#, r#"{"-m": "1"}"#, r#"{"ro=x": "y"}"#, r#"{"spec": "x"}"#, "[]"]
        {
            assert!(words(&serde_json::from_str(json).unwrap()).is_err(), "{json}");
        }
    }
}
