//! The client against a bus at the other end of a socketpair. What it will answer is written into the
//! socket beforehand; afterwards it is read what it was asked.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use nix::unistd::Pid;

use super::bus::{Bus, Instance, Peer};
use super::message::{self, Kind, PROLOGUE};
use super::scope::Systemd;
use super::unit::Unit;
use super::wire::{Reader, Value, Writer};

const OWNER: &str = ":1.7";
const BUS: &str = "org.freedesktop.DBus";
const OK: &[u8] = b"DATA\r\nOK 1234\r\n";

/// A message as a bus sends it.
struct Sent {
    kind: u8,
    reply_to: u32,
    sender: &'static str,
    texts: Vec<(u8, String)>,
    signature: &'static str,
    body: Vec<u8>,
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        for byte in [b'l', self.kind, 0, 1] {
            to.byte(byte);
        }
        to.u32(u32::try_from(self.body.len()).unwrap());
        to.u32(77);
        to.array(8, |to| {
            to.byte(5);
            to.signature("u");
            to.u32(self.reply_to);
            let sender = [(7, self.sender.to_owned())];
            for (code, text) in self.texts.iter().chain(&sender).filter(|(_, text)| !text.is_empty()) {
                to.align(8);
                to.byte(*code);
                to.signature("s");
                to.text(text);
            }
            to.align(8);
            to.byte(8);
            to.signature("g");
            to.signature(self.signature);
        });
        to.align(8);
        let mut bytes = to.into_bytes();
        bytes.extend(&self.body);
        bytes
    }
}

