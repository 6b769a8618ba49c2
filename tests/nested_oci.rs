//! Promise: `pinfold run` works for root of a user namespace, as podman makes one, and for a user
//! whom newuidmap(1) grants several ids.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::chown;

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran, in_own_mounts};

/// Who the caller is on the host.
const USER: u32 = 12345;

/// Runs a command as root of a user namespace with two ranges that has a mount namespace of its own.
const AS_NESTED_ROOT: &str = "
unshare --user sleep 30 & holder=$!
tries=0
while [ \"$(readlink /proc/$holder/ns/user)\" = \"$(readlink /proc/self/ns/user)\" ] && [ $tries -lt 500 ]; do
    tries=$((tries + 1)); sleep 0.01
done
for map in uid_map gid_map; do printf '0 12345 1\\n1 200000 65535\\n' | dd of=/proc/$holder/$map bs=4k iflag=fullblock status=none; done
code=0
nsenter --user --target $holder --setuid 0 --setgid 0 unshare --mount \"$@\" || code=$?
kill $holder
exit $code";

/// As the user, whom this mount namespace's /etc/subuid and /etc/subgid give ids.
const AS_USER: &str = "
for file in subuid subgid; do
    echo 12345:200000:65535 >$file; mount --bind $file /etc/$file
done
cp /etc/passwd passwd; echo nested:x:12345:12345::/:/bin/sh >>passwd; mount --bind passwd /etc/passwd
exec setpriv --reuid=12345 --regid=12345 --clear-groups \"$@\"";

const LOOK: &str = "id -u; while read -r line; do echo $line; done </proc/self/uid_map; echo x >/dev/null && echo null; \
                    grep -q ' /sys ' /proc/self/mountinfo && echo sys; \
                    (echo x >/sys/fs/cgroup/x) 2>/dev/null || echo closed";

#[track_caller]
fn run(dir: &Dir, who: &str, bundle: &Bundle) -> Ran {
    let own = dir.mkdir("own");
    chown(&own, Some(USER), Some(USER)).unwrap();
    let script =
        format!("set -- \"$PINFOLD\" --root own/state run -b {} {}\n{who}", bundle.text(), dir.id("nested"));
    in_own_mounts(dir, &script)
}

#[track_caller]
fn bundle(dir: &Dir, change: impl FnOnce(&mut Value)) -> Bundle {
    let mut bundle = Bundle::script(dir, "bundle", LOOK);
    chown(bundle.rootfs(), Some(USER), Some(USER)).unwrap();
    bundle.edit(|config| config["root"]["readonly"] = json!(false));
    bundle.edit(change);
    bundle
}

fn without(config: &mut Value, kind: &str) {
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != kind);
}

fn maps(config: &mut Value, rows: &[(u32, u32, u32)]) {
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let one = |(inside, outside, size): &(u32, u32, u32)| json!({"containerID": inside, "hostID": outside, "size": size});
    for key in ["uidMappings", "gidMappings"] {
        config["linux"][key] = rows.iter().map(one).collect();
    }
}

#[test]
fn root_of_a_user_namespace_runs_containers() {
    let dir = Dir::new();
    let own = "0\n0 12345 1\n1 200000 65535\nnull\nsys\nclosed\n";
    type Row<'a> = (&'a str, &'a dyn Fn(&mut Value), &'a str);
    let rows: &[Row<'_>] = &[
        ("as the template has it", &|_| {}, own),
        ("the host's network", &|config| without(config, "network"), own),
        (
            "no cgroup mount",
            &|config| {
                config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "cgroup");
            },
            own,
        ),
        (
            "one more user namespace",
            &|config| maps(config, &[(0, 1, 100), (100, 0, 1)]),
            "0\n0 1 100\n100 0 1\nnull\nsys\nclosed\n",
        ),
    ];
    for (name, change, expected) in rows {
        let bundle = bundle(&dir, change);
        // Root of the innermost has to reach the mount points that are made in the root.
        if name.starts_with("one more") {
            chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
        }
        assert_eq!(run(&dir, AS_NESTED_ROOT, &bundle).ok(), *expected, "{name}");
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}

#[test]
fn a_user_runs_containers_with_the_ids_that_newuidmap_grants() {
    let dir = Dir::new();
    let rows = [(0, USER, 1), (1, 200_000, 1000)];
    let bundle_of = |rows: &[(u32, u32, u32)]| bundle(&dir, |config| maps(config, rows));
    let bundle = bundle_of(&rows);
    let expected = "0\n0 12345 1\n1 200000 1000\nnull\nsys\nclosed\n";
    assert_eq!(run(&dir, AS_USER, &bundle).ok(), expected);
    fs::remove_dir_all(&bundle.path).unwrap();
    // A program that is not root: its files in /proc are another user's than the caller, and the caller's
    // groups are dropped.
    let script = "id -u; id -G; grep -c . /proc/self/uid_map";
    let mut bundle = bundle_of(&rows);
    bundle.edit(|config| {
        config["process"]["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [9]});
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
    });
    assert_eq!(run(&dir, AS_USER, &bundle).ok(), "7\n8 9\n2\n");
    fs::remove_dir_all(&bundle.path).unwrap();
    // Ids that are not the user's.
    let bundle = bundle_of(&[(0, USER, 1), (1, 100_000, 1000)]);
    let ran = run(&dir, AS_USER, &bundle);
    assert!(ran.code() == 1 && ran.err.contains("newuidmap"), "{ran:?}");
    dir.assert_nothing_left();
}
