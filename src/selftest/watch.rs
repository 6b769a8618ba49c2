//! Probes that watch the other processes of their container: those that a runtime sends in.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::case::CANARY;
use super::probe::{Found, pids};

/// CVE-2019-5736: holds on to the program of each process that comes in, and writes to it when it
/// is executed no more.
///
/// Only to what lies on the lab's own filesystem: what is named as the runtime may execute another program,
/// which is then the host's.
pub(super) fn overwrite() -> Found {
    let until = Instant::now() + Duration::from_secs(3);
    let own = fs::metadata("/probe").map_err(|error| error.to_string())?.dev();
    let of_the_lab = |file: &File| file.metadata().is_ok_and(|found| found.dev() == own);
    let mut held: Vec<File> = vec![];
    let (mut seen, mut foreign) = (0, 0);
    while Instant::now() < until {
        for pid in pids() {
            let link = format!("/proc/{pid}/exe");
            if fs::read_link(&link)
                .is_ok_and(|path| path.as_os_str() != "/probe" && !path.as_os_str().is_empty())
            {
                let (lab, host): (Vec<_>, Vec<_>) = File::open(&link).into_iter().partition(of_the_lab);
                seen += lab.len();
                held.extend(lab);
                foreign += host.len();
            }
        }
        held.truncate(64);
        for file in &held {
            let again = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
            if again.is_ok_and(|mut file| file.write_all(b"#!").is_ok()) {
                return Ok("a program that came in is overwritten".to_owned());
            }
        }
    }
    Err(format!(
        "{seen} looks at programs that came in, none could be written; {foreign} not of the lab, none tried"
    ))
}

/// CVE-2016-9962: what a process that comes in has open, or stands in, leads to the canary.
pub(super) fn borrow(outside: &str) -> Found {
    let until = Instant::now() + Duration::from_secs(3);
    let own = std::process::id();
    let mut looks = 0;
    while Instant::now() < until {
        for pid in pids().into_iter().filter(|pid| *pid != own) {
            let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut links: Vec<_> = entries.map(|entry| entry.path()).collect();
            links.extend(["cwd", "root"].map(|name| Path::new("/proc").join(pid.to_string()).join(name)));
            looks += links.len();
            if let Some(link) = links.iter().find(|link| leads_out(link, outside)) {
                return Ok(format!("{} leads outside", link.display()));
            }
        }
    }
    match looks {
        0 => Err("no process came in".to_owned()),
        looks => Err(format!("{looks} looks at descriptors and places of who came in")),
    }
}

fn leads_out(link: &Path, outside: &str) -> bool {
    let below = outside.trim_start_matches('/');
    let is_canary = |place: &Path| {
        let regular =
            fs::metadata(place).is_ok_and(|found| found.is_file() && found.len() == CANARY.len() as u64);
        regular && fs::read_to_string(place).is_ok_and(|text| text == CANARY)
    };
    let up = |dots: &str| link.join(dots).join(below).join("marker");
    [link.to_owned(), link.join("marker"), up(""), up("../../../../../..")]
        .iter()
        .any(|place| is_canary(place))
}

/// Ends whoever can be signalled: everybody, then the process group. It blocks the signal itself.
pub(super) fn signals() -> Found {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    blocked.thread_block().map_err(|errno| errno.to_string())?;
    // Pid 0 is the process group, and -1 all but the first process.
    let sent = [-1, 0].map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
    let [all, group] = sent.map(|sent| sent.err().map_or("sent".to_owned(), |errno| errno.to_string()));
    std::thread::sleep(Duration::from_millis(100));
    Err(format!("SIGTERM to all: {all}; to the group: {group}"))
}
