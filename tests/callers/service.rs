//! A gateway that runs as root, under the restrictions of the shipped unit: what systemd would do to the
//! mounts and capabilities is read from the unit and done in a mount namespace of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::support::{Bundle, Dir, PINFOLD, Ran, run};
use serde_json::json;

const UNIT: &str = include_str!("../../examples/callers/pinfold-gateway.service");

const POLICY: &str = r#"
version = 1
degraded = true
[root]
directories = ["DIR/bundles"]
[[bind]]
path = "DIR/work"
access = "rw"
[namespaces]
new = ["mount", "pid", "ipc", "uts", "user"]
[user]
uids = ["0-65535"]
gids = ["0-65535"]
[capabilities]
bounding = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
effective = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
permitted = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
[seccomp]
required = false
deny = []
[limits]
memory = "unlimited"
swap = "unlimited"
pids = "unlimited"
cpu = "unlimited"
"#;

/// Other runtimes that are there, the policy, and then the unit's own restrictions (systemd.exec(5)).
const UNDER: &str = r#"
for place in etc usr/bin; do
    mkdir -p "$DIR/over/$place"
    mount -t tmpfs tmpfs "$DIR/over/$place"
    mkdir "$DIR/over/$place/upper" "$DIR/over/$place/work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$DIR/over/$place/upper,workdir=$DIR/over/$place/work" overlay "/$place"
done
install -d -m 755 /etc/pinfold
install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
for runtime in runc crun podman docker bwrap systemd-run; do
    printf '#!/bin/sh\necho STARTED\n' >"/usr/bin/$runtime"; chmod 755 "/usr/bin/$runtime"
done
mkdir -p /run/pinfold; mount -t tmpfs tmpfs /run/pinfold; chmod 700 /run/pinfold
if [ -n "$CONFINED" ]; then
    mount --bind "$DIR" "$DIR"
    for hidden in $INACCESSIBLE /home /root; do
        [ -e "$hidden" ] || continue
        if [ -d "$hidden" ]; then mount --bind "$DIR/nothing" "$hidden"; else mount --bind "$DIR/none" "$hidden"; fi
    done
    cut -d' ' -f5 /proc/self/mountinfo | while read -r mounted; do
        case "$mounted" in
        /proc* | /sys* | /dev* | "$DIR"* | /run/pinfold | /tmp) ;;
        *) mount -o remount,bind,ro "$mounted" ;;
        esac
    done
fi
cd "$DIR"
exec "$@"
"#;

/// A value of the unit, all lines of it.
fn unit(key: &str) -> Vec<&'static str> {
    let of = |line: &'static str| line.strip_prefix(key)?.strip_prefix('=');
    let found: Vec<_> = UNIT.lines().filter_map(of).flat_map(str::split_whitespace).collect();
    assert!(!found.is_empty(), "the unit has no {key}=");
    found
}

pub struct Service {
    pub dir: Dir,
}

impl Service {
    pub fn new() -> Self {
        let dir = Dir::new();
        for name in ["work", "nothing", "bundles", "over"] {
            dir.mkdir(name);
        }
        fs::set_permissions(dir.join("nothing"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(dir.write("none", ""), fs::Permissions::from_mode(0o000)).unwrap();
        dir.write("policy.toml", &POLICY.replace("DIR", dir.path().to_str().unwrap()));
        let mut bundle = Bundle::script(&dir, "bundles/b", "echo ran");
        bundle.new_namespaces(&["user"]);
        bundle.edit(|config| {
            let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm"]);
        });
        Self { dir }
    }

    /// A script of the gateway's, in the unit or, as the control, outside of it.
    #[track_caller]
    pub fn gateway(&self, confined: bool, script: &str) -> Ran {
        let paths = unit("InaccessiblePaths");
        let paths: Vec<_> = paths.iter().map(|path| path.trim_start_matches('-')).collect();
        let caps: Vec<_> = unit("CapabilityBoundingSet");
        let named = |cap: &&str| {
            format!("-{}", cap.trim_start_matches('~').trim_start_matches("CAP_").to_lowercase())
        };
        let caps: Vec<_> = caps.iter().map(named).collect();
        assert_eq!(unit("ProtectSystem"), ["strict"]);
        assert_eq!(unit("NoNewPrivileges"), ["yes"]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", UNDER, "sh"]);
        if confined {
            command.arg("setpriv").arg("--no-new-privs").arg(format!("--bounding-set={}", caps.join(",")));
        }
        command.args(["sh", "-c", script]).current_dir(self.dir.path());
        command.env("DIR", self.dir.path()).env("INACCESSIBLE", paths.join(" ")).env("P", PINFOLD);
        command.env("CONFINED", if confined { "yes" } else { "" }).env("ID", self.dir.id("c"));
        run(&mut command)
    }
}
