//! `pinfold completion`: made from the definition of the command line itself.

use clap_complete::{generate, shells};

use super::output;
use crate::cli::{self, CompletionArgs, Shell};
use crate::error::{ExitCode, Result};

/// Prints the completion script.
///
/// # Errors
/// What write(2) says of stdout.
pub fn run(args: &CompletionArgs) -> Result<ExitCode> {
    output::print(&script(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> String {
    let (mut command, mut text) = (cli::command(), vec![]);
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, "pinfold", &mut text),
        Shell::Zsh => generate(shells::Zsh, &mut command, "pinfold", &mut text),
        Shell::Fish => generate(shells::Fish, &mut command, "pinfold", &mut text),
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_verbs_and_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["sandbox", "pids-limit", "no-new-keyring", "cgroup-manager"] {
                assert!(script.contains(word), "{shell:?}: {word}");
            }
        }
    }
}
