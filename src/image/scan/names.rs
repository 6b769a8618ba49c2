//! Files that are known by their names: where programs keep keys, tokens and passwords.

use super::What;
use super::content::contains;

/// The end of a path, and what the file has to contain to count.
const CREDENTIALS: &[(&str, &str)] = &[
    ("/.netrc", "password"),
    ("/_netrc", "password"),
    ("/.git-credentials", "://"),
    ("/.pgpass", ":"),
    ("/.my.cnf", "password"),
    ("/.npmrc", "_auth"),
    ("/.yarnrc.yml", "npmAuth"),
    ("/.pypirc", "password"),
    ("/.docker/config.json", "\"auth\""),
    ("/.dockercfg", "\"auth\""),
    ("/containers/auth.json", "\"auth\""),
    ("/.aws/credentials", "aws_secret_access_key"),
    ("/gcloud/credentials.db", ""),
    ("/gcloud/access_tokens.db", ""),
    ("/application_default_credentials.json", ""),
    ("/.azure/accessTokens.json", ""),
    ("/.azure/msal_token_cache.json", ""),
    ("/.azure/msal_token_cache.bin", ""),
    ("/.kube/config", ""),
    ("/.vault-token", ""),
    ("/.terraform.d/credentials.tfrc.json", "token"),
    ("/gh/hosts.yml", "oauth_token"),
    ("/.cargo/credentials", "token"),
    ("/.cargo/credentials.toml", "token"),
    ("/.gem/credentials", ""),
    ("/.s3cfg", "secret_key"),
    ("/rclone.conf", "["),
    ("/.htpasswd", ":"),
    ("/etc/krb5.keytab", ""),
    ("/run/secrets/kubernetes.io/serviceaccount/token", ""),
];

const KEY_STORES: &[&str] = &[".jks", ".keystore", ".p12", ".pfx", ".kdbx", ".ppk"];

/// What a file is by its name; `content` is what was read of it. An empty one holds nothing.
pub(super) fn named(path: &[u8], content: &[u8]) -> Option<(What, String)> {
    if content.is_empty() {
        return None;
    }
    let rooted = [b"/", path].concat();
    let known = |(end, holds): &&(&str, &str)| {
        rooted.ends_with(end.as_bytes()) && (holds.is_empty() || contains(content, holds.as_bytes()))
    };
    if CREDENTIALS.iter().any(|row| known(&row)) {
        return Some((What::Credentials, "by its name".to_owned()));
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.starts_with(b"ssh_host_") && name.ends_with(b"_key") {
        return Some((What::PrivateKey, "a host key of SSH".to_owned()));
    }
    if rooted.windows(9).any(|part| part == b"/.ssh/id_") && !name.ends_with(b".pub") {
        return Some((What::PrivateKey, "a user's key of SSH".to_owned()));
    }
    if KEY_STORES.iter().any(|end| name.ends_with(end.as_bytes())) {
        return Some((What::PrivateKey, "a store of keys by its name".to_owned()));
    }
    match path {
        b"etc/shadow" | b"etc/shadow-" | b"etc/passwd" | b"etc/passwd-" => passwords(content),
        _ => None,
    }
}

/// shadow(5), passwd(5): `!` and `*` match no password, `x` says that it stands elsewhere.
fn passwords(content: &[u8]) -> Option<(What, String)> {
    let (mut open, mut set) = (0_u64, 0_u64);
    for line in content.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':').skip(1);
        match (fields.next(), fields.next()) {
            (Some(b""), Some(_)) => open += 1,
            (Some(password), Some(_)) if !matches!(password, [b'!' | b'*', ..] | b"x") => set += 1,
            _ => {}
        }
    }
    match (open, set) {
        (0, 0) => None,
        (open, set) => {
            Some((What::Password, format!("accounts without a password: {open}, with one: {set}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_known() {
        let rows: &[(&str, &str, Option<What>)] = &[
            ("root/.netrc", "machine a login b password c", Some(What::Credentials)),
            ("root/.netrc", "# nothing yet", None),
            (".netrc", "password", Some(What::Credentials)),
            ("root/x.netrc", "password", None),
            ("home/a/.aws/credentials", "aws_secret_access_key = x", Some(What::Credentials)),
            ("home/a/.kube/config", "", None),
            ("etc/ssh/ssh_host_ed25519_key", "x", Some(What::PrivateKey)),
            ("etc/ssh/ssh_host_ed25519_key.pub", "x", None),
            ("root/.ssh/id_rsa", "x", Some(What::PrivateKey)),
            ("root/.ssh/id_rsa.pub", "x", None),
            ("root/.ssh/known_hosts", "x", None),
            ("srv/server.p12", "x", Some(What::PrivateKey)),
            ("etc/shadow", "root:*:1::::::\nbin:!:1::::::\n", None),
            ("etc/shadow", "root::1::::::\n", Some(What::Password)),
            ("etc/shadow", "root:$y$abc:1::::::\n", Some(What::Password)),
            ("etc/passwd", "root:x:0:0::/:/bin/sh\n", None),
            ("etc/passwd", "root::0:0::/:/bin/sh\n", Some(What::Password)),
            ("srv/etc/passwd", "root::0:0::/:/bin/sh\n", None),
            ("", "x", None),
        ];
        for (path, content, what) in rows {
            let found = named(path.as_bytes(), content.as_bytes()).map(|(what, _)| what);
            assert_eq!(found, *what, "{path}: {content}");
        }
    }
}
