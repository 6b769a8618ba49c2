//! Promise: what comes from a registry is what was asked for, or nothing; who answers learns no
//! account of another, and gets no further than the confined process that asks.
//!
//! Debian's docker-registry and skopeo run from target/peers/registry (tests/setup.sh registry)
//! in namespaces of each test's own, where /etc/pinfold and /var/lib/pinfold are the test's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Dir, PINFOLD, Ran, run};

/// $1: the test's directory, $2: the tree of the registry. $1 is /mnt inside the tree.
const PLACE: &str = r#"
ip link set lo up
mkdir -p "$1/etc" "$1/reg"
mount -t tmpfs tmpfs "$1/etc"
mkdir "$1/etc/upper" "$1/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc/upper,workdir=$1/etc/work" overlay /etc
mkdir -m 755 /etc/pinfold
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount --bind "$1" "$2/mnt"
mount --bind /dev "$2/dev"
mount -t tmpfs tmpfs "$2/tmp"
mount -t tmpfs tmpfs "$2/var/tmp"
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -keyout ca.key -out ca.pem \
    -addext basicConstraints=critical,CA:TRUE 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry -keyout tls.key -out tls.csr 2>/dev/null
echo 'subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1' >ext
openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tls.pem 2>/dev/null
install -m 644 ca.pem /etc/pinfold/ca.pem
echo ready
exec sleep 600
"#;

/// $1 port, $2 "tls" or "", $3 "auth" or "".
const REGISTRY: &str = r#"
{
    printf 'version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: /mnt/reg\nhttp:\n  addr: 127.0.0.1:%s\n' "$1"
    [ -z "$2" ] || printf '  tls:\n    certificate: /mnt/tls.pem\n    key: /mnt/tls.key\n'
    [ -z "$3" ] || printf 'auth:\n  htpasswd:\n    realm: here\n    path: /mnt/htpasswd\n'
} >"$DIR/config-$1.yml"
perl -e 'print "user:", crypt("secret", q($2y$05$abcdefghijklmnopqrstuu)), "\n"' >"$DIR/htpasswd"
exec chroot "$TREE" /usr/bin/docker-registry serve "/mnt/config-$1.yml"
"#;

const TLS: &str = "127.0.0.1:5000";
const PLAIN: &str = "127.0.0.1:5001";
const HOSTILE: &str = "127.0.0.1:5002";
const HOSTILE_PLAIN: &str = "127.0.0.1:5003";

struct Place {
    dir: Dir,
    holder: Child,
    servers: Vec<Child>,
}

impl Place {
    fn new() -> Self {
        support::need_root();
        support::programs::build_the_fetcher();
        let dir = Dir::new();
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--net", "--propagation", "private", "sh", "-euc", PLACE, "sh"]);
        let mut holder = holder.arg(dir.path()).arg(tree()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready)
            .expect("the place is not ready");
        Self { dir, holder, servers: vec![] }
    }

