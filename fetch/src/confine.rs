//! What takes from this process all that talking to a registry does not need, before it has
//! talked to one. Everything that cannot be taken is an error.
//!
//! prctl(2), credentials(7), landlock(7), seccomp(2), setrlimit(2).

use std::error::Error;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, getppid, setgroups, setresgid, setresuid};

use crate::filter;

/// Of a registry's unbounded answers too: what is larger ends this process.
const MEMORY: u64 = 256 << 20;
const DESCRIPTORS: u64 = 256;
/// What resolving a name reads: resolver(3), nsswitch.conf(5).
const RESOLVER: [&str; 5] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"];
const HTTPS: u16 = 443;
const DOMAIN: u16 = 53;

/// What a kernel could not give.
pub type Lacking = Option<String>;

/// For good: becomes `id`, keeps no capability, reads the resolver's files alone, connects to
/// these ports only, and makes no system call beyond the list.
pub fn confine(id: Option<u32>, ports: &[u16], parent: Pid) -> Result<Lacking, Box<dyn Error>> {
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_FSIZE, 0)?;
    limit(Resource::RLIMIT_NOFILE, DESCRIPTORS)?;
    limit(Resource::RLIMIT_DATA, MEMORY)?;
    prctl::set_no_new_privs()?;
    if let Some(id) = id {
        setgroups(&[])?;
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    }
    for set in
        [caps::CapSet::Ambient, caps::CapSet::Inheritable, caps::CapSet::Effective, caps::CapSet::Permitted]
    {
        caps::clear(None, set)?;
    }
    // Both were cleared, or set back, by the change of user.
    prctl::set_dumpable(false)?;
    prctl::set_pdeathsig(Some(Signal::SIGKILL))?;
    if getppid() != parent {
        return Err("pinfold is gone".into());
    }
    let lacking = landlock(ports)?;
    filter::load()?;
    Ok(lacking)
}

fn limit(resource: Resource, most: u64) -> nix::Result<()> {
    setrlimit(resource, most, most)
}

fn landlock(ports: &[u16]) -> Result<Lacking, Box<dyn Error>> {
    let Some(abi) = abi() else {
        return Ok(Some("the kernel has no Landlock: the fetcher may read what everybody may".to_owned()));
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    let network = abi as u32 >= ABI::V4 as u32;
    if network {
        ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let scopes: BitFlags<Scope> = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    let mut ruleset = ruleset.create()?;
    for path in RESOLVER {
        // One that is not there is not needed.
        if let Ok(file) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?;
        }
    }
    if network {
        for port in ports.iter().copied().chain([HTTPS, DOMAIN]) {
            ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
        }
    }
    ruleset.restrict_self()?;
    let lacking = "the kernel has no Landlock rules for ports: the fetcher may connect to any";
    Ok((!network).then(|| lacking.to_owned()))
}

/// The newest that the kernel and the crate know; `None` without Landlock.
fn abi() -> Option<ABI> {
    let known = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];
    known.into_iter().find(|abi| {
        let hard = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let handled = hard.handle_access(AccessFs::from_all(*abi));
        let scoped = handled.and_then(|ruleset| match Scope::from_all(*abi) {
            none if none.is_empty() => Ok(ruleset),
            scopes => ruleset.scope(scopes),
        });
        let network = scoped.and_then(|ruleset| match *abi as u32 >= ABI::V4 as u32 {
            true => ruleset.handle_access(AccessNet::ConnectTcp),
            false => Ok(ruleset),
        });
        network.is_ok()
    })
}
