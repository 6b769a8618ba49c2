//! The packages of an image as an SPDX 2.3 document in JSON. The same image and the same pinfold
//! give the same bytes: nothing of this machine and no time of the day gets in.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Image;
use super::packages::{Kind, Package, Packages};
use crate::types::hex;

const TOOL: &str = concat!("pinfold-", env!("CARGO_PKG_VERSION"));
const ROOT: &str = "SPDXRef-Image";

/// Said in the document, and by who asks for it.
pub const RPM_IS_NOT_READ: &str =
    "The image has an RPM database, which was not read: its packages are missing here.";

/// The document.
pub fn document(image: &Image, found: &Packages) -> Value {
    let mut packages = vec![of_image(image)];
    let mut relationships = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)];
    for (number, package) in found.packages.iter().enumerate() {
        let id = id(number, package);
        relationships.push(relation(ROOT, "CONTAINS", &id));
        packages.push(of_package(package, &id, found.system.as_deref()));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("image {}", image.digest),
        "documentNamespace": format!("urn:uuid:{}", uuid(image)),
        "creationInfo": {"created": created(image.config.created.as_deref()), "creators": [format!("Tool: {TOOL}")]},
        "comment": comment(found),
        "packages": packages,
        "relationships": relationships,
    })
}

/// What the list does not say.
fn comment(found: &Packages) -> String {
    let mut words = vec![
        "From the databases of dpkg and apk in the image; files that no package owns are not listed."
            .to_owned(),
    ];
    if found.rpm {
        words.push(RPM_IS_NOT_READ.to_owned());
    }
    if found.damaged > 0 {
        words.push(format!("{} records could not be used and are left out.", found.damaged));
    }
    words.join(" ")
}

fn of_image(image: &Image) -> Value {
    json!({
        "SPDXID": ROOT,
        "name": "image",
        "versionInfo": image.digest,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{"algorithm": "SHA256", "checksumValue": image.digest.hex()}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    })
}

fn of_package(package: &Package, id: &str, system: Option<&str>) -> Value {
    let mut value = json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl(package, system),
        }],
    });
    if let (Some(source), Some(object)) = (&package.source, value.as_object_mut()) {
        object.insert("sourceInfo".to_owned(), format!("built from the source package {source}").into());
    }
    value
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// Letters, digits, `.` and `-` alone (SPDX 2.3, clause 7.2); the number makes it the only one.
fn id(number: usize, package: &Package) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = package.name.chars().map(plain).take(64).collect();
    format!("SPDXRef-Package-{}-{name}", number + 1)
}

/// A package URL: `pkg:TYPE/NAMESPACE/NAME@VERSION?arch=ARCH`.
fn purl(package: &Package, system: Option<&str>) -> String {
    let (kind, usual) = match package.kind {
        Kind::Deb => ("deb", "debian"),
        Kind::Apk => ("apk", "alpine"),
    };
    let (name, version) = (encoded(&package.name), encoded(&package.version));
    let machine = package.architecture.as_deref().map(|machine| format!("?arch={}", encoded(machine)));
    format!("pkg:{kind}/{}/{name}@{version}{}", system.unwrap_or(usual), machine.unwrap_or_default())
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// A UUID of version 8 (RFC 9562), from the digest of the image and what wrote the document.
fn uuid(image: &Image) -> String {
    let hash = Sha256::digest(format!("spdx {TOOL} {}", image.digest));
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    let [.., six, _, eight, _, _, _, _, _, _, _] = &mut bytes;
    (*six, *eight) = (*six & 0x0f | 0x80, *eight & 0x3f | 0x80);
    let digits = hex(bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// When the image says that it was made, in the only form of SPDX; the epoch where it says nothing.
fn created(says: Option<&str>) -> String {
    let form = |text: &str| {
        let day = text.get(..19)?;
        let fits = day.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == *form,
        });
        (fits && text.ends_with('Z')).then(|| format!("{day}Z"))
    };
    says.and_then(form).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_form() {
        let epoch = "1970-01-01T00:00:00Z";
        let rows = [
            (Some("2024-02-03T04:05:06Z"), "2024-02-03T04:05:06Z"),
            (Some("2024-02-03T04:05:06.123456789Z"), "2024-02-03T04:05:06Z"),
            (Some("2024-02-03T04:05:06+02:00"), epoch),
            (Some("yesterday"), epoch),
            (Some("ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿZ"), epoch),
            (None, epoch),
        ];
        for (says, is) in rows {
            assert_eq!(created(says), is, "{says:?}");
        }
    }

    #[test]
    fn names_cannot_leave_their_place() {
        let package = Package {
            kind: Kind::Deb,
            name: "a/../b@1?x#y".to_owned(),
            version: "1:2+b~c".to_owned(),
            architecture: Some("am d".to_owned()),
            source: None,
        };
        assert_eq!(purl(&package, None), "pkg:deb/debian/a%2F..%2Fb%401%3Fx%23y@1%3A2%2Bb~c?arch=am%20d");
        assert_eq!(id(0, &package), "SPDXRef-Package-1-a-..-b-1-x-y");
    }
}
