//! Promise: terminals are as runc's. A detached one goes to the console socket and works from
//! there; in the foreground the caller's terminal is lent, and given back as it was; and no
//! container decides what pinfold opens as one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "terminal/pty.rs"]
mod pty;
mod support;

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::OutputFlags;
use nix::unistd::Pid;
use pty::{Full, Receiver, Terminal};
use serde_json::json;
use support::{Bundle, Dir, await_that, run, start};

/// A bundle with a terminal whose program is this script.
fn with_terminal(dir: &Dir, name: &str, script: &str) -> Bundle {
    let mut bundle = Bundle::script(dir, name, script);
    bundle.edit(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["rlimits"] = json!([]);
        config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm"]);
    });
    bundle
}

/// The kernel's word on what a descriptor is.
fn link_of(fd: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
    link.to_string_lossy().into_owned()
}

/// Talks as long as somebody talks to it, and tells of each new size.
const TALK: &str = r#"
trap 'echo "now $(busybox stty size)"' WINCH
echo "uid $(id -u) tty $(busybox tty) size $(busybox stty size)"
echo "console $(stat -c %t:%T /dev/console) own $(stat -c %u:%g $(busybox tty))"
(echo "controlling" >/dev/tty) && (echo "again" >/dev/stdout)
rounds=0
while [ $rounds -lt 20 ]; do
    rounds=$((rounds + 1))
    # A trapped signal ends a read without a line.
    read line && echo "heard $line" && [ "$line" = bye ] && exit 5
done"#;

#[test]
fn a_created_container_s_terminal_goes_to_the_console_socket() {
    let dir = Dir::new();
    let mut bundle = with_terminal(&dir, "bundle", TALK);
    bundle.edit(|config| {
        config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let (id, console, pidfd) = (dir.id("created"), dir.text("console"), dir.text("pidfd"));
    let (terminals, pidfds) = (Receiver::at(console.as_ref()), Receiver::at(pidfd.as_ref()));
    let sockets = ["--console-socket", &console, "--pidfd-socket", &pidfd];
    dir.pinfold(&[&["create", "--bundle", bundle.text()], &sockets[..], &[&id]].concat()).ok();
    let (words, master) = terminals.receive();
    assert_eq!((words.as_str(), link_of(&master).as_str()), ("/dev/ptmx", "/dev/pts/ptmx"));
    let (words, pidfd) = pidfds.receive();
    assert_eq!((words.as_str(), link_of(&pidfd).contains("pidfd")), ("standard", true));

    let mut terminal = Terminal::of(master);
    assert_eq!(terminal.size(), (33, 77));
    assert!(terminal.settings().output_flags.contains(OutputFlags::ONLCR), "as runc leaves it");
    dir.pinfold(&["start", &id]).ok();
    terminal.await_text("uid 1000 tty /dev/pts/0 size 33 77\r\n");
    terminal.await_text("console 88:0 own 1000:5\r\n");
    terminal.await_text("controlling\r\nagain\r\n");
    terminal.type_in("hello\n");
    terminal.await_text("heard hello");
    terminal.resize(40, 100);
    terminal.await_text("now 40 100");
    terminal.type_in("bye\n");
    terminal.await_text("heard bye");
    // The pidfd is the first process's: it becomes readable when that ends.
    let mut watched = [nix::poll::PollFd::new(pidfd.as_fd(), nix::poll::PollFlags::POLLIN)];
    assert_eq!(nix::poll::poll(&mut watched, 5000_u16), Ok(1), "the pidfd tells of the end");
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn a_detached_exec_and_run_send_theirs_too() {
    let dir = Dir::new();
    let (id, console, pidfd) = (dir.id("detached"), dir.text("console"), dir.text("pidfd"));
    let (terminals, pidfds) = (Receiver::at(console.as_ref()), Receiver::at(pidfd.as_ref()));
    let bundle = with_terminal(&dir, "bundle", TALK);
    dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), "--console-socket", &console, &id]).ok();
    let mut first = Terminal::of(terminals.receive().1);
    first.await_text("uid 0 tty /dev/pts/0");

    let sockets = ["--console-socket", &console, "--pidfd-socket", &pidfd, "--user", "7"];
    let exec = [&["exec", "--tty", "--detach"], &sockets[..], &[&id, "/bin/sh", "-c", TALK]].concat();
    dir.pinfold(&exec).ok();
    let mut second = Terminal::of(terminals.receive().1);
    assert_eq!(pidfds.receive().0, "setns");
    second.await_text("uid 7 tty /dev/pts/1");
    second.await_text("console 88:0 own 7:5\r\n");
    second.await_text("controlling\r\nagain\r\n");
    second.type_in("bye\n");
    second.await_text("heard bye");
    first.type_in("bye\n");
    first.await_text("heard bye");
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// The process that enters another's pid namespace is a new one: the one before it must not take the terminal
/// along when it ends, and a session has its leader inside.
#[test]
fn a_terminal_in_a_joined_pid_namespace() {
    let dir = Dir::new();
    let mut target = Bundle::script(&dir, "target", "sleep 100");
    let other = dir.id("target");
    dir.pinfold(&["run", "--detach", "--bundle", target.edit(|_| ()).text(), &other]).ok();
    let path = format!("/proc/{}/ns/pid", dir.pid_of(&other));
    let join = |bundle: &mut Bundle| {
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.iter_mut().find(|one| one["type"] == "pid").unwrap()["path"] = json!(path);
        });
    };
    let (id, console) = (dir.id("joined"), dir.text("console"));
    let terminals = Receiver::at(console.as_ref());
    let mut bundle = with_terminal(&dir, "bundle", TALK);
    join(&mut bundle);
    dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), "--console-socket", &console, &id]).ok();
    let mut terminal = Terminal::of(terminals.receive().1);
    terminal.await_text("uid 0 tty /dev/pts/0");
    terminal.await_text("controlling\r\nagain\r\n");
    terminal.type_in("bye\n");
    terminal.await_text("heard bye");
    dir.pinfold(&["delete", "--force", &id]).ok();

    let mut bundle = Bundle::script(&dir, "plain", "read line </proc/self/stat; echo $line");
    join(&mut bundle);
    let ran = bundle.run(&dir, &dir.id("plain"));
    let words: Vec<_> = ran.ok().split(' ').collect();
    assert_eq!((words[0], words[0]), (words[4], words[5]), "pid, process group and session: {words:?}");
    dir.pinfold(&["delete", "--force", &other]).ok();
    dir.assert_nothing_left();
}

