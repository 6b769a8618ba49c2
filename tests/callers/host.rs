//! A host with an account that may start pinfold by sudo, and with things that are root's alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::support::{Bundle, Dir, PINFOLD, Ran, run};

/// In every file that is root's alone.
pub const MARK: &str = "ROOTS-OWN-TEXT";
/// What a script says that got where only root may.
pub const REACHED: &str = "REACHED-IT";
/// The account's uid and gid.
pub const CALLER: u32 = 41234;
const FRAGMENT: &str = include_str!("../../examples/callers/sudoers");

/// Nearly everything: what is refused is refused for the caller's sake.
const POLICY: &str = r#"
version = 1
degraded = true
[running]
state_roots = ["/run/pinfold", "DIR/roots/state"]
[root]
directories = ["/"]
readonly = false
[[bind]]
path = "/"
access = "rw"
types = ["directory", "file", "socket", "fifo"]
floor = []
hard_links = true
cross_mounts = true
idmap = true
[mounts]
masked = []
readonly = []
[namespaces]
new = []
[user]
uids = ["0-4294967294"]
gids = ["0-4294967294"]
host_uids = ["0-4294967294"]
host_gids = ["0-4294967294"]
[capabilities]
bounding = ALLCAPS
effective = ALLCAPS
permitted = ALLCAPS
inheritable = ALLCAPS
ambient = ALLCAPS
[process]
no_new_privs = false
environment = ["*"]
oom_score_adj = -1000
[seccomp]
required = false
deny = []
[devices]
allow = ["c *:* rwm", "b *:* rwm"]
[limits]
memory = "unlimited"
swap = "unlimited"
pids = "unlimited"
cpu = "unlimited"
[cgroups]
path = ["/"]
[annotations]
allow = ["*"]
reports = ["/"]
[sysctls]
allow = ["*"]
[exec]
capabilities = ALLCAPS
users = ["0-4294967294"]
"#;

/// The private part of the host, then the script by whoever it is for.
const UNDER: &str = r#"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
echo 'pinfold-caller:x:41234:41234::/nonexistent:/bin/sh' >>/etc/passwd
echo 'pinfold-caller:!:1::::::' >>/etc/shadow
printf 'pinfold-caller:x:41234:\npinfold-callers:x:41235:pinfold-caller\n' >>/etc/group
install -d -m 755 /etc/pinfold
install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
rm -rf /etc/sudoers.d; install -d -m 755 /etc/sudoers.d
install -m 440 "$FRAGMENT" /etc/sudoers.d/pinfold
mkdir -p /run/pinfold
mount -t tmpfs tmpfs /run/pinfold
chmod 700 /run/pinfold
cd "$HOMEDIR"
if [ -n "${HELPER:-}" ]; then
    (while [ ! -s pid ]; do sleep 0.02; done; exec env "$HELPER=1" setpriv --clear-groups --regid "$(cat pid)" sleep 20) &
    echo $! >"$DIR/helper"
