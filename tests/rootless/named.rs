//! A long-lived sandbox of an ordinary user, and further programs in it. Its init hides from its
//! own user (proc(5)), so both `exec` and the check from outside need a way of their own.

use crate::support::{Place, left_in, processes_with, run, soon};

/// Deletes the sandbox whatever becomes of the test.
struct Named<'p> {
    place: &'p Place,
    mark: String,
}

impl<'p> Named<'p> {
    fn start(place: &'p Place, number: u32) -> Self {
        let mark = format!("{}.{number}", 100_000 + std::process::id());
        let ran =
            run(place.pinfold(["sandbox", "--name", "named", "--detach", "--", "sleep", &mark])).exits(0);
        assert_eq!(ran.out, "named\n");
        Self { place, mark }
    }
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        run(self.place.pinfold(["delete", "--force", "named"]));
    }
}

#[test]
fn exec_gives_a_program_that_is_no_less_confined() {
    let place = Place::new("exec");
    let _named = Named::start(&place, 10);
    let script = "id -u; pwd; cat /proc/self/status /proc/self/limits; ls /proc/self/fd | wc -l; \
                  for p in /usr/x /etc/x /x; do echo x 2>/dev/null >$p && echo wrote; done; \
                  head -c1 /proc/1/environ 2>/dev/null | wc -c; readlink /proc/1/exe";
    let ran = run(place.pinfold(["exec", "named", "sh", "-c", script]));
    for line in [
        "1000",
        "/",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(ran.out.lines().any(|found| found == line), "no {line:?} in\n{}{}", ran.out, ran.err);
    }
    assert!(ran.out.ends_with("\n4\n0\n"), "three streams and the listing; pid 1 is closed: {}", ran.out);
    let files = ran.out.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(files.split_whitespace().filter(|word| *word == "1024").count() == 2, "{files}");
    assert!(!ran.out.contains("wrote"));
    run(place.pinfold(["exec", "--user", "0", "named", "id"]))
        .exits(255)
        .says(&["/process/user/uid", "hint: "]);
}

#[test]
fn exec_is_in_the_same_namespaces() {
    let place = Place::new("exec-same");
    let named = Named::start(&place, 11);
    run(place.pinfold(["exec", "named", "sh", "-c", "echo left > /tmp/here"])).exits(0);
    let ran = run(place.pinfold(["exec", "named", "cat", "/tmp/here"])).exits(0);
    assert_eq!(ran.out, "left\n");
    let all = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done";
    let ran = run(place.pinfold(["exec", "named", "sh", "-c", all])).exits(0);
    assert!(ran.out.contains(&format!("sleep {}", named.mark)), "{}", ran.out);
}

#[test]
fn delete_ends_all_of_it() {
    let place = Place::new("delete");
    let named = Named::start(&place, 12);
    let mark = named.mark.clone();
    // What it inherited would keep the caller's pipes open.
    let daemon = format!("exec setsid sleep {mark} >/dev/null 2>&1");
    run(place.pinfold(["exec", "--detach", "named", "sh", "-c", &daemon])).exits(0);
    assert!(soon(|| processes_with(&mark).len() == 2), "{:?}", processes_with(&mark));
    drop(named);
    assert!(soon(|| processes_with(&mark).is_empty()), "{:?}", processes_with(&mark));
    assert!(left_in(place.path("run/pinfold")).is_empty());
}
