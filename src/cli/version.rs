//! What `pinfold --version` says, in runc's form: callers parse it.

/// The version of pinfold.
pub const PINFOLD: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, or `unknown` (build.rs).
pub const COMMIT: &str = env!("PINFOLD_COMMIT");

/// The version of the OCI runtime specification that is implemented.
pub const SPEC: &str = "1.3.0";

/// Three lines but for the program's name and a space in front, which the parser prints.
pub const TEXT: &str =
    concat!("version ", env!("CARGO_PKG_VERSION"), "\ncommit: ", env!("PINFOLD_COMMIT"), "\nspec: ", "1.3.0");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_three_lines_of_runc() {
        assert_eq!(TEXT, format!("version {PINFOLD}\ncommit: {COMMIT}\nspec: {SPEC}"));
        assert!(!COMMIT.is_empty());
    }
}
