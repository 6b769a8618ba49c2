//! The profiles that pinfold ships, as OCI JSON (seccomp-profiles/).

/// The text of a built-in profile: `default` for OCI containers, `tool` for `pinfold sandbox`,
/// `unpack` for the process that unpacks a layer.
pub fn builtin(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some(include_str!("../../seccomp-profiles/default.json")),
        "unpack" => Some(include_str!("../../seccomp-profiles/unpack.json")),
        "tool" => Some(include_str!("../../seccomp-profiles/tool.json")),
        _ => None,
    }
}