/// unix(7): where nobody accepts, connect(2) waits as long as the queue is full.
#[test]
fn a_listener_that_takes_nobody_holds_a_launch_up_for_a_time() {
    let dir = Dir::new();
    let bundle = with_terminal(&dir, "bundle", "sleep 100");
    let (id, console) = (dir.id("full"), dir.text("console"));
    let queue = Full::at(console.as_ref());
    let line = ["--bundle", bundle.text(), "--console-socket", &console, &id];
    let begun = Instant::now();
    let ran = dir.pinfold(&[&["create"], &line[..]].concat());
    assert!(ran.code() == 1 && ran.err.contains("EAGAIN") && ran.err.contains("took nothing in"), "{ran:?}");
    assert!((9..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    dir.assert_nothing_left();
    // Room lets it through, and a signal ends it.
    let waiting = start(&mut dir.command(&[&["create"], &line[..]].concat()));
    std::thread::sleep(Duration::from_millis(500));
    let _taken = queue.accept();
    waiting.wait().ok();
    dir.pinfold(&["start", &id]).ok();
    let begun = Instant::now();
    let exec = ["exec", "--tty", "--detach", "--console-socket", &console, &id, "/bin/sleep", "100"];
    let waiting = start(&mut dir.command(&exec));
    std::thread::sleep(Duration::from_secs(1));
    kill(Pid::from_raw(i32::try_from(waiting.id()).unwrap()), Signal::SIGTERM).unwrap();
    let ran = waiting.wait();
    assert!(ran.code() == 255 && ran.err.contains("ended by a signal"), "{ran:?}");
    assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn a_socket_is_asked_for_exactly_when_there_is_a_terminal_to_send() {
    let dir = Dir::new();
    let (id, console) = (dir.id("rules"), dir.text("console"));
    let _listens = Receiver::at(console.as_ref());
    dir.write("file", "");
    std::os::unix::fs::symlink(&console, dir.join("link")).unwrap();
    let (with, without) = (with_terminal(&dir, "with", "true"), Bundle::script(&dir, "without", "sleep 100"));
    let refused = |args: &[&str], code: i32, words: &str| {
        let ran = dir.pinfold(args);
        assert!(
            ran.code() == code && ran.err.contains("error") && ran.err.contains(words),
            "{args:?}: {ran:?}"
        );
    };
    let no_socket = "cannot allocate tty if runc will detach without setting console socket";
    let no_terminal = "cannot use console socket if runc will not detach or allocate tty";
    let socket = ["--console-socket", &console];
    let bundle = |bundle: &Bundle| ["--bundle".to_owned(), bundle.text().to_owned()];
    let (with, without) = (bundle(&with), bundle(&without));
    let (with, without) = (with.each_ref().map(String::as_str), without.each_ref().map(String::as_str));
    refused(&[&["create"], &with[..], &[&id]].concat(), 1, no_socket);
    refused(&[&["run", "-d"], &with[..], &[&id]].concat(), 1, no_socket);
    refused(&[&["run"], &with[..], &socket, &[&id]].concat(), 1, no_terminal);
    refused(&[&["create"], &without[..], &socket, &[&id]].concat(), 1, no_terminal);
    for wrong in ["missing", "file", "link"] {
        let socket = ["--console-socket", wrong];
        refused(&[&["create"], &with[..], &socket, &[&id]].concat(), 1, "--console-socket");
    }
    dir.assert_nothing_left();
    dir.pinfold(&[&["run", "-d"], &without[..], &[&id]].concat()).ok();
    refused(&["exec", "--tty", "--detach", &id, "true"], 255, no_socket);
    refused(&[&["exec", "--tty"], &socket[..], &[&id, "true"]].concat(), 255, no_terminal);
    refused(&[&["exec", "--detach"], &socket[..], &[&id, "true"]].concat(), 255, no_terminal);
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// What is typed, resized and interrupted reaches the program, not pinfold.
fn talk_in_the_foreground(command: &Command) {
    let (mut terminal, slave) = Terminal::new();
    let before = terminal.settings();
    let mut child = pty::on(slave, command);
    terminal.await_text("size 24 80");
    await_that("raw mode", || pty::is_raw(&terminal.settings()));
    terminal.resize(30, 90);
    terminal.await_text("now 30 90");
    terminal.type_in("\u{3}");
    terminal.await_text("interrupted");
    terminal.type_in("bye\r");
    terminal.await_text("heard bye\r\n");
    assert_eq!(pty::exit_code(&mut child), Some(5));
    assert_eq!(terminal.settings(), before);
}

fn with_trap() -> String {
    format!("trap 'echo interrupted' INT\n{TALK}")
}

#[test]
fn run_and_exec_in_the_foreground_lend_the_callers_terminal() {
    let dir = Dir::new();
    let id = dir.id("foreground");
    let bundle = with_terminal(&dir, "bundle", &with_trap());
    talk_in_the_foreground(&dir.command(&["run", "--bundle", bundle.text(), &id]));
    let sleeper = Bundle::script(&dir, "sleeper", "sleep 100");
    dir.pinfold(&["run", "--detach", "--bundle", sleeper.text(), &id]).ok();
    let script = with_trap();
    talk_in_the_foreground(&dir.command(&["exec", "--tty", &id, "/bin/sh", "-c", &script]));
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn the_callers_terminal_is_given_back_on_every_way_out() {
    let dir = Dir::new();
    let id = dir.id("back");
    let bundle = with_terminal(&dir, "bundle", "echo ready; sleep 100");
    let ways: [(&str, &dyn Fn(i32)); 4] = [
        ("killed inside", &|_| assert_eq!(dir.pinfold(&["kill", &id, "KILL"]).ok(), "")),
        ("terminated", &|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap()),
        ("hung up", &|pid| kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap()),
        ("deleted", &|_| assert_eq!(dir.pinfold(&["delete", "--force", &id]).ok(), "")),
    ];
    for (way, end) in ways {
        let (mut terminal, slave) = Terminal::new();
        let before = terminal.settings();
        let mut child = pty::on(slave, &dir.command(&["run", "--bundle", bundle.text(), &id]));
        terminal.await_text("ready");
        await_that("raw mode", || pty::is_raw(&terminal.settings()));
        end(i32::try_from(child.id()).unwrap());
        // pid 1 of a container ignores what it does not handle: the program sleeps on.
        if matches!(way, "terminated" | "hung up") {
            dir.pinfold(&["kill", &id, "KILL"]).ok();
        }
        pty::exit_code(&mut child);
        assert_eq!(terminal.settings(), before, "{way}");
        dir.assert_nothing_left();
    }
    // A program that cannot be executed.
    let mut missing = with_terminal(&dir, "missing", "");
    missing.edit(|config| config["process"]["args"] = json!(["/bin/none"]));
    let (terminal, slave) = Terminal::new();
    let before = terminal.settings();
    let mut child = pty::on(slave, &dir.command(&["run", "--bundle", missing.text(), &id]));
    assert_eq!(pty::exit_code(&mut child), Some(1));
    assert_eq!(terminal.settings(), before);
    dir.assert_nothing_left();
}

#[test]
fn redirected_output_has_no_carriage_returns() {
    let dir = Dir::new();
    let bundle = with_terminal(&dir, "bundle", "printf 'a\\nb\\n'; [ -t 0 ] && [ -t 1 ] && echo terminal");
    let ran = bundle.run(&dir, &dir.id("pipe"));
    assert_eq!((ran.ok(), ran.err.as_str()), ("a\nb\nterminal\n", ""));
    dir.assert_nothing_left();
}

#[test]
fn without_a_terminal_the_size_is_ignored() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", "busybox tty; [ -e /dev/console ] || echo none");
    bundle.edit(|config| config["process"]["consoleSize"] = json!({"height": 99999, "width": 77}));
    assert_eq!(bundle.run(&dir, &dir.id("size")).out, "not a tty\nnone\n");
    bundle.edit(|config| config["process"]["terminal"] = json!(true));
    let ran = bundle.run(&dir, &dir.id("size"));
    assert!(ran.code() == 1 && ran.err.contains("/process/consoleSize/height"), "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn a_hostile_container_does_not_choose_what_is_opened_as_its_terminal() {
    let dir = Dir::new();
    let id = dir.id("hostile");
    let mut bundle = Bundle::script(&dir, "bundle", "sleep 100");
    bundle.edit(|config| {
        config["root"]["readonly"] = json!(false);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] =
                json!(["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
        }
    });
    dir.mkdir("bundle/rootfs/dev");
    let attacks = [
        "echo trap >/tmp/file; mount --bind /tmp/file /dev/pts/ptmx",
        "busybox mkfifo /tmp/fifo; mount --bind /tmp/fifo /dev/pts/ptmx",
        "mount --bind /dev/null /dev/pts/ptmx",
        "mount -t tmpfs none /dev/pts; echo trap >/dev/pts/ptmx",
        "mount -t tmpfs none /dev/pts; mknod /dev/pts/ptmx c 1 3",
        "mount -t tmpfs none /dev/pts; ln -s /proc/1/fd/1 /dev/pts/ptmx",
        "umount /dev/pts; rm -rf /dev/pts; mkdir /tmp/elsewhere; ln -s /tmp/elsewhere /dev/pts; echo >/tmp/elsewhere/ptmx",
        "umount /dev/pts; rm -rf /dev/pts",
    ];
    for attack in attacks {
        dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
        let tty = ["exec", "--tty", &id, "/bin/busybox", "tty"];
        assert_eq!(dir.pinfold(&tty).ok(), "/dev/pts/0\n", "the control of: {attack}");
        dir.pinfold(&["exec", &id, "/bin/sh", "-ec", attack]).ok();
        let ran = dir.pinfold(&tty);
        assert!(
            ran.code() == 255 && ran.err.contains("/process/terminal /dev/pts/ptmx"),
            "{attack}: {ran:?}"
        );
        assert!(
            ran.err.contains("hint: a terminal is made in the container's own devpts"),
            "{attack}: {ran:?}"
        );
        dir.pinfold(&["exec", &id, "/bin/true"]).ok();
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

#[test]
fn it_works_under_tmux() {
    let dir = Dir::new();
    let bundle = with_terminal(&dir, "bundle", &with_trap());
    let socket = dir.text("tmux");
    let tmux = |args: &[&str]| {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").args(["-S", &socket, "-f", "/dev/null"]).args(args);
        run(&mut command)
    };
    let line = format!(
        "{} --root {} run --bundle {} {}; echo \"code $? $(stty -a | grep -o ' -\\?icanon')\"; sleep 60",
        support::PINFOLD,
        dir.state_root().display(),
        bundle.text(),
        dir.id("tmux")
    );
    tmux(&["new-session", "-d", "-x", "90", "-y", "30", "-s", "one", &line]).ok();
    let shows = |text: &str| tmux(&["capture-pane", "-p", "-t", "one"]).out.contains(text);
    await_that("the size of the pane", || shows("size 30 90") || shows("size 29 90"));
    tmux(&["send-keys", "-t", "one", "hello", "Enter"]).ok();
    await_that("the answer", || shows("heard hello"));
    tmux(&["send-keys", "-t", "one", "C-c"]).ok();
    await_that("the interrupt", || shows("interrupted"));
    tmux(&["resize-window", "-t", "one", "-x", "70", "-y", "20"]).ok();
    await_that("the new size", || shows("now 20 70") || shows("now 19 70"));
    tmux(&["send-keys", "-t", "one", "bye", "Enter"]).ok();
    await_that("the end", || shows("code 5") && shows(" icanon"));
    tmux(&["kill-server"]).ok();
    dir.assert_nothing_left();
}
