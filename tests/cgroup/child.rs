//! What the processes in the groups do. Each waits for a line on its standard input first, so that it
//! can be placed before it begins.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;
use pinfold::cgroup::{Cgroup, CgroupPath, Control, Hierarchies, Limits};

fn use_delegated_part(part: &str) {
    let hierarchies = Hierarchies::open().unwrap();
    let part = CgroupPath::parse(part).unwrap();
    assert!(hierarchies.writable());
    assert_eq!(hierarchies.delegated().unwrap(), part);
    let path = part.child("sandbox").unwrap();
    let group = Cgroup::create(&hierarchies, &path, &Limits::default()).unwrap();
    let mut child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    group.attach(Pid::from_raw(child.id().cast_signed())).unwrap();
    group.freeze().unwrap();
    group.kill().unwrap();
    child.wait().unwrap();
    group.remove().unwrap();
    let outside = CgroupPath::parse("/pinfold-test-outside").unwrap();
    let error = Cgroup::create(&hierarchies, &outside, &Limits::default()).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EACCES), "{error}");
    assert!(!hierarchies.supports(Control::Devices));
}

pub fn play(role: &[&str]) -> ExitCode {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    match role {
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_secs(1000));
        },
        ["hog", bytes] => {
            println!("{}", vec![1_u8; bytes.parse().unwrap()].len());
        }
        ["spin", milliseconds] => {
            let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
            while Instant::now() < end {}
        }
        ["forks", count] => {
            let count: usize = count.parse().unwrap();
            let spawn =
                |_| Command::new("/bin/sleep").arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
            println!("{}", (0..count).map(spawn).filter(Result::is_ok).count());
        }
        ["bomb"] => {
            let error = std::os::unix::process::CommandExt::exec(
                Command::new("/bin/sh")
                    .args(["-c", "b() { b & b & wait; }; while :; do b; done"])
                    .stderr(Stdio::null()),
            );
            panic!("{error}");
        }
        ["tick"] => loop {
            print!(".");
            std::io::stdout().flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        },
        ["cpus"] => {
            let mask = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
            let cpus = (0..nix::sched::CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap());
            println!("{:?}", cpus.collect::<Vec<_>>());
        }
        ["delegated", part] => {
            nix::unistd::setgid(2345.into()).unwrap();
            nix::unistd::setuid(1234.into()).unwrap();
            use_delegated_part(part);
            println!("done");
        }
        // Answers each path with whether it can be opened for reading.
        ["open"] => {
            for path in BufReader::new(std::io::stdin()).lines() {
                println!("{}", std::fs::File::open(path.unwrap()).is_ok());
            }
        }
        other => panic!("{other:?}"),
    }
    ExitCode::SUCCESS
}
