//! Which public keys an image must have been signed by: `--verify-key`, and `[[signature]]` of the
//! host's policy. What was verified is recorded in the store, for the judge of a launch.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::super::judge::host_policy;
use super::super::text_file;
use crate::error::{Context, Error, Kind, Result, warn};
use crate::image::store::Signature;
use crate::policy::{Mode, SignatureGrant, SignatureKey, trusted};
use crate::registry::{self, Line};
use crate::signature::Key;
use crate::types::{Digest, ImageRef, hex};

/// A public key is a few lines.
const LARGEST_KEY: usize = 4096;

/// A key, by the digest of its file.
#[derive(Clone)]
struct Known {
    sha256: String,
    key: Key,
}

/// One of these keys must have signed.
struct Demand {
    keys: Vec<Known>,
    /// The rule; none for `--verify-key`.
    rule: Option<String>,
}

/// What is demanded of one image.
pub(super) struct Demands {
    demands: Vec<Demand>,
    /// Of rules of profiles: whether such a one judges the launch is not known yet.
    offered: Vec<Known>,
    /// What becomes of an image that breaks a rule.
    mode: Mode,
}

impl Demands {
    /// Reads all keys, before anybody is asked for anything.
    ///
    /// # Errors
    /// A key file that is missing, is not root's alone where the policy names it, or is another one.
    pub(super) fn of(image: &ImageRef, verify_key: Option<&Path>) -> Result<Self> {
        let mut demands = vec![];
        if let Some(path) = verify_key {
            let text = text_file::read(path, LARGEST_KEY)?;
            demands.push(Demand { keys: vec![known(&text).on(path.display())?], rule: None });
        }
        let name = image.name().unwrap_or_else(|| image.repository());
        let policy = host_policy()?;
        let about = |rules: &crate::policy::Rules| -> Vec<SignatureGrant> {
            let all = rules.signature.iter().flat_map(|grants| &grants.value);
            all.filter(|grant| grant.is_about(&name)).cloned().collect()
        };
        let (mut offered, mut mode) = (vec![], Mode::Enforce);
        if let Some(document) = policy {
            mode = document.mode;
            for grant in about(&document.rules) {
                let rule = Some(format!("{} line {}", document.file, grant.line));
                demands.push(Demand { keys: keys(&grant)?, rule });
            }
            for grant in document.profiles.values().flat_map(|rules| about(rules)) {
                offered.extend(keys(&grant)?);
            }
        }
        Ok(Self { demands, offered, mode })
    }

    /// Which keys signed the image; each demand has one at least.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: no key of a rule did. Kind `ImageFailed`: that of `--verify-key` did not.
    pub(super) fn verify(
        &self,
        image: &ImageRef,
        digest: &Digest,
        line: &mut Line<'_>,
    ) -> Result<Vec<Signature>> {
        let mut found: BTreeMap<String, Signature> = BTreeMap::new();
        let mut signed = |known: &Known| {
            let signed = registry::signed_by(&known.key, image, digest, line);
            signed.map(|_| found.insert(known.sha256.clone(), record(known, image, digest)))
        };
        for demand in &self.demands {
            let tried: Vec<_> = demand.keys.iter().map(&mut signed).collect();
            if tried.iter().any(Result::is_ok) {
                continue;
            }
            let refusal = demand.refusal(image, tried.into_iter().find_map(Result::err));
            match (&demand.rule, self.mode) {
                (Some(_), Mode::Audit) => warn(format_args!("image pull: audit: {refusal}")),
                _ => return Err(refusal),
            }
        }
        // That such a key did not sign is no failure here: the judge of the launch finds no record.
        self.offered.iter().for_each(|known| drop(signed(known)));
        Ok(found.into_values().collect())
    }
}

impl Demand {
    fn refusal(&self, image: &ImageRef, why: Option<Error>) -> Error {
        let Some(rule) = &self.rule else {
            return why.unwrap_or_else(|| Error::internal("a demand without a key"));
        };
        let why = why.map_or_else(|| "the rule has no keys".to_owned(), |error| error.to_string());
        Error::new(Kind::PolicyRefused, format!("refused by policy: no key of the rule signed it: {why}"))
            .object(image)
            .hint(format!("rule signature.keys, {rule}"))
    }
}

fn record(known: &Known, image: &ImageRef, digest: &Digest) -> Signature {
    Signature { key: known.sha256.clone(), repository: image.repository(), digest: digest.clone() }
}

fn keys(grant: &SignatureGrant) -> Result<Vec<Known>> {
    grant.keys.iter().map(of_policy).collect()
}

/// Opened as the policy itself is.
fn of_policy(named: &SignatureKey) -> Result<Known> {
    let path = named.path.to_string_lossy();
    let wrong = |text: &str| Error::new(Kind::PolicyRefused, text).object(&path).field("signature.keys");
    let text = trusted::read_at(&path)?.ok_or_else(|| wrong("is missing"))?;
    let known = known(text.as_bytes()).on(&path)?;
    match known.sha256 == named.sha256 {
        true => Ok(known),
        false => Err(wrong("is another key: its SHA-256 is not the one that the policy says")
            .hint(format!("it is {}", known.sha256))),
    }
}

fn known(text: &[u8]) -> Result<Known> {
    let sha256 = hex(Sha256::digest(text));
    Ok(Known { sha256, key: String::from_utf8_lossy(text).parse()? })
}
