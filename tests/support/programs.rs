//! Programs beside the one under test, and the place where it runs.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use super::{Dir, PINFOLD};

/// pinfold with these arguments, in a mount namespace of its own that `script` prepares: `$DIR` is the test's
/// directory, `$PREPARE` what the test adds, `"$@"` pinfold.
pub fn pinfold_after(script: &str, dir: &Dir, prepare: &str, args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh", PINFOLD, "--root"]);
    command.arg(dir.state_root()).args(args).current_dir(dir.path());
    command.env("DIR", dir.path()).env("PREPARE", prepare);
    command
}

/// pinfold's own registry client must stand beside it.
pub fn build_the_fetcher() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let profile = Path::new(PINFOLD).parent().unwrap().file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let mut cargo = Command::new(env!("CARGO"));
        // A build script that looks at these would run again, and all above it.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
            if !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&name.as_str()) {
                cargo.env_remove(name);
            }
        }
        cargo.args(["build", "--quiet", "--locked", "-p", "pinfold-fetch", "--profile", profile]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    });
}
