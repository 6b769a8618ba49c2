//! Values of the command line: what is accepted prints as something that is accepted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pinfold::cgroup::CgroupPath;
use pinfold::types::{ByteSize, ContainerId, SignalName, Span};

fuzz_target!(|text: &str| {
    if let Ok(path) = CgroupPath::parse(text) {
        assert!(path.components().all(|name| !name.is_empty() && name != "." && name != ".."));
    }
    if let Ok(id) = text.parse::<ContainerId>() {
        let name = id.to_string();
        assert!(!name.contains('/') && name != "." && name != ".." && name.len() <= 255);
    }
    if let Ok(size) = text.parse::<ByteSize>() {
        assert!(size.bytes() > 0);
    }
    if let Ok(span) = text.parse::<Span>() {
        assert!(!span.duration().is_zero());
    }
    if let Ok(signal) = text.parse::<SignalName>() {
        assert!(signal.number() <= 64);
    }
});
