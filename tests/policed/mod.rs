//! A host with a policy: scripts that run in a mount namespace of their own, in which /etc/pinfold is the
//! test's and the containers' state is below the test's directory.

#![allow(dead_code)]

use std::process::Command;

use serde_json::{Value, json};

use super::support::{Bundle, Dir, PINFOLD, Ran, run};

const UNDER: &str = r#"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
rm -rf /etc/pinfold; mkdir -m 755 /etc/pinfold
[ -z "$POLICED" ] || install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
cd "$DIR"
exec sh -uc "$1"
"#;

/// What the bundles of `pinfold spec` need, and a workspace.
pub const ALLOWING: &str = r#"
version = 1
[running]
state_roots = ["DIR/state"]
[root]
directories = ["DIR/bundles"]
[[bind]]
path = "DIR/work"
access = "rw"
destinations = ["/tmp"]
[[bind]]
path = "DIR/readable"
[namespaces]
new = ["mount", "pid", "ipc", "uts"]
[user]
uids = ["0", "1000"]
gids = ["0", "1000"]
[capabilities]
bounding = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
effective = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
permitted = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
[process]
environment = ["PATH", "TERM"]
[seccomp]
required = false
deny = []
[cgroups]
path = ["/agents"]
[limits]
memory = "unlimited"
swap = "unlimited"
cpu = "unlimited"
pids = 64
[rlimits]
max = { NOFILE = 1024 }
"#;

pub struct Policed {
    pub dir: Dir,
}

impl Policed {
    /// DIR in the policy is the test's directory.
    pub fn new(policy: &str) -> Self {
        let dir = Dir::new();
        for name in ["etc", "bundles", "work/below", "readable", "secret", "hooks"] {
            dir.mkdir(name);
        }
        let host = Self { dir };
        host.policy(policy);
        host
    }

    pub fn policy(&self, text: &str) {
        self.dir.write("policy.toml", &self.placed(text));
    }

    /// DIR is the test's directory.
    pub fn placed(&self, text: &str) -> String {
        text.replace("DIR", self.dir.path().to_str().unwrap())
    }

    /// A script, in which `$P` is pinfold with the test's state directory, `$ID` a container.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Ran {
        self.ran("yes", script)
    }

    /// The same without the policy: a control.
    #[track_caller]
    pub fn unpoliced(&self, script: &str) -> Ran {
        self.ran("", script)
    }

    #[track_caller]
    fn ran(&self, policed: &str, script: &str) -> Ran {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", UNDER, "sh", script]);
        command.env("DIR", self.dir.path()).env("POLICED", policed).env("PINFOLD", PINFOLD);
        command.env("P", format!("{PINFOLD} --root {}", self.dir.state_root().display()));
        command.env("ID", self.dir.id("c")).current_dir(self.dir.path());
        run(&mut command)
    }

    /// A bundle that the policy allows, with a workspace on /tmp.
    pub fn bundle(&self, name: &str, script: &str) -> Bundle {
        let mut bundle = Bundle::script(&self.dir, &format!("bundles/{name}"), script);
        bundle.edit(|config| {
            config["linux"]["resources"]["pids"] = json!({"limit": 32});
            config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm"]);
        });
        bundle.mount(bind(&self.dir.text("work"), "/tmp", &["rbind", "rw", "nosuid", "nodev"]));
        bundle
    }
}

pub fn bind(source: &str, destination: &str, options: &[&str]) -> Value {
    json!({"source": source, "destination": destination, "type": "bind", "options": options})
}
