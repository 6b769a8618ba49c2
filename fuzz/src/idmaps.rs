//! Id maps: bytes are ranges, and the text of a map file. What a Draft takes is what fits the kernel's
//! ids, and a map that was written is read back.

use pinfold::commands::bundle;
use pinfold::draft::{self, Extras, HostFacts};
use pinfold::plan::IdRange;
use pinfold::resolve::{parse_map, render_map};
use serde_json::{Value, json};

/// Of user_namespaces(7).
const MOST: usize = 340;

pub fn idmaps(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(ranges) = parse_map(text)
    {
        assert_eq!(plain(&parse_map(&render_map(&ranges)).unwrap()), plain(&ranges));
    }
    let word = |at: &[u8]| u32::from_le_bytes(at.try_into().unwrap());
    let ranges: Vec<_> = bytes
        .chunks_exact(12)
        .take(MOST)
        .map(|range| IdRange {
            inside: word(&range[..4]),
            outside: word(&range[4..8]),
            size: word(&range[8..]),
        })
        .collect();
    assert_eq!(plain(&parse_map(&render_map(&ranges)).unwrap()), plain(&ranges));
    drafted(&ranges);
}

fn drafted(ranges: &[IdRange]) {
    let (uids, gids) = ranges.split_at(ranges.len() / 2);
    let config = json!({
        "ociVersion": "1.2.0", "root": {"path": "rootfs"},
        "process": {"args": ["a"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "user"}], "uidMappings": list(uids), "gidMappings": list(gids)},
    });
    let Ok((spec, _)) = bundle::parse(config.to_string().as_bytes()) else { panic!("{config}") };
    let built = draft::build(&spec, &Extras::oci(), &HostFacts { last_cap: 40, ..HostFacts::default() });
    // Wide arithmetic: the last id, 2^32-1, is none (setresuid(2)).
    let ends = |first: u32, size: u32| u64::from(first) + u64::from(size) <= u64::from(u32::MAX);
    let sound =
        |range: &IdRange| range.size > 0 && ends(range.inside, range.size) && ends(range.outside, range.size);
    let fits = !uids.is_empty() && !gids.is_empty() && ranges.iter().all(sound);
    let Ok(draft) = built else { return };
    assert!(fits, "{:?}", plain(ranges));
    let maps = draft.id_maps.unwrap();
    assert_eq!((plain(&maps.uids), plain(&maps.gids)), (plain(uids), plain(gids)));
    let zero = |ranges: &[IdRange]| ranges.iter().any(|range| range.inside == 0);
    assert_eq!(maps.has_root(), zero(uids) && zero(gids));
}

fn plain(ranges: &[IdRange]) -> Vec<[u32; 3]> {
    ranges.iter().map(|range| [range.inside, range.outside, range.size]).collect()
}

fn list(ranges: &[IdRange]) -> Value {
    let one =
        |range: &IdRange| json!({"containerID": range.inside, "hostID": range.outside, "size": range.size});
    ranges.iter().map(one).collect()
}
