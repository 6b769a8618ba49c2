//! `linux.memoryPolicy` (config-linux.md "Memory policy"): set_mempolicy(2).

use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};

use super::number_list;
use crate::error::{Error, Result};
use crate::plan::MemoryPolicy;
use crate::sys::mempolicy as kernel;

/// CONFIG_NODES_SHIFT is at most 10.
const LAST_NODE: u32 = 1023;

/// Mode, mode flags and nodes as the kernel takes them. Which nodes a mode needs or forbids is
/// left to it: kernels differ.
pub(super) fn memory_policy(given: &LinuxMemoryPolicy) -> Result<MemoryPolicy> {
    let flags = given.flags().iter().flatten().fold(0, |all, one| all | flag(*one));
    let both = kernel::MPOL_F_STATIC_NODES | kernel::MPOL_F_RELATIVE_NODES;
    if flags & both == both {
        return Err(
            Error::usage("static and relative nodes exclude each other").field("/linux/memoryPolicy/flags")
        );
    }
    let nodes = match given.nodes().as_deref().map(str::trim) {
        None | Some("") => vec![],
        Some(text) => number_list::mask(text, LAST_NODE).ok_or_else(|| {
            Error::usage("no list of nodes such as 0-1,3")
                .field("/linux/memoryPolicy/nodes")
                .object(format!("`{text}`"))
        })?,
    };
    Ok(MemoryPolicy { mode: mode(given.mode()) | flags, nodes })
}

fn mode(mode: MemoryPolicyModeType) -> i32 {
    match mode {
        MemoryPolicyModeType::MpolDefault => kernel::MPOL_DEFAULT,
        MemoryPolicyModeType::MpolPreferred => kernel::MPOL_PREFERRED,
        MemoryPolicyModeType::MpolBind => kernel::MPOL_BIND,
        MemoryPolicyModeType::MpolInterleave => kernel::MPOL_INTERLEAVE,
        MemoryPolicyModeType::MpolLocal => kernel::MPOL_LOCAL,
        MemoryPolicyModeType::MpolPreferredMany => kernel::MPOL_PREFERRED_MANY,
        MemoryPolicyModeType::MpolWeightedInterleave => kernel::MPOL_WEIGHTED_INTERLEAVE,
    }
}

fn flag(flag: MemoryPolicyFlagType) -> i32 {
    match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => kernel::MPOL_F_NUMA_BALANCING,
        MemoryPolicyFlagType::MpolFRelativeNodes => kernel::MPOL_F_RELATIVE_NODES,
        MemoryPolicyFlagType::MpolFStaticNodes => kernel::MPOL_F_STATIC_NODES,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(policy: Value) -> Result<MemoryPolicy> {
        memory_policy(&serde_json::from_value(policy).unwrap())
    }

    #[test]
    fn every_mode_and_flag_has_the_kernel_s_number() {
        let modes =
            ["DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY", "WEIGHTED_INTERLEAVE"];
        for (number, mode) in modes.iter().enumerate() {
            let policy = read(json!({"mode": format!("MPOL_{mode}")})).unwrap();
            assert_eq!((policy.mode, policy.nodes), (i32::try_from(number).unwrap(), vec![]), "{mode}");
        }
        for (flag, bit) in [("STATIC_NODES", 15), ("RELATIVE_NODES", 14), ("NUMA_BALANCING", 13)] {
            let given = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [format!("MPOL_F_{flag}")]});
            assert_eq!(read(given).unwrap().mode, 2 | 1 << bit, "{flag}");
        }
    }

    #[test]
    fn nodes_are_a_list_and_may_be_empty() {
        for (nodes, first) in [("0-1,3", Some(0b1011)), ("", None)] {
            let policy = read(json!({"mode": "MPOL_BIND", "nodes": nodes})).unwrap();
            assert_eq!(policy.nodes.first().copied(), first);
        }
        for nodes in ["a", "1-0", "1024", "0,,1"] {
            let error = read(json!({"mode": "MPOL_BIND", "nodes": nodes})).unwrap_err().to_string();
            assert!(error.starts_with("/linux/memoryPolicy/nodes"), "{error}");
        }
        let both = json!({"mode": "MPOL_BIND", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]});
        assert!(read(both).unwrap_err().to_string().starts_with("/linux/memoryPolicy/flags"));
    }
}
