//! `pinfold man`: manual pages, made from the definition of the command line itself.

use clap_mangen::Man;

use super::output::{self, Existing, write_file};
use crate::cli::{self, ManArgs, version};
use crate::error::{Call, ExitCode, Result};

/// Prints the main page, or writes it and one page per verb into a directory.
///
/// # Errors
/// What openat(2) and write(2) say.
pub fn run(args: &ManArgs) -> Result<ExitCode> {
    let pages = pages()?;
    match &args.directory {
        Some(directory) => {
            for (name, page) in pages {
                write_file(directory.as_path(), &name, page.as_bytes(), Existing::Replace)?;
            }
        }
        None => {
            for (_, page) in pages.into_iter().take(1) {
                output::print(&page)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// File names and contents: first the main page, then the verbs in the order of the help.
fn pages() -> Result<Vec<(String, String)>> {
    // The three lines of `--version` are no version for a page's foot; the groups of the first
    // help page would repeat the page's own list of verbs.
    let mut command =
        cli::command().version(version::PINFOLD).after_help(None::<&str>).disable_help_subcommand(true);
    command.build();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let verbs = verbs.collect::<Vec<_>>();
    std::iter::once(command).chain(verbs).map(page).collect()
}

fn page(command: clap::Command) -> Result<(String, String)> {
    let source = format!("pinfold {}", version::PINFOLD);
    let page = Man::new(command).source(source).manual("pinfold");
    let mut text = vec![];
    page.render(&mut text).call("render")?;
    Ok((page.get_filename(), String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_verb() {
        let pages = pages().unwrap();
        let names = pages.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names[..3], ["pinfold.1", "pinfold-create.1", "pinfold-start.1"]);
        let shown = |verb: &&clap::Command| !verb.is_hide_set();
        assert_eq!(pages.len(), 1 + cli::command().get_subcommands().filter(shown).count());
        let (_, sandbox) = pages.iter().find(|(name, _)| name == "pinfold-sandbox.1").unwrap();
        assert!(sandbox.contains("pids\\-limit") && sandbox.contains("Weaker"));
        for (name, page) in &pages {
            assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
        }
    }
}