    /// A program inside.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--target", &self.holder.id().to_string(), "--wd=/", program]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.dir.text("home"));
        command.env("DIR", self.dir.path()).env("TREE", tree());
        command
    }

    #[track_caller]
    fn sh(&self, script: &str) -> Ran {
        let ran = run(self.inside("sh").args(["-euc", script]));
        assert_eq!(ran.code(), 0, "{script}: {ran:?}");
        ran
    }

    fn pull(&self, args: &[&str]) -> Ran {
        run(self.inside(PINFOLD).args(["image", "pull"]).args(args))
    }

    #[track_caller]
    fn refused(&self, args: &[&str], words: &str) -> Ran {
        let ran = self.pull(args);
        assert_ne!(ran.code(), 0, "{args:?}: {ran:?}");
        assert!(ran.err.contains(words), "{args:?}: not `{words}`: {ran:?}");
        assert!(self.images().is_empty(), "{args:?} has a name");
        ran
    }

    fn serve(&mut self, command: &mut Command, port: u16) {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.servers.push(child);
        let listening = format!("cat /proc/net/tcp | grep -q ':{port:04X} 00000000:0000 0A'");
        support::await_that("a server listens", || {
            run(self.inside("sh").args(["-c", &listening])).status.success()
        });
    }

    /// docker-registry on [`TLS`] with an account, and on [`PLAIN`] without one, of the same storage.
    fn registries(&mut self) {
        for (port, tls, auth) in [(5000, "tls", "auth"), (5001, "", "")] {
            let mut command = self.inside("sh");
            command.args(["-euc", REGISTRY, "sh", &port.to_string(), tls, auth]);
            self.serve(&mut command, port);
        }
    }

    /// The hostile server on [`HOSTILE`] (TLS), on [`HOSTILE_PLAIN`], and on a port more.
    fn hostile(&mut self, challenge: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registry/hostile.py");
        let log = self.dir.text("log");
        self.dir.write("log.challenge", challenge);
        let (certificate, key) = (self.dir.text("tls.pem"), self.dir.text("tls.key"));
        for (port, tls) in [(5002, true), (5003, false), (5004, true)] {
            let mut command = self.inside("python3");
            command.args([script, &log, &port.to_string()]);
            if tls {
                command.args([&certificate, &key]);
            }
            self.serve(&mut command, port);
        }
    }

    /// The owner's file; `ca` is the test's in every registry.
    fn configure(&self, text: &str) {
        self.dir.write("registries.toml", text);
        self.sh("install -m 644 $DIR/registries.toml /etc/pinfold/registries.toml");
    }

    /// One that trusts the test's authority for both TLS servers.
    fn trusting(&self, more: &str) {
        // That the plain server's port may be connected to leaves the refusal of plain HTTP to stand alone.
        let registry =
            |name| format!("[[registry]]\nname = '{name}'\nca = '/etc/pinfold/ca.pem'\nports = [5003]\n");
        self.configure(&format!("version = 1\n{more}\n{}{}", registry(TLS), registry(HOSTILE)));
    }

    fn account(&self, host: &str) -> String {
        // user:secret
        let text = format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#);
        self.dir.write("auth.json", &text).display().to_string()
    }

    /// Makes an image and has skopeo put it there: the digests of its index and its manifest.
    fn image(&self, name: &str, bytes: usize) -> (String, String) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registry/image.py");
        let layout = self.dir.text(&format!("layout-{name}"));
        let made = run(Command::new("python3").args([script, &layout, "1", &bytes.to_string()]));
        let (index, manifest) =
            made.ok().trim().split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        self.sh(&format!(
            "chroot $TREE skopeo copy --quiet --all --dest-tls-verify=false oci:/mnt/layout-{name}:1 docker://{PLAIN}/{name}:1"
        ));
        (index, manifest)
    }

    /// The store's blobs, each of which must be what its name says.
    #[track_caller]
    fn blobs(&self) -> usize {
        let ran = self.sh(
            "cd /var/lib/pinfold/blobs/sha256 2>/dev/null || exit 0
            for blob in *; do [ ! -e $blob ] || sha256sum $blob; done | awk '$1 != $2 { print \"WRONG\", $0 } { n++ } END { print n + 0 }'",
        );
        assert!(!ran.out.contains("WRONG"), "{ran:?}");
        ran.out.trim().parse().unwrap_or(0)
    }

    /// The names in the store.
    fn images(&self) -> String {
        self.sh("cat /var/lib/pinfold/index.json 2>/dev/null || true")
            .out
            .replace(r#"{"version":1,"images":[]}"#, "")
    }

    fn forget(&self) {
        self.sh("rm -rf /var/lib/pinfold");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Processes inside that are neither the holder nor a server.
    fn left(&self) -> Vec<String> {
        let ours = std::fs::read_link(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let mut left = vec![];
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let same = std::fs::read_link(entry.path().join("ns/net")).is_ok_and(|net| net == ours);
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if same && name.starts_with("pinfold") {
                left.push(format!("{} {}", entry.file_name().to_string_lossy(), name.trim()));
            }
        }
        left
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for server in self.servers.iter_mut().chain([&mut self.holder]) {
            server.kill().ok();
            server.wait().ok();
        }
    }
}

fn tree() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("peers/registry");
    assert!(tree.is_dir(), "{}: run `tests/setup.sh registry`", tree.display());
    tree
}

