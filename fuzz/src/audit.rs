//! Lines of an audit log → findings, and bodies → lines: what is sealed is read back, and no change of a
//! sealed log goes unseen.

use pinfold::audit::{Body, Checked, Finding, Head, Line, Verifier, digest, fields, read_line, seal};
use serde_json::{Map, Value, json};

pub fn audit(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let checked = verify(lines.iter().copied());
    if checked.findings.is_empty() {
        chained(&lines);
    }
    sealed(bytes);
}

fn verify<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Checked {
    let mut verifier = Verifier::new(None);
    verifier.file("log");
    lines.for_each(|line| verifier.line(line));
    verifier.end()
}

fn is_whole(checked: &Checked) -> bool {
    checked.findings.iter().all(|finding| !finding.is_break() && !matches!(finding, Finding::Gap(..)))
}

/// A log without a break, read again by a plainer way.
fn chained(lines: &[&[u8]]) {
    let mut before: Option<(u64, String)> = None;
    for line in lines.iter().filter_map(|line| line.strip_suffix(b"\n")) {
        let Line::Sealed(sealed) = read_line(line) else { panic!("a line that is no record, and no break") };
        let start = line.len() - r#","hash":""}"#.len() - 64;
        assert_eq!(sealed.hash, digest(&line[..start]));
        if let Some((seq, hash)) = before {
            assert_eq!((sealed.seq, &sealed.prev), (seq + 1, &hash));
        }
        before = Some((sealed.seq, sealed.hash));
    }
}

/// Three records with hostile content, and one changed byte in the middle one.
fn sealed(bytes: &[u8]) {
    let hostile = String::from_utf8_lossy(bytes);
    let body = match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(body)) if !body.is_empty() => body,
        _ => json!({"kind": "intent", "op": hostile, "argv": [hostile]}).as_object().unwrap().clone(),
    };
    // Who writes records names the keys; these are the format's own.
    let own = ["format", "seq", "prev", "hash"];
    let mut body: Map<_, _> = body.into_iter().filter(|(key, _)| !own.contains(&key.as_str())).collect();
    body.insert("kind".to_owned(), "intent".into());
    let judged = body.shift_remove("judged").map(|judged| judged.to_string());
    let body = fields(&Body { fields: body, judged }).unwrap();
    let mut head = Head::nothing();
    let mut log = vec![];
    for _ in 0..3 {
        let (line, next) = seal(&head, &body);
        let inside = line.strip_suffix('\n').unwrap();
        assert!(inside.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let Line::Sealed(read) = read_line(inside.as_bytes()) else { panic!("{line}") };
        assert!(read.is_intact() && read.head() == next);
        head = next;
        log.push(line.into_bytes());
    }
    assert!(verify(log.iter().map(Vec::as_slice)).findings.is_empty());
    let place = bytes.iter().fold(bytes.len(), |all, byte| all.wrapping_mul(31) ^ usize::from(*byte));
    let (place, bit) = (place % (log[1].len() - 1), 1 << (place % 7));
    log[1][place] ^= bit;
    assert!(!is_whole(&verify(log.iter().map(Vec::as_slice))), "byte {place}, bit {bit}");
}