fn answer(reply_to: u32, sender: &'static str, signature: &'static str, values: &[Value]) -> Vec<u8> {
    let mut body = Writer::default();
    values.iter().for_each(|value| body.value(value));
    Sent { kind: 2, reply_to, sender, texts: vec![], signature, body: body.into_bytes() }.bytes()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn error(reply_to: u32, name: &str, says: &str) -> Vec<u8> {
    let mut body = Writer::default();
    body.text(says);
    let texts = vec![(4, name.to_owned())];
    Sent { kind: 3, reply_to, sender: OWNER, texts, signature: "s", body: body.into_bytes() }.bytes()
}

fn removed(sender: &'static str, job: &str, result: &str) -> Vec<u8> {
    let mut body = Writer::default();
    body.u32(1);
    for word in [job, "x.scope", result] {
        body.text(word);
    }
    let texts = vec![(2, "org.freedesktop.systemd1.Manager".to_owned()), (3, "JobRemoved".to_owned())];
    Sent { kind: 4, reply_to: 0, sender, texts, signature: "uoss", body: body.into_bytes() }.bytes()
}

/// A connection whose other end has said hello and then says `answers`; calls are numbered from 4.
fn connected(answers: &[Vec<u8>]) -> (Systemd, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(OK).unwrap();
    theirs.write_all(&answer(1, BUS, "s", &[text(":1.99")])).unwrap();
    theirs.write_all(&answer(2, BUS, "s", &[text(OWNER)])).unwrap();
    theirs.write_all(&answer(3, BUS, "", &[])).unwrap();
    for bytes in answers {
        theirs.write_all(bytes).unwrap();
    }
    (Systemd::over(Bus::over(ours, Peer::Bus).unwrap()), theirs)
}

/// What the other end was sent, up to now: the lines of the authentication, then the calls.
fn asked(mut theirs: UnixStream) -> (String, Vec<message::Message>) {
    theirs.set_nonblocking(true).unwrap();
    let mut bytes = vec![];
    let _end = theirs.read_to_end(&mut bytes);
    let start = bytes.windows(7).position(|window| window == b"BEGIN\r\n").unwrap() + 7;
    let mut calls = vec![];
    let mut rest = &bytes[start..];
    while !rest.is_empty() {
        let size = message::size(&rest[..PROLOGUE]).unwrap();
        calls.push(message::read(&rest[..size]).unwrap());
        rest = &rest[size..];
    }
    (String::from_utf8_lossy(&bytes[..start]).into_owned(), calls)
}

fn unit() -> Unit {
    Unit::parse(Some("a-b.slice:p:n"), "id", Instance::System).unwrap()
}

fn start(systemd: &mut Systemd) -> Result<(), String> {
    let limits = [("TasksMax".to_owned(), Value::Uint64(5)), ("CollectMode".to_owned(), text("inactive"))];
    systemd.start(&unit(), Pid::from_raw(42), &limits).map_err(|error| error.to_string())
}

#[test]
fn the_greeting_names_nobody_and_asks_for_the_ends_of_jobs() {
    let (systemd, theirs) = connected(&[]);
    drop(systemd);
    let (lines, calls) = asked(theirs);
    assert_eq!(lines, "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
    let members: Vec<_> = calls.iter().map(|call| call.member.as_str()).collect();
    assert_eq!(members, ["Hello", "GetNameOwner", "AddMatch"]);
    let rule = Reader::new(&calls[2].body).text().unwrap().to_owned();
    assert!(
        rule.contains("sender='org.freedesktop.systemd1'") && rule.contains("member='JobRemoved'"),
        "{rule}"
    );
}

#[test]
fn a_scope_is_asked_for_with_its_process_and_waited_for() {
    let done = [
        answer(4, OWNER, "o", &[text("/job/9")]),
        removed(OWNER, "/job/8", "failed"),
        removed(OWNER, "/job/9", "done"),
    ];
    let (mut systemd, theirs) = connected(&done);
    start(&mut systemd).unwrap();
    let (_, calls) = asked(theirs);
    let call = &calls[3];
    assert_eq!((call.member.as_str(), call.signature.as_str()), ("StartTransientUnit", "ssa(sv)a(sa(sv))"));
    let mut reader = Reader::new(&call.body);
    assert_eq!((reader.text().unwrap(), reader.text().unwrap()), ("p-n.scope", "replace"));
    let mut list = reader.array(8).unwrap();
    let mut properties = vec![];
    while !list.is_at_end() {
        list.align(8).unwrap();
        let name = list.text().unwrap().to_owned();
        let told = match list.signature().unwrap() {
            "s" => list.text().unwrap().to_owned(),
            "b" => list.u32().unwrap().to_string(),
            "t" => {
                list.align(8).unwrap();
                let (low, high) = (list.u32().unwrap(), list.u32().unwrap());
                (u64::from(low) | u64::from(high) << 32).to_string()
            }
            "au" => list.array(4).unwrap().u32().unwrap().to_string(),
            other => panic!("{other}"),
        };
        properties.push(format!("{name}={told}"));
    }
    assert!(reader.array(8).unwrap().is_at_end() && reader.is_at_end());
    assert_eq!(
        properties,
        [
            "Description=container p-n.scope",
            "Slice=a-b.slice",
            "PIDs=42",
            "Delegate=1",
            "DefaultDependencies=0",
            "CPUAccounting=1",
            "IOAccounting=1",
            "MemoryAccounting=1",
            "TasksAccounting=1",
            "TasksMax=5",
            "CollectMode=inactive",
        ]
    );
}

#[test]
fn only_systemd_is_listened_to() {
    // Another client of the bus claims that the job has ended, and answers in systemd's place.
    let forged = [
        answer(4, ":1.66", "o", &[text("/job/1")]),
        answer(4, OWNER, "o", &[text("/job/9")]),
        removed(":1.66", "/job/9", "done"),
        removed(OWNER, "/job/9", "failed"),
    ];
    let (mut systemd, _theirs) = connected(&forged);
    let refused = start(&mut systemd).unwrap_err();
    assert!(refused.contains("job ended as \"failed\""), "{refused}");
}

#[test]
fn an_answer_to_another_call_is_passed_over() {
    let late =
        [answer(3, OWNER, "o", &[text("/job/1")]), error(4, "org.freedesktop.systemd1.NoSuchThing", "no")];
    let (mut systemd, _theirs) = connected(&late);
    assert_eq!(
        start(&mut systemd).unwrap_err(),
        "p-n.scope: StartTransientUnit: no (org.freedesktop.systemd1.NoSuchThing)"
    );
}

#[test]
fn a_failed_unit_of_that_name_is_forgotten_once() {
    let exists =
        |serial| error(serial, "org.freedesktop.systemd1.UnitExists", "Unit p-n.scope already exists.");
    let (mut systemd, theirs) = connected(&[
        exists(4),
        answer(5, OWNER, "", &[]),
        answer(6, OWNER, "o", &[text("/job/1")]),
        removed(OWNER, "/job/1", "done"),
    ]);
    start(&mut systemd).unwrap();
    let members: Vec<_> = asked(theirs).1.into_iter().skip(3).map(|call| call.member).collect();
    assert_eq!(members, ["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]);
    let (mut systemd, _theirs) = connected(&[exists(4), answer(5, OWNER, "", &[]), exists(6)]);
    let refused = start(&mut systemd).unwrap_err();
    assert_eq!(refused, "/linux/cgroupsPath p-n.scope: Unit p-n.scope already exists.");
}

#[test]
fn a_direct_connection_has_no_names() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(OK).unwrap();
    theirs.write_all(&answer(1, "org.freedesktop.systemd1", "o", &[text("/job/1")])).unwrap();
    theirs.write_all(&removed("org.freedesktop.systemd1", "/job/1", "done")).unwrap();
    let mut systemd = Systemd::over(Bus::over(ours, Peer::Direct).unwrap());
    start(&mut systemd).unwrap();
    let (_, calls) = asked(theirs);
    let members: Vec<_> = calls.into_iter().map(|call| call.member).collect();
    assert_eq!(members, ["StartTransientUnit"]);
}

#[test]
fn a_systemd_that_is_not_on_the_bus_yet_is_asked_to_come() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(OK).unwrap();
    let nobody = Sent {
        texts: vec![(4, format!("{BUS}.Error.NameHasNoOwner"))],
        ..Sent { kind: 3, reply_to: 2, sender: BUS, texts: vec![], signature: "", body: vec![] }
    };
    let sent = [
        answer(1, BUS, "s", &[text(":1.99")]),
        nobody.bytes(),
        answer(3, BUS, "u", &[Value::Uint32(1)]),
        answer(4, BUS, "s", &[text(OWNER)]),
        answer(5, BUS, "", &[]),
    ];
    sent.iter().for_each(|bytes| theirs.write_all(bytes).unwrap());
    drop(Bus::over(ours, Peer::Bus).unwrap());
    let members: Vec<_> = asked(theirs).1.into_iter().map(|call| call.member).collect();
    assert_eq!(members, ["Hello", "GetNameOwner", "StartServiceByName", "GetNameOwner", "AddMatch"]);
}

#[test]
fn a_unit_that_is_gone_is_stopped() {
    let (mut systemd, _theirs) = connected(&[error(4, "org.freedesktop.systemd1.NoSuchUnit", "gone")]);
    systemd.stop(&unit()).unwrap();
    let (mut systemd, _theirs) = connected(&[
        answer(4, OWNER, "o", &[text("/job/1")]),
        removed(OWNER, "/job/1", "done"),
        error(5, "org.freedesktop.systemd1.NoSuchUnit", "gone"),
    ]);
    systemd.stop(&unit()).unwrap();
    let (mut systemd, _theirs) = connected(&[error(4, "org.freedesktop.DBus.Error.AccessDenied", "no")]);
    assert!(systemd.stop(&unit()).is_err());
}

#[test]
fn a_change_is_for_the_unit_and_until_its_end() {
    let (mut systemd, theirs) = connected(&[answer(4, OWNER, "", &[])]);
    systemd.set(&unit(), &[("MemoryMax".to_owned(), Value::Uint64(1))]).unwrap();
    let (_, calls) = asked(theirs);
    let mut reader = Reader::new(&calls[3].body);
    assert_eq!((reader.text().unwrap(), reader.u32().unwrap()), ("p-n.scope", 1));
    assert_eq!((calls[3].kind, calls[3].signature.as_str()), (Kind::Other, "sba(sv)"));
}

#[test]
fn the_group_lies_below_systemds_own() {
    let mut body = Writer::default();
    body.variant(&text("/user.slice/user@1000.service"));
    let root =
        Sent { kind: 2, reply_to: 4, sender: OWNER, texts: vec![], signature: "v", body: body.into_bytes() };
    let (mut systemd, _theirs) = connected(&[root.bytes()]);
    let path = systemd.cgroup(&unit()).unwrap();
    assert_eq!(path.to_string(), "/user.slice/user@1000.service/a.slice/a-b.slice/p-n.scope");
}

#[test]
fn what_is_no_message_ends_the_connection_and_nothing_else() {
    let whole = answer(4, OWNER, "o", &[text("/job/9")]);
    let mut rows = vec![
        b"B".repeat(PROLOGUE),
        [&[b'l', 2, 0, 9][..], &[0; 12]].concat(),
        [&[b'l', 2, 0, 1][..], &[255; 12]].concat(),
        [&[b'l', 2, 0, 1, 0, 0, 16, 0][..], &[0; 8]].concat(),
    ];
    // Each byte of a good answer wrong in turn, and the answer cut off behind it.
    for at in 0..whole.len() {
        let mut wrong = whole.clone();
        wrong[at] ^= 0xff;
        rows.push(wrong);
        rows.push(whole[..at].to_vec());
    }
    for row in rows {
        let (mut systemd, theirs) = connected(std::slice::from_ref(&row));
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(start(&mut systemd).is_err(), "{row:?}");
    }
}

#[test]
fn a_bus_that_refuses_us_is_an_error() {
    for line in [&b"REJECTED EXTERNAL\r\n"[..], b"ERROR\r\n", &[b'x'; 5000]] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(line).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(Bus::over(ours, Peer::Direct).is_err());
    }
}