#[test]
fn an_image_comes_by_tag_and_by_digest_over_tls_and_with_an_account() {
    let mut place = Place::new();
    place.registries();
    let (index, manifest) = place.image("tools/a", 300_000);
    place.trusting("");
    let reference = format!("{TLS}/tools/a:1");
    let authfile = place.account(TLS);
    place.refused(&[&reference], "--authfile");
    place.refused(&[&reference, "--authfile", &place.account("127.0.0.1")], "account");
    place.account(TLS);
    let ran = place.pull(&[&reference, "--authfile", &authfile]);
    assert_eq!(ran.ok().trim(), format!("{TLS}/tools/a@{index}"));
    // Index or not, the manifest, its configuration and three layers.
    assert!(place.blobs() >= 5);
    assert!(place.images().contains(&manifest), "{}", place.images());
    for digest in [&index, &manifest] {
        place.pull(&[&format!("{TLS}/tools/a@{digest}"), "--authfile", &authfile]).ok();
        // The digest that the reference meant finds the image again.
        let inspected = place.sh(&format!("{PINFOLD} image inspect {reference}@{digest}"));
        assert!(inspected.ok().contains(&format!("\"digest\": \"{manifest}\"")), "{inspected:?}");
    }
    place.forget();
    place.refused(
        &[&format!("{TLS}/tools/a@sha256:{}", "0".repeat(64)), "--authfile", &authfile],
        "sha256:000",
    );
    place.refused(&[&format!("{TLS}/tools/b:1"), "--authfile", &authfile], "tools/b");
    place.refused(&[&reference, "--authfile", &authfile, "--platform", "linux/riscv64"], "linux/riscv64");
    place.pull(&[&reference, "--authfile", &authfile, "--platform", "linux/arm64"]).ok();
}

#[test]
fn plain_http_and_strange_certificates_are_refused_unless_named() {
    let mut place = Place::new();
    place.registries();
    place.image("a", 3000);
    let (plain, tls) = (format!("{PLAIN}/a:1"), format!("{TLS}/a:1"));
    place.refused(&[&plain], PLAIN);
    place.refused(&[&tls], "certificate");
    for other in [TLS, "127.0.0.1", "nobody.example"] {
        let own = format!("which is {PLAIN}");
        place.refused(&[&plain, "--insecure-registry", other], &own);
        place.refused(&[&plain, "--insecure-registry", PLAIN, "--insecure-registry", other], &own);
    }
    // While a policy stands, only the owner's file names such addresses.
    place.sh("echo 'version = 1' >/etc/pinfold/policy.toml");
    place.refused(&[&plain, "--insecure-registry", PLAIN], "--insecure-registry");
    place.configure(&format!("version = 1\n[[registry]]\nname = '{PLAIN}'\ninsecure = true"));
    place.pull(&[&plain]).ok();
    place.forget();
    place.sh("rm /etc/pinfold/*.toml");
    place.pull(&[&plain, "--insecure-registry", PLAIN]).ok();
    // The owner's file decides only where nobody else can have written it.
    place.forget();
    place.configure("version = 1");
    let twice = format!(
        "version = 1\n[[registry]]\nname = '{PLAIN}'\ninsecure = true\n[[registry]]\nname = '{PLAIN}'"
    );
    place.configure(&twice);
    place.refused(&[&plain], "at lines 3 and 6");
    place.configure("version = 1");
    place.sh("chmod 666 /etc/pinfold/registries.toml");
    place.refused(&[&plain, "--insecure-registry", PLAIN], "written by");
}

