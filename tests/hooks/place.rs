//! A bundle whose hooks write a log.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Bundle, Dir, Ran};

pub const AT_CREATE: [&str; 3] = ["prestart", "createRuntime", "createContainer"];
pub const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a shell script: the host's shell, and for startContainer the image's.
pub fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
}

/// A bundle with a writable root whose hooks append to a log on the host; the image's to one inside.
pub struct Place {
    pub dir: Dir,
    pub bundle: Bundle,
    pub id: String,
}

impl Place {
    pub fn new(script: &str) -> Self {
        let dir = Dir::new();
        let mut bundle = Bundle::script(&dir, "bundle", script);
        bundle.edit(|config| config["root"]["readonly"] = json!(false));
        let id = dir.id("hooks");
        Self { dir, bundle, id }
    }

    pub fn set(&mut self, hooks: Value) {
        self.bundle.edit(|config| config["hooks"] = hooks);
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// `echo WORDS` to the log, from either side of the pivot.
    pub fn say(&self, kind: &str, words: &str) -> String {
        match kind {
            "startContainer" => format!("echo {words} >>/tmp/log"),
            _ => format!("echo {words} >>{}", self.log().display()),
        }
    }

    /// What was said, the image's hooks last.
    pub fn said(&self) -> Vec<String> {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let all = read(&self.log()) + &read(&self.bundle.rootfs().join("tmp/log"));
        all.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn create(&self) -> Ran {
        self.dir.pinfold(&["create", "--bundle", self.bundle.text(), &self.id])
    }

    pub fn start(&self) -> Ran {
        self.dir.pinfold(&["start", &self.id])
    }

    pub fn exists(&self) -> bool {
        self.dir.pinfold(&["state", &self.id]).code() == 0
    }
}
