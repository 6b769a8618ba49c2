//! What the attacks prepare in an image and in a configuration, and what their controls give away.

use serde_json::json;

use super::case::{Case, FORGED, bind, make};
use super::lab::Lab;
use super::races;
use crate::error::Result;

/// The container is given the canary in place of what was armed, so that what it does there is seen.
pub(super) fn given_outside(lab: &Lab, case: &mut Case) -> Result<()> {
    case.disarm()?;
    case.give(&lab.outside());
    case.set("/process/args", json!(["/probe", "selftest", "probe", "touch", "/given/made"]));
    Ok(())
}

/// Destinations of mounts behind a link of the image that leads outside.
pub(super) fn link_outside(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("out", &format!("../../../../../../../..{}", lab.outside().display()))?;
    for number in 0..3 {
        case.mount(json!({ "destination": format!("/out/m{number}/deep"), "type": "tmpfs", "source": "t" }));
    }
    case.mount(bind(&lab.place("vol/file"), "/out/file", &["bind", "ro"]));
    Ok(())
}

/// Sixteen mounts below a directory that the attacker exchanges with a link that leads outside.
pub(super) fn many_mounts(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("vol/link", &format!("../../../../../../../../..{}", lab.outside().display()))?;
    for number in 0..16 {
        case.mount(json!({ "destination": format!("/vol/a/m{number}"), "type": "tmpfs", "source": "t" }));
    }
    Ok(())
}

/// What a runtime writes to a setting below /proc would go to a file of the attacker's that is mounted over it.
pub(super) fn covered_setting(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("shown", "proc/sys/net/ipv4")?;
    case.mount(bind(&lab.place("fake/sys/net/ipv4/ip_forward"), "/shown/ip_forward", &["bind", "rw"]));
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    Ok(())
}

/// The same, by a directory that turns into a link after it was looked at.
pub(super) fn covered_later(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("vol/link", "../proc/sys/net/ipv4")?;
    for _ in 0..8 {
        case.mount(bind(&lab.place("fake/sys/net/ipv4/ip_forward"), "/vol/a/ip_forward", &["bind", "rw"]));
    }
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    Ok(())
}

/// A procfs of the image's making, through which settings and labels would be written.
pub(super) fn fake_proc(lab: &Lab, case: &mut Case) -> Result<()> {
    let fake = lab.place("fake");
    case.without_mount("/proc");
    case.mount(bind(&fake, "/proc", &["rbind", "rw"]));
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    case.set("/linux/maskedPaths", json!([]));
    case.set("/linux/readonlyPaths", json!([]));
    Ok(())
}

/// The attacker's procfs is given to the container, which writes to its setting.
pub(super) fn given_fake(lab: &Lab, case: &mut Case) -> Result<()> {
    case.disarm()?;
    case.give(&lab.place("fake"));
    let setting = "/given/sys/net/ipv4/ip_forward";
    case.set("/process/args", json!(["/probe", "selftest", "probe", "touch", setting]));
    Ok(())
}

/// /proc of the image is a link to a place outside.
pub(super) fn linked_proc(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("proc", &format!("../../../../../../../..{}/proc", lab.outside().display()))?;
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    Ok(())
}

/// /dev is a directory of the attacker's, whose null is a link to a file of the kernel's.
pub(super) fn false_null(lab: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/dev");
    case.mount(bind(&lab.place("dev"), "/dev", &["rbind", "rw"]));
    Ok(())
}

/// The device, and beside it the link that it is exchanged with.
pub(super) fn fickle_null(_: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/dev");
    case.node("dev/null", 1, 3)?;
    case.link("dev/link", "../proc/sys/kernel/core_pattern")
}

/// What is reopened as the null device is a file of the host's, and what is given to the user with stdio as well.
pub(super) fn null_file(lab: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/dev");
    case.mount(bind(&lab.place("vol/file"), "/tmp/file", &["bind", "rw"]));
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    case.link("dev/null", "../tmp/file")
}

pub(super) fn given_file(lab: &Lab, case: &mut Case) -> Result<()> {
    case.disarm()?;
    case.mount(bind(&lab.place("vol/file"), "/tmp/file", &["bind", "rw"]));
    case.set("/process/args", json!(["/probe", "selftest", "probe", "chown", "/tmp/file"]));
    Ok(())
}

pub(super) fn with_terminal(_: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/dev");
    case.set("/process/terminal", json!(true));
    let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    case.mount(
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options }),
    );
    make(&case.rootfs().join("dev/pts"))
}

pub(super) fn console_outside(lab: &Lab, case: &mut Case) -> Result<()> {
    with_terminal(lab, case)?;
    case.link("dev/console", &format!("../../../../../../../..{}/console", lab.outside().display()))
}