#[test]
fn a_name_is_resolved_where_the_owner_says() {
    let mut place = Place::new();
    place.registries();
    place.hostile("");
    let (index, _) = place.image("a", 3000);
    // Hosts by name: /etc/hosts, read by the confined process itself.
    place.configure(
        "version = 1\ndefault = 'r.example'\n[[registry]]\nname = 'r.example'\nlocation = 'localhost:5001'\ninsecure = true",
    );
    assert_eq!(place.pull(&["a:1"]).ok().trim(), format!("r.example/a@{index}"));
    place.forget();
    // Docker Hub's own rule, and no registry where the owner names none.
    let (official, _) = place.image("library/a", 3000);
    let hub = "[[registry]]\nname = 'docker.io'\nlocation = 'localhost:5001'\ninsecure = true";
    place.configure(&format!("version = 1\ndefault = 'docker.io'\n{hub}"));
    for name in ["a:1", "docker.io/a:1", "docker.io/library/a:1"] {
        assert_eq!(place.pull(&[name]).ok().trim(), format!("docker.io/library/a@{official}"), "{name}");
        place.forget();
    }
    place.configure(&format!("version = 1\n{hub}"));
    place.refused(&["a:1"], "names no registry");
    // A mirror that is not there, and one that gives something else, are passed over; neither is
    // asked what a tag means.
    place.configure(&format!(
        "version = 1\n[[registry]]\nname = 'r.example'\nlocation = '{PLAIN}'\ninsecure = true
        [[registry.mirror]]\nlocation = '127.0.0.1:1'\ninsecure = true
        [[registry.mirror]]\nlocation = '{HOSTILE_PLAIN}'\ninsecure = true"
    ));
    let ran = place.pull(&["r.example/a:1"]);
    assert_eq!(ran.ok().trim(), format!("r.example/a@{index}"));
    assert!(ran.err.contains("127.0.0.1:1") && ran.err.contains(HOSTILE_PLAIN), "{ran:?}");
    assert!(!place.log().contains("/v2/a/manifests/1 "), "{}", place.log());
    place.forget();
    // The good mirror gives the content, the hostile registry only said what the tag means.
    place.configure(&format!(
        "version = 1\n[[registry]]\nname = 'r.example'\nlocation = '127.0.0.1:1'\ninsecure = true
        [[registry.mirror]]\nlocation = '{PLAIN}'\ninsecure = true\ntags = true"
    ));
    place.pull(&["r.example/a:1"]).ok();
    place.blobs();
}

/// What the hostile registry does, by repository, and the words of the refusal.
const WRONGS: &[(&str, &str)] = &[
    ("wrong-digest", "has the digest"),
    ("endless", "is larger than"),
    ("small-size", "is larger than"),
    ("large-size", "is larger than"),
    ("traversal", "64 lower-case"),
    ("both", "`layers`"),
    ("huge-manifest", "is larger than"),
    ("endless-manifest", "pinfold-fetch"),
    ("many-layers", "more than"),
    ("deep", "indexes within"),
    ("index-bomb", "more than"),
    ("gzip", ""),
    // The server ends without close_notify, or at a place where that is not seen.
    ("truncated", HOSTILE),
    ("missing", "?[31mno? such"),
    ("to-http", "plain HTTP"),
    ("round", "redirect"),
    ("foreign-port", ""),
];

#[test]
fn a_hostile_registry_gets_nothing_in() {
    let mut place = Place::new();
    place.hostile("");
    place.trusting("[limits]\nstall = '10s'\ntime = '60s'\nblob = '1g'");
    let before = Instant::now();
    for (mode, words) in WRONGS {
        let ran = place.refused(&[&format!("{HOSTILE}/{mode}:1")], words);
        assert!(!ran.err.contains('\u{1b}'), "{mode}: {ran:?}");
        place.blobs();
        assert!(place.left().is_empty(), "{mode}: {:?}", place.left());
    }
    assert!(before.elapsed() < Duration::from_secs(120), "{:?}", before.elapsed());
    let log = place.log();
    assert!(log.matches("/v2/round/blobs/").count() < 40, "{log}");
    // The controls: the same server, when it behaves, and the port that it led to, when it is named.
    place.configure(&format!(
        "version = 1\n[[registry]]\nname = '{HOSTILE}'\nca = '/etc/pinfold/ca.pem'\nports = [5004]"
    ));
    place.pull(&[&format!("{HOSTILE}/foreign-port:1")]).ok();
    place.forget();
    place.pull(&[&format!("{HOSTILE}/good:1")]).ok();
    assert_eq!(place.blobs(), 3);
}

