//! Files that are known by what they contain, wherever they lie. A header alone is none: programs
//! and manuals name them; something must follow that could be a key.

use super::What;

/// How tokens of services begin, and how many letters and digits follow.
const TOKENS: &[(&str, usize, &str)] = &[
    ("AKIA", 16, "an access key id of a cloud"),
    ("ghp_", 36, "a token of a forge"),
    ("github_pat_", 22, "a token of a forge"),
    ("glpat-", 20, "a token of a forge"),
    ("xoxb-", 20, "a token of a chat"),
    ("npm_", 36, "a token of a registry"),
];

/// Bytes behind a header in which its key begins.
const NEAR: usize = 512;
/// A line of base64 that is no word.
const RUN: usize = 40;

/// What the beginning of a file holds.
pub(super) fn look(text: &[u8]) -> Option<(What, &'static str)> {
    let first = |(_, byte): &(usize, &u8)| matches!(byte, b'-' | b'A' | b'g' | b'n' | b'x' | b'P');
    text.iter().enumerate().filter(first).find_map(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| text.get(at)).copied();
        begins(text.get(at..).unwrap_or_default(), before)
    })
}

fn begins(here: &[u8], before: Option<u8>) -> Option<(What, &'static str)> {
    if here.starts_with(b"-----BEGIN ") {
        return pem(here).then_some((What::PrivateKey, "a private key in PEM"));
    }
    if here.starts_with(b"PuTTY-User-Key-File-") {
        return Some((What::PrivateKey, "a private key of PuTTY"));
    }
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let token = |(start, length, _): &&(&str, usize, &str)| {
        let follow = |rest: &[u8]| rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        here.strip_prefix(start.as_bytes()).is_some_and(|rest| follow(rest) >= *length)
    };
    // Of a cloud's id the length is exact and every letter is large.
    let exact = |rest: &[u8]| {
        let id = rest.get(4..20).unwrap_or_default();
        id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && !rest.get(20).is_some_and(u8::is_ascii_alphanumeric)
    };
    let found = TOKENS.iter().find(token)?;
    (found.0 != "AKIA" || exact(here)).then_some((What::Credentials, found.2))
}

/// RFC 7468; RFC 4880 6.2. In JSON the line ends with the two characters `\n`.
fn pem(here: &[u8]) -> bool {
    let label = here.get(..64.min(here.len())).unwrap_or_default();
    let Some(end) = find(label.get(11..).unwrap_or_default(), b"-----") else { return false };
    let words = label.get(11..11 + end).unwrap_or_default();
    if !(words.ends_with(b"PRIVATE KEY") || words.ends_with(b"PRIVATE KEY BLOCK")) {
        return false;
    }
    let body = here.get(11 + end + 5..).unwrap_or_default();
    let body = body.get(..NEAR.min(body.len())).unwrap_or_default();
    let of_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    body.split(|byte| !of_key(byte)).any(|run| run.len() >= RUN)
}

/// Whether `text` has `part` in it.
pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_that_are_known() {
        let body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz\n";
        let key = Some(What::PrivateKey);
        let token = Some(What::Credentials);
        let rows: &[(String, Option<What>)] = &[
            (format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}"), key),
            (format!("a certificate\n-----BEGIN PRIVATE KEY-----\r\n{body}"), key),
            (
                format!(
                    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\n{body}"
                ),
                key,
            ),
            (format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{}\\n\"}}", body.trim()), key),
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{body}"), key),
            (format!("-----BEGIN CERTIFICATE-----\n{body}"), None),
            (format!("-----BEGIN PUBLIC KEY-----\n{body}"), None),
            ("if line == '-----BEGIN RSA PRIVATE KEY-----':\n    pass\n".to_owned(), None),
            ("-----BEGIN PRIVATE KEY-----".to_owned(), None),
            ("-----BEGIN ".to_owned(), None),
            ("PuTTY-User-Key-File-3: ssh-ed25519".to_owned(), key),
            ("id = AKIAIOSFODNN7EXAMPLE\n".to_owned(), token),
            ("AKIAIOSFODNN7EXAMPLE".to_owned(), token),
            ("id = AKIAIOSFODNN7EXAMPLEX".to_owned(), None),
            ("XAKIAIOSFODNN7EXAMPLE".to_owned(), None),
            (format!("token: ghp_{}", "a1".repeat(18)), token),
            ("ghp_short".to_owned(), None),
            ("-".repeat(5000), None),
            (String::new(), None),
        ];
        for (text, what) in rows {
            assert_eq!(look(text.as_bytes()).map(|(what, _)| what), *what, "{text}");
        }
    }
}
