//! References of images: what is accepted prints as what is read as the same, and names no path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use pinfold::image::spec::Wanted;
use pinfold::types::{Digest, FromOsStr, ImageArg, ImageRef, ImageSource};

pub fn reference(bytes: &[u8]) {
    let word = OsStr::from_bytes(bytes);
    ImageSource::from_os_str(word).ok();
    if let Ok(image) = ImageArg::from_os_str(word) {
        let printed = image.to_string();
        assert!(ImageArg::from_os_str(OsStr::new(&printed)).is_ok(), "{printed}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert!(digest.hex().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
    if let Ok(wanted) = text.parse::<Wanted>() {
        assert_eq!(wanted.platform().to_string().parse::<Wanted>().unwrap(), wanted);
    }
    let Ok(image) = text.parse::<ImageRef>() else { return };
    // The tag that an absent one means is printed.
    let again = image.to_string().parse::<ImageRef>().unwrap();
    assert_eq!((again.to_string(), again.repository()), (image.to_string(), image.repository()));
    assert_eq!((again.tag(), again.digest()), (image.tag(), image.digest()));
    let parts = image.path().split('/').chain(image.tag());
    for part in parts {
        assert!(!part.is_empty() && part != "." && part != ".." && part.is_ascii(), "{text:?}");
        assert!(!part.bytes().any(|byte| byte.is_ascii_control() || b" /\\?#%".contains(&byte)), "{text:?}");
    }
    // What stands in a URL or in a header of HTTP.
    assert!(image.repository().bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%@\\".contains(&byte)));
    let there = image.clone().with_registry("registry.example:5000");
    assert_eq!(there.path(), image.path());
}