#[test]
fn a_slow_registry_is_given_up() {
    let mut place = Place::new();
    place.hostile("");
    place.trusting("[limits]\nstall = '1s'\ntime = '3s'");
    let before = Instant::now();
    place.refused(&[&format!("{HOSTILE}/loris:1")], "takes longer than");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert!(place.log().matches("/v2/loris/blobs/").count() > 2, "it was not tried again: {}", place.log());
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let mut place = Place::new();
    place.hostile("");
    place.trusting("");
    place.pull(&[&format!("{HOSTILE}/resumed:1")]).ok();
    assert!(place.log().contains("bytes=70000-") && place.log().contains("bytes=280000-"), "{}", place.log());
    assert_eq!(place.blobs(), 3);
    place.forget();
    // A registry that knows no ranges sends all of it again.
    place.pull(&[&format!("{HOSTILE}/no-ranges:1")]).ok();
    assert_eq!(place.blobs(), 3);
    place.forget();
    // What a hostile one left half done does not spoil the next pull.
    place.refused(&[&format!("{HOSTILE}/truncated:1")], "");
    place.sh("cd /var/lib/pinfold/tmp && for half in blob-*; do printf XXXXXXXX | dd of=$half conv=notrunc 2>/dev/null; done");
    place.pull(&[&format!("{HOSTILE}/good:1")]).ok();
    assert_eq!(place.blobs(), 3);
}

#[test]
fn an_account_is_told_to_its_own_registry_alone() {
    let mut place = Place::new();
    place.hostile(&format!("Bearer realm=\"https://{HOSTILE}/token\",service=\"s\""));
    place.trusting("");
    let authfile = place.account(HOSTILE);
    place.pull(&[&format!("{HOSTILE}/to-other-host:1"), "--authfile", &authfile]).ok();
    let log = place.log();
    let to = |host: &str| log.lines().filter(|line| line.starts_with(host)).collect::<Vec<_>>();
    // The control: it did get the account, for the token, and the token.
    assert!(
        to(HOSTILE).iter().any(|line| line.contains("/token") && line.contains("Basic dXNlcjpzZWNyZXQ=")),
        "{log}"
    );
    assert!(
        to(HOSTILE).iter().any(|line| line.contains("/blobs/") && line.contains("Bearer t0ken")),
        "{log}"
    );
    assert!(to("localhost").iter().any(|line| line.contains("/elsewhere")), "{log}");
    assert!(to("localhost").iter().all(|line| line.ends_with("None")), "{log}");
    // A registry that is never content is asked a few times.
    place.forget();
    place.refused(&[&format!("{HOSTILE}/loop:1"), "--authfile", &authfile], "account");
    assert!(place.log().matches("/v2/loop/").count() < 8, "{}", place.log());
}

#[test]
fn a_token_server_in_plain_http_gets_no_account() {
    let mut place = Place::new();
    place.hostile(&format!("Bearer realm=\"http://{HOSTILE_PLAIN}/token\",service=\"s\""));
    place.trusting("");
    place.refused(&[&format!("{HOSTILE}/loop:1"), "--authfile", &place.account(HOSTILE)], "account");
    assert!(place.log().contains("/v2/ "), "{}", place.log());
    assert!(!place.log().contains("/token") && !place.log().contains("Basic"), "{}", place.log());
    // The control: the same words lead there, where plain HTTP is asked for.
    place.refused(
        &[
            &format!("{HOSTILE_PLAIN}/loop:1"),
            "--insecure-registry",
            HOSTILE_PLAIN,
            "--authfile",
            &place.account(HOSTILE_PLAIN),
        ],
        "account",
    );
    assert!(place.log().contains("/token"), "{}", place.log());
}

