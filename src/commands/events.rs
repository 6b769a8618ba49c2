//! `events`: statistics at intervals and a line for each time that memory ran out, until the
//! container has ended. The lines are those of runc's `events`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;

use super::host::Host;
use super::{entry, output, rdt};
use crate::cgroup::{Cgroup, Stats};
use crate::cli::{EventsArgs, Global};
use crate::error::{Call, Error, ExitCode, Result};
use crate::state::{Action, State, Status};
use crate::sys::{self, poll::POLLIN, poll::PollFd};

/// How often the counter of kills is looked at: v1 has no notification that a caller without
/// privilege may have, and v2 sends one at most every 10 ms.
const LOOK: Duration = Duration::from_millis(100);

/// Prints them.
///
/// # Errors
/// The container is not running, or has no cgroup.
pub fn run(global: &Global, args: &EventsArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let state = dir.load()?;
    Status::observe(&state)?.may(Action::Events, dir.id())?;
    let host = Host::read()?;
    let cgroup = entry::open_cgroup(&host, &state)?
        .ok_or_else(|| Error::setup("the container has no cgroup, which counts what it uses"))?;
    let watched = Watched { id: dir.id(), state: &state, cgroup: &cgroup };
    match args.stats {
        true => watched.print_stats()?,
        false => watched.watch(args.interval.duration())?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Watched<'a> {
    id: &'a str,
    state: &'a State,
    cgroup: &'a Cgroup,
}

/// One line.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Serialize)]
struct Data {
    #[serde(flatten)]
    stats: Stats,
    intel_rdt: serde_json::Map<String, serde_json::Value>,
    network_interfaces: Vec<Interface>,
}

/// As runc spells it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Interface {
    name: String,
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

impl Watched<'_> {
    fn print_stats(&self) -> Result<()> {
        let data = Data {
            stats: self.cgroup.stats()?,
            intel_rdt: rdt::statistics(self.state)?,
            network_interfaces: self.interfaces(),
        };
        self.print("stats", Some(data))
    }

    fn print(&self, kind: &str, data: Option<Data>) -> Result<()> {
        let line = serde_json::to_string(&Event { kind, id: self.id, data })
            .map_err(|error| Error::internal(error.to_string()))?;
        output::print(&format!("{line}\n"))
    }

    /// Until the first process has ended.
    fn watch(&self, interval: Duration) -> Result<()> {
        let Some(init) = self.state.init else { return Ok(()) };
        let pidfd = match sys::pidfd::pidfd_open(Pid::from_raw(init.pid)) {
            Err(Errno::ESRCH) => return Ok(()),
            other => other.call("pidfd_open")?,
        };
        if !init.lives()? {
            return Ok(());
        }
        let mut kills = self.cgroup.counters()?.oom_kill.unwrap_or(0);
        let mut next = Instant::now() + interval;
        loop {
            let left = next.saturating_duration_since(Instant::now()).min(LOOK);
            let mut ended = [PollFd::new(pidfd.as_fd(), POLLIN)];
            let timeout = u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            match sys::poll::ppoll(&mut ended, Some(timeout)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).call("ppoll"),
            }
            let [ended] = ended;
            kills = self.print_kills(kills)?;
            if ended.readable() {
                return Ok(());
            }
            if Instant::now() >= next {
                next += interval;
                self.print_stats()?;
            }
        }
    }

    /// A line for each kill since the last look. A group that is gone has no counter.
    fn print_kills(&self, before: u64) -> Result<u64> {
        let now = self.cgroup.counters()?.oom_kill.unwrap_or(before);
        (before..now).try_for_each(|_| self.print("oom", None))?;
        Ok(now)
    }

    /// The container's own interfaces; none where the kernel shows them to nobody else.
    fn interfaces(&self) -> Vec<Interface> {
        let path = self.state.init.map(|init| format!("/proc/{}/net/dev", init.pid));
        let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().filter_map(interface).filter(|interface| interface.name != "lo").collect()
    }
}

/// A line of /proc/PID/net/dev (proc_pid_net(5)): eight numbers received, eight sent.
fn interface(line: &str) -> Option<Interface> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = *numbers
    else {
        return None;
    };
    let name = name.trim().to_owned();
    Some(Interface {
        name,
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_a_line_with_a_name() {
        let line = "  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0";
        let told = serde_json::to_value(interface(line).unwrap()).unwrap();
        let wanted = serde_json::json!({"Name": "eth0", "RxBytes": 1, "RxPackets": 2, "RxErrors": 3, "RxDropped": 4,
                                        "TxBytes": 5, "TxPackets": 6, "TxErrors": 7, "TxDropped": 8});
        assert_eq!(told, wanted);
        for line in ["Inter-|   Receive", " face |bytes    packets", "eth0: 1 2"] {
            assert_eq!(interface(line), None);
        }
    }
}
