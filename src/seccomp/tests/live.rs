//! The `tool` profile in the running kernel: loaded in a thread of its own, whose children inherit it.

use std::process::{Command, Output};
use std::thread;

use crate::seccomp::table::Call;
use crate::seccomp::{Arch, Profile, builtin};

/// Runs a program behind the filter.
fn run(profile: &str, program: &str, args: &[&str]) -> Output {
    let profile = Profile::from_json(builtin(profile).unwrap()).unwrap().compile().unwrap();
    thread::scope(|scope| {
        let child = scope.spawn(|| {
            seccompiler::apply_filter(profile.instructions()).unwrap();
            Command::new(program).args(args).output().unwrap()
        });
        child.join().unwrap()
    })
}

#[track_caller]
fn succeeds(program: &str, args: &[&str], expected: &str) {
    for profile in ["tool", "default"] {
        let output = run(profile, program, args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(expected), "{profile}: {program}: {output:?}");
    }
}

#[test]
fn python_runs() {
    let script = "
import os, socket, subprocess, tempfile, threading, asyncio, multiprocessing
with tempfile.TemporaryDirectory() as d:
    open(d + '/f', 'w').write('x'); os.mkfifo(d + '/p'); os.rename(d + '/f', d + '/g')
done = []
thread = threading.Thread(target=lambda: done.append(1)); thread.start(); thread.join()
a, b = socket.socketpair()
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname())
out = subprocess.run(['/bin/sh', '-c', 'echo sub'], capture_output=True, text=True).stdout
async def main(): await asyncio.create_subprocess_exec('true'); return 'loop'
print(done, out.strip(), asyncio.run(main()), multiprocessing.Value('i', 3).value)
";
    succeeds("python3", &["-c", script], "[1] sub loop 3");
}

#[test]
fn a_shell_and_its_pipes_run() {
    succeeds(
        "bash",
        &["-c", "for i in 1 2 3; do echo $i; done | sort -r | (sleep 0; tr '\\n' ' ')"],
        "3 2 1",
    );
}

#[test]
fn git_runs() {
    let script = "set -e; d=$(mktemp -d); cd $d; git init -q; echo a > a; git add a;
                  git -c user.name=n -c user.email=e commit -qm first; git log --oneline; rm -rf $d";
    succeeds("sh", &["-c", script], "first");
}

#[test]
fn a_compiler_runs() {
    let script = "set -e; d=$(mktemp -d); cd $d; echo 'fn main() { println!(\"built\") }' > a.rs;
                  rustc a.rs; ./a; rm -rf $d";
    succeeds("sh", &["-c", script], "built");
}

#[test]
fn curl_runs() {
    // 7: the port is closed, which takes a socket to find out.
    let script = "curl -sf file:///etc/hostname > /dev/null && curl -s http://127.0.0.1:1/; echo $?";
    succeeds("bash", &["-c", script], "7");
}

/// Makes raw calls and prints each one's errno.
const PROBE: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for call in sys.argv[1:]:
    args = [ctypes.c_long(int(part, 0)) for part in call.split(',')]
    ctypes.set_errno(0)
    libc.syscall(*args)
    print(ctypes.get_errno())
";

#[test]
fn the_kernel_denies_what_the_profile_denies() {
    let calls = [
        ("socket", "38,5,0", 1),
        ("socket", "40,1,0", 1),
        ("socket", "16,3,9", 1),
        ("socket", "2,1,132", 1),
        ("socket", "16,3,0", 0),
        ("socket", "2,1,0", 0),
        ("io_uring_setup", "1,0", 1),
        ("unshare", "0x10000000", 1),
        ("keyctl", "0,0", 1),
        ("bpf", "0,0,0", 1),
        ("ptrace", "0,0,0,0", 1),
        ("clone3", "0,0", 38),
        ("ioctl", "0,0x100005412,0", 1),
        ("personality", "0x400000", 1),
        // Newer than any call the profile names.
        ("", "0x3fff", 38),
    ];
    let native = Arch::NATIVE.unwrap();
    let spelled = calls.map(|(name, args, _)| match Call::named(name) {
        Some(call) => format!("{},{args}", call.number(native).unwrap()),
        None => args.to_owned(),
    });
    let mut args = vec!["-c", PROBE];
    args.extend(spelled.iter().map(String::as_str));
    let output = run("tool", "python3", &args);
    let found: Vec<i32> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(found, calls.map(|(_, _, errno)| errno), "{calls:?}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_of_another_abi_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    // getpid by int $0x80, which a 64-bit program can do too, and by an x32 number.
    let i386 = "
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7); code.write(bytes.fromhex('b814000000cd80c3'))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())
";
    let x32 = "import ctypes; print(ctypes.CDLL(None).syscall(ctypes.c_long(0x40000027)))";
    for script in [i386, x32] {
        let free = Command::new("python3").args(["-c", script]).output().unwrap();
        assert!(free.status.success(), "without a filter: {free:?}");
        let output = run("tool", "python3", &["-c", script]);
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{output:?}");
    }
}