fi
"$@" || code=$?
[ -z "${HELPER:-}" ] || kill "$(cat "$DIR/helper")" || true
rmdir /sys/fs/cgroup/*/pinfold-callers/41234 /sys/fs/cgroup/pinfold-callers/41234 2>/dev/null || true
exit ${code:-0}
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// The account, which has `sudo` in front of pinfold.
    Caller,
    Root,
}

pub struct Host {
    pub dir: Dir,
    /// roots/shared/socket: everybody sees it, and root alone may connect.
    pub socket: UnixListener,
}

impl Host {
    pub fn new() -> Self {
        let dir = Dir::new();
        dir.mkdir("etc");
        dir.mkdir("roots/shared");
        let socket = UnixListener::bind(dir.join("roots/shared/socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        mode(&dir.join("roots/shared/socket"), 0o755);
        let host = Self { dir, socket };
        let caps: Vec<_> = caps::all().into_iter().map(|cap| cap.to_string()).collect();
        let policy = POLICY.replace("DIR", host.dir.path().to_str().unwrap());
        host.dir.write("policy.toml", &policy.replace("ALLCAPS", &format!("{caps:?}")));
        host.dir.write("fragment", &FRAGMENT.replace("/usr/local/bin/pinfold", PINFOLD));
        host.make_home();
        host.make_roots();
        host
    }

    fn bundle(&self, name: &str, script: &str) -> Bundle {
        let mut bundle = Bundle::script(&self.dir, name, script);
        bundle.new_namespaces(&["user"]);
        fs::write(bundle.rootfs().join("m"), "a mount point").unwrap();
        bundle.edit(|config| {
            let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        });
        bundle
    }

    /// The caller's own things: a bundle with a root, and a place to write.
    fn make_home(&self) {
        self.bundle("home/bundle", "echo ran");
        own(&self.dir.join("home"), CALLER);
    }

    /// Root's: files of its own, a directory that nobody enters, one that everybody reads with a
    /// file in it that nobody else does, and a place that root alone writes.
    fn make_roots(&self) {
        let dir = &self.dir;
        for name in ["roots/hidden", "roots/readable", "roots/w"] {
            dir.mkdir(name);
        }
        let secret = |name: &str, text: &str| mode(&dir.write(&format!("roots/{name}"), text), 0o600);
        secret("secret", &format!("{MARK}\n"));
        secret("env", &format!("{MARK}=1\n"));
        secret("toml", &format!("version = 1\n{MARK} = 1\n"));
        secret(
            "action.json",
            &json!({"ociVersion": "1.0.2", "linux": {"seccomp": {"defaultAction": MARK}}}).to_string(),
        );
        secret("limits.json", &json!({"pids": {"limit": 77}}).to_string());
        secret("process.json", &json!({"args": ["/bin/echo", MARK], "cwd": "/"}).to_string());
        secret("spec.json", &json!({"args": ["echo", MARK]}).to_string());
        secret("filter.json", &json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}).to_string());
        secret("readable/shadow", &format!("{MARK}\n"));
        mode(&dir.write("roots/readable/public", "public\n"), 0o644);
        mode(&dir.write("roots/shared/file", "root's\n"), 0o644);
        mode(&dir.write("roots/hidden/file", &format!("{MARK}\n")), 0o644);
        mode(&dir.write("roots/hidden/open", "root's\n"), 0o666);
        let bundle = self.bundle("roots/hidden/bundle", &format!("echo {MARK}"));
        fs::copy(bundle.path.join("config.json"), dir.join("roots/config.json")).unwrap();
        mode(&dir.join("roots/config.json"), 0o600);
        let image = self.bundle("roots/image", "");
        mode(&dir.write("roots/image/rootfs/etc/shadow", &format!("{MARK}\n")), 0o600);
        fs::remove_file(image.path.join("config.json")).unwrap();
        mode(&dir.join("roots/hidden"), 0o700);
        mode(&dir.join("roots/shared"), 0o1777);
    }

    /// Runs a script in the caller's home. In it `$P` is pinfold as this caller starts it.
    #[track_caller]
    pub fn shell(&self, who: As, script: &str) -> Ran {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--propagation", "private", "sh", "-euc", UNDER, "sh"]);
        let start = match who {
            As::Caller => {
                command.args(["setpriv", "--reuid=41234", "--regid=41234", "--init-groups"]);
                format!("sudo -n {PINFOLD}")
            }
            As::Root => PINFOLD.to_owned(),
        };
        command.args(["sh", "-c", script]).current_dir(self.dir.path());
        for (name, value) in [
            ("DIR", self.dir.text("")),
            ("FRAGMENT", self.dir.text("fragment")),
            ("HOMEDIR", self.dir.text("home")),
            ("ROOTS", self.dir.text("roots")),
            ("ID", self.dir.id("c")),
            ("PINFOLD", PINFOLD.to_owned()),
            ("P", start),
            ("REACHED", super::REACHED.to_owned()),
        ] {
            command.env(name, value);
        }
        if script.contains("$P ps") {
            command.env("HELPER", MARK);
        }
        command.env_remove("SUDO_UID").env_remove("SUDO_GID");
        run(&mut command)
    }

    /// Everything that is root's: owner, mode, times of change, content.
    pub fn roots(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        walk(&self.dir.join("roots"), &mut all);
        all
    }

    /// What lies in the caller's home, but for the bundle.
    pub fn written_by_caller(&self) -> String {
        let mut all = BTreeMap::new();
        walk(&self.dir.join("home"), &mut all);
        let of = |(path, text): (String, String)| (!path.contains("/bundle")).then_some(text);
        all.into_iter().filter_map(of).collect()
    }

    pub fn forget_caller(&self) {
        for entry in fs::read_dir(self.dir.join("home")).unwrap().flatten() {
            if entry.file_name() != "bundle" {
                fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path())).unwrap();
            }
        }
    }
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

fn own(path: &Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            own(&entry.path(), id);
        }
    }
}

fn walk(path: &Path, all: &mut BTreeMap<String, String>) {
    let stat = fs::symlink_metadata(path).unwrap();
    let content = if stat.is_file() { fs::read(path).unwrap() } else { vec![] };
    let content =
        if content.len() < 65536 { String::from_utf8_lossy(&content).into_owned() } else { String::new() };
    let line = format!(
        "{:o} {}:{} {}.{} {content}",
        stat.mode(),
        stat.uid(),
        stat.gid(),
        stat.mtime(),
        stat.mtime_nsec()
    );
    // Everybody may make a file there.
    let line = if path.ends_with("roots/shared") { String::new() } else { line };
    all.insert(path.display().to_string(), line);
    if stat.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            walk(&entry.path(), all);
        }
    }
}