pub(super) fn console_inside(lab: &Lab, case: &mut Case) -> Result<()> {
    with_terminal(lab, case)?;
    case.link("dev/console", "../proc/sys/kernel/core_pattern")
}

/// Terminals in one directory, links in the other.
pub(super) fn fickle_terminals(lab: &Lab, case: &mut Case) -> Result<()> {
    with_terminal(lab, case)?;
    let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    case.mount(
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options }),
    );
    make(&case.rootfs().join("dev/pts"))?;
    (0..4).try_for_each(|number| {
        case.link(&format!("dev/links/{number}"), "../../proc/sys/kernel/core_pattern")
    })
}

pub(super) fn wrong_console(lab: &Lab, case: &mut Case) -> Result<()> {
    case.reset()?;
    case.mount(bind(&lab.place("vol/file"), "/dev/console", &["bind", "rw"]));
    Ok(())
}

pub(super) fn unmasked(_: &Lab, case: &mut Case) -> Result<()> {
    case.reset()?;
    case.set("/linux/maskedPaths", json!([]));
    Ok(())
}

pub(super) fn given_program(lab: &Lab, case: &mut Case) -> Result<()> {
    case.mount(bind(&lab.program(), "/program", &["bind", "rw"]));
    Ok(())
}

/// Hooks where engines look for them, and a configuration, all of them in the image; annotations of every shape.
pub(super) fn hooks(lab: &Lab, case: &mut Case) -> Result<()> {
    let made = lab.outside().join("made");
    let hook = json!({
        "path": lab.place("probe"),
        "args": ["probe", "selftest", "probe", "hook", made, lab.place("")],
    });
    let config = json!({ "hooks": { "prestart": [hook], "createRuntime": [hook], "poststop": [hook] } });
    let engines = json!({ "version": "1.0.0", "hook": hook, "when": { "always": true }, "stages": ["prestart", "createRuntime"] });
    for (place, text) in [
        ("config.json", &config),
        ("etc/containers/oci/hooks.d/made.json", &engines),
        ("usr/share/containers/oci/hooks.d/made.json", &engines),
        ("usr/libexec/oci/hooks.d/made.json", &engines),
    ] {
        case.file(place, &text.to_string())?;
    }
    let long = "x".repeat(1 << 18);
    let hooks = config.get("hooks").map(ToString::to_string);
    case.set(
        "/annotations",
        json!({ "hooks": hooks, "": "", "a=b\n\u{1b}[2J": long, "../../..": "../../..", long: "x" }),
    );
    Ok(())
}

pub(super) fn own_hooks(lab: &Lab, case: &mut Case) -> Result<()> {
    let made = lab.outside().join("made");
    let args = json!(["probe", "selftest", "probe", "hook", made, lab.place("")]);
    case.set("/annotations", json!({}));
    case.set("/hooks", json!({ "createRuntime": [{ "path": lab.place("probe"), "args": args }] }));
    Ok(())
}

/// The name of a program that is not there, with lines and codes in it.
pub(super) fn forged_name(_: &Lab, case: &mut Case) -> Result<()> {
    case.set("/process/args", json!([format!("/none\n{FORGED}\n\u{1b}[2J")]));
    Ok(())
}

pub(super) fn given_log(lab: &Lab, case: &mut Case) -> Result<()> {
    case.mount(bind(&lab.place("log"), "/tmp/log", &["bind", "rw"]));
    case.set("/process/args", json!(["/probe", "selftest", "probe", "forge", "/tmp/log"]));
    Ok(())
}

/// Root of a user namespace on ids that are nobody's.
pub(super) fn mapped(_: &Lab, case: &mut Case) -> Result<()> {
    map(case, 100_000, 65_536);
    Ok(())
}

/// Root of a user namespace that is a user without privilege.
pub(super) fn unprivileged(_: &Lab, case: &mut Case) -> Result<()> {
    map(case, races::USER, 1);
    case.set("/linux/resources", json!({}));
    Ok(())
}

pub(super) fn map(case: &mut Case, host: u32, size: u32) {
    case.namespace("user");
    for list in ["/linux/uidMappings", "/linux/gidMappings"] {
        case.set(list, json!([{ "containerID": 0, "hostID": host, "size": size }]));
    }
}

pub(super) fn source(lab: &Lab, case: &mut Case) -> Result<()> {
    case.mount(bind(&lab.place("swap/source"), "/given", &["rbind", "ro"]));
    case.set("/process/cwd", json!("/given"));
    Ok(())
}

pub(super) fn wrong_source(lab: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/given");
    case.mount(bind(&lab.outside(), "/given", &["rbind", "ro"]));
    Ok(())
}

pub(super) fn user(_: &Lab, case: &mut Case) -> Result<()> {
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    Ok(())
}

/// What it is already: whoever sets it changes nothing.
pub(super) fn overcommit() -> String {
    std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default().trim().to_owned()
}