#[test]
fn helpers_and_files_of_accounts_are_the_caller_s_own() {
    let mut place = Place::new();
    place.registries();
    place.image("a", 3000);
    place.trusting("");
    let helper = "#!/bin/sh\nread host; [ \"$1 $host\" = 'get 127.0.0.1:5000' ] && echo '{\"Username\": \"user\", \"Secret\": \"secret\"}'\n";
    place.dir.write("helper", helper);
    place.sh("mkdir -p $DIR/bin; install -m 755 $DIR/helper $DIR/bin/docker-credential-test");
    let authfile = place.dir.write("auth.json", &format!(r#"{{"credHelpers": {{"{TLS}": "test"}}}}"#));
    let reference = format!("{TLS}/a:1");
    let path = format!("{}:/usr/bin:/bin", place.dir.text("bin"));
    let pull = |place: &Place, path: &str| {
        let mut command = place.inside(PINFOLD);
        run(command.env("PATH", path).args(["image", "pull", &reference, "--authfile"]).arg(&authfile))
    };
    pull(&place, &path).ok();
    place.forget();
    assert!(pull(&place, "/usr/bin").err.contains("docker-credential-test"));
    place.sh("chmod 777 $DIR/bin/docker-credential-test");
    assert!(pull(&place, &path).err.contains("nobody else can write"));
    place.sh("chmod 755 $DIR/bin/docker-credential-test");
    // The places of podman and Docker, and the variable.
    let account = place.account(TLS);
    let with = |name: &str, value: &str| {
        run(place.inside(PINFOLD).env(name, value).args(["image", "pull", &reference]))
    };
    with("REGISTRY_AUTH_FILE", &account).ok();
    place.sh("mkdir -p $DIR/home/.docker; cp $DIR/auth.json $DIR/home/.docker/config.json");
    place.pull(&[&reference]).ok();
    place.sh("chmod 666 $DIR/home/.docker/config.json");
    assert!(place.pull(&[&reference]).err.contains("written by"));
}

#[test]
fn killed_at_any_moment_the_store_holds_and_the_next_pull_succeeds() {
    let mut place = Place::new();
    place.registries();
    place.image("big", 24_000_000);
    let reference = format!("{PLAIN}/big:1");
    let arguments = [&*reference, "--insecure-registry", PLAIN];
    let begun = Instant::now();
    place.pull(&arguments).ok();
    let whole = begun.elapsed();
    place.forget();
    let mut interrupted = 0;
    for _ in 0..20 * support::count() {
        let pulling = support::start(place.inside(PINFOLD).args(["image", "pull"]).args(arguments));
        let mut random = [0];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        std::thread::sleep(whole * u32::from(random[0]) / 255);
        let running = !place.left().is_empty();
        pulling.kill_9();
        support::await_that("the client ends with pinfold", || place.left().is_empty());
        place.blobs();
        place.sh(&format!("{PINFOLD} image verify"));
        if !place.images().is_empty() {
            place.forget();
        } else if running {
            interrupted += 1;
        }
        // The others go on with what several interrupted pulls left.
        if random[0] % 3 != 0 {
            place.pull(&arguments).ok();
            place.sh(&format!("{PINFOLD} image verify"));
            place.forget();
        }
    }
    println!("{interrupted} of {} pulls were interrupted", 20 * support::count());
    assert!(interrupted > 0, "no pull was interrupted");
    place.pull(&arguments).ok();
    assert!(place.blobs() >= 5);
    assert_eq!(place.sh("ls /var/lib/pinfold/tmp").out, "");
}

#[test]
fn the_client_has_no_rights_and_no_descriptors_of_ours() {
    let mut place = Place::new();
    place.hostile("");
    place.trusting("[limits]\nstall = '20s'");
    let mut command = place.inside("sh");
    // A descriptor, a variable and a directory of the caller's, none of which may get there.
    command.args(["-c", "exec 9</etc/passwd; cd /root; SECRET=x exec \"$0\" image pull \"$1\"", PINFOLD]);
    let pulling = support::start(command.arg(format!("{HOSTILE}/loris:1")));
    support::await_that("the transfer begins", || place.log().contains("/v2/loris/blobs/"));
    let left = place.left();
    let client =
        left.iter().find(|line| line.ends_with(" pinfold-fetch")).unwrap_or_else(|| panic!("{left:?}"));
    let proc = PathBuf::from("/proc").join(client.split(' ').next().unwrap());
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{status}");
    }
    assert_eq!(
        (line("NoNewPrivs:"), line("Seccomp:"), line("Groups:")),
        ("1".into(), "2".into(), String::new()),
        "{status}"
    );
    for ids in ["Uid:", "Gid:"] {
        assert!(line(ids).split('\t').all(|id| id.parse::<u32>().unwrap() >= 0x2000_0000), "{status}");
    }
    assert_eq!(std::fs::read(proc.join("environ")).unwrap(), b"");
    assert_eq!(std::fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    for fd in std::fs::read_dir(proc.join("fd")).unwrap().flatten() {
        let target = std::fs::read_link(fd.path()).unwrap().display().to_string();
        let known =
            ["socket:", "pipe:", "anon_inode:", "/dev/null"].iter().any(|start| target.starts_with(start));
        assert!(known, "{target}");
    }
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    assert!(limits.contains("Max file size             0                    0"), "{limits}");
    pulling.kill_9();
    support::await_that("the client ends with pinfold", || place.left().is_empty());
}

/// $1 the key's kind, $2 the digest, $3 the name, $4 "sha256-...", $5 the key's file. The image
/// is put there as cosign does: a manifest with one layer, which is the payload.
const SIGN: &str = r#"
cd "$DIR"
rm -rf sig; mkdir -p sig/blobs/sha256
printf '{"critical":{"identity":{"docker-reference":"%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}' \
    "$3" "$2" >payload
case $1 in
p256) signature=$(openssl dgst -sha256 -sign "$5" payload | base64 -w0) ;;
ed25519) signature=$(openssl pkeyutl -sign -inkey "$5" -rawin -in payload | base64 -w0) ;;
none) signature= ;;
esac
[ "$6" != changed ] || printf ' ' >>payload
blob() { d=$(sha256sum <"$1" | cut -d' ' -f1); cp "$1" "sig/blobs/sha256/$d"; printf '{"mediaType":"%s","digest":"sha256:%s","size":%s' "$2" "$d" "$(stat -c %s "$1")"; }
printf '{"os":"","architecture":"","rootfs":{"type":"layers","diff_ids":[]}}' >config
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s},"layers":[%s,"annotations":{"dev.cosignproject.cosign/signature":"%s"}}]}' \
    "$(blob config application/vnd.oci.image.config.v1+json)" "$(blob payload application/vnd.dev.cosign.simplesigning.v1+json)" "$signature" >manifest
printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"s"}}]}' \
    "$(blob manifest application/vnd.oci.image.manifest.v1+json)" >sig/index.json
echo '{"imageLayoutVersion":"1.0.0"}' >sig/oci-layout
chroot "$TREE" skopeo copy --quiet --dest-tls-verify=false oci:/mnt/sig:s "docker://127.0.0.1:5001/tools/a:$4"
"#;

impl Place {
    /// Keys of one kind: their names in the test's directory.
    fn keys(&self) {
        self.sh("cd $DIR
            for name in p256 other; do openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $name 2>/dev/null; done
            openssl genpkey -algorithm ED25519 -out ed25519
            for name in p256 other ed25519; do openssl pkey -in $name -pubout -out $name.pub; done");
    }

    #[track_caller]
    fn sign(&self, kind: &str, digest: &str, name: &str, image: &str, key: &str, how: &str) {
        let tag = image.replace(':', "-") + ".sig";
        let mut command = self.inside("sh");
        command.args(["-euc", SIGN, "sh", kind, digest, name, &tag, key, how]);
        let ran = run(&mut command);
        assert_eq!(ran.code(), 0, "{ran:?}");
    }
}

#[test]
fn only_a_signature_of_the_key_about_this_image_counts() {
    let mut place = Place::new();
    place.registries();
    let (index, manifest) = place.image("tools/a", 3000);
    let (other, _) = place.image("tools/b", 6000);
    place.keys();
    let reference = format!("{PLAIN}/tools/a:1");
    let name = format!("{PLAIN}/tools/a");
    let key = |name: &str| place.dir.text(&format!("{name}.pub"));
    let pull = |key: &str| {
        [reference.clone(), "--insecure-registry".into(), PLAIN.into(), "--verify-key".into(), key.to_owned()]
    };
    let refused = |with: &str, words: &str| {
        let args = pull(&key(with));
        place.refused(&args.each_ref().map(String::as_str), words);
    };
    refused("p256", "without a signature");
    for (kind, digest, name, file, how, words) in [
        ("p256", &index, name.as_str(), "other", "", "the key did not make"),
        ("ed25519", &index, &name, "ed25519", "", "the key did not make"),
        ("none", &index, &name, "p256", "", "the key did not make"),
        ("p256", &index, &name, "p256", "changed", "the key did not make"),
        ("p256", &other, &name, "p256", "", "another digest"),
        ("p256", &manifest, &name, "p256", "", "another digest"),
        ("p256", &index, "127.0.0.1:5001/tools/b", "p256", "", "another name"),
        ("p256", &index, "tools/a", "p256", "", "another name"),
        ("p256", &index, "127.0.0.1:5001/tools/a:2", "p256", "", "another name"),
    ] {
        place.sign(kind, digest, name, &index, file, how);
        refused("p256", words);
    }
    for kind in ["p256", "ed25519"] {
        place.sign(kind, &index, &name, &index, kind, "");
        let args = pull(&key(kind));
        place.pull(&args.each_ref().map(String::as_str)).ok();
        place.forget();
    }
    refused("p256", "the key did not make");
}

/// `[[signature]]`: without an option, and nothing is in the store that has no signature.
#[test]
fn a_pull_meets_what_the_policy_demands() {
    let mut place = Place::new();
    place.registries();
    let (index, _) = place.image("tools/a", 3000);
    place.keys();
    place.configure(&format!("version = 1\n[[registry]]\nname = '{PLAIN}'\ninsecure = true\n"));
    let name = format!("{PLAIN}/tools/a");
    let reference = format!("{name}:1");
    let install = |key: &str| place.sh(&format!("install -m 644 $DIR/{key}.pub /etc/pinfold/k.pem"));
    let sum =
        |key: &str| place.sh(&format!("sha256sum $DIR/{key}.pub")).ok().split(' ').next().unwrap().to_owned();
    let policy = |more: &str, images: &str, key: &str| {
        let text = format!(
            "version = 1\n{more}\n[[signature]]\nimages = [\"{images}\"]\nkeys = [{{ path = \"/etc/pinfold/k.pem\", sha256 = \"{key}\" }}]\n"
        );
        place.dir.write("policy.toml", &text);
        place.sh("install -m 644 $DIR/policy.toml /etc/pinfold/policy.toml");
    };
    let tools = format!("{PLAIN}/tools/*");
    place.refused(&[&reference, "--verify-key", &place.dir.text("p256.pub")], "without a signature");
    policy("", &tools, &sum("p256"));
    place.refused(&[&reference], "k.pem: is missing");
    install("other");
    place.refused(&[&reference], "is another key");
    place.sh("chown 1 /etc/pinfold/k.pem");
    place.refused(&[&reference], "belongs to user 1");
    place.sh("rm /etc/pinfold/k.pem");
    install("p256");
    let ran = place.refused(&[&reference], "refused by policy: no key of the rule signed it");
    assert!(ran.err.contains("policy.toml line 3"), "{ran:?}");
    place.sign("p256", &index, &name, &index, "other", "");
    place.refused(&[&reference], "the key did not make");
    place.sign("p256", &index, &name, &index, "p256", "");
    place.pull(&[&reference]).ok();
    let record = format!(
        "\"signatures\":[{{\"key\":\"{}\",\"repository\":\"{name}\",\"digest\":\"{index}\"}}]",
        sum("p256")
    );
    assert!(place.images().contains(&record), "{}", place.images());
    place.forget();
    // By digest it has no name, and the record all the same.
    place.pull(&[&format!("{name}@{index}")]).ok();
    assert!(place.images().contains(&record), "{}", place.images());
    place.forget();
    // Another rule that is not met is told alone under `audit`; one about other images is none.
    policy("mode = \"audit\"", &tools, &sum("p256"));
    place.sign("p256", &index, &name, &index, "other", "");
    assert!(place.pull(&[&reference]).err.contains("audit: "), "told");
    assert!(!place.images().contains("signatures"), "{}", place.images());
    place.forget();
    policy("", "registry.example/*", &sum("p256"));
    place.pull(&[&reference]).ok();
}

#[test]
fn what_is_exported_is_read_and_pushed_by_skopeo_and_comes_back() {
    let mut place = Place::new();
    place.registries();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/images/busybox.sh");
    let target = format!("oci:{}", place.dir.text("exported"));
    let made = run(Command::new(recipe).args([target.as_str(), PINFOLD]).env("TMPDIR", place.dir.path()));
    let digest = made.ok().trim();
    let layout = "oci:/mnt/exported:busybox:latest";
    let seen = place.sh(&format!("chroot $TREE skopeo inspect --raw {layout} | sha256sum"));
    assert_eq!(seen.out.split(' ').next(), digest.strip_prefix("sha256:"), "skopeo reads another manifest");
    place.sh(&format!(
        "chroot $TREE skopeo copy --quiet --preserve-digests --dest-tls-verify=false {layout} docker://{PLAIN}/busybox:1"
    ));
    let pulled = place.pull(&[&format!("{PLAIN}/busybox:1"), "--insecure-registry", PLAIN]);
    assert_eq!(pulled.ok().trim(), format!("{PLAIN}/busybox@{digest}"));
}
