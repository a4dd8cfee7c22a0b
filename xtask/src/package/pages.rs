//! Man pages and completions, from the arguments that the sensor reads.
//!
//! Takes the definitions in `sensor-user/src/cli`, compiled into this program: the sensor has no command for it and need
//! not be built. Gives files in a directory.

#[path = "../../../sensor-user/src/cli/args.rs"]
mod args;
#[path = "../../../sensor-user/src/cli/exit.rs"]
mod exit;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use exit::Exit;

/// Shells, and the names that they look for.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "api-sensor"),
    (Shell::Zsh, "_api-sensor"),
    (Shell::Fish, "api-sensor.fish"),
];

/// What clap cannot know. In the page of the whole command only.
const FILES: &str = r".SH FILES
.TP
\fI/etc/api\-sensor/api\-sensor.toml\fR
Configuration; may be absent. \fBapi\-sensor check\-config\fR reports every mistake in it.
.TP
\fI/var/lib/api\-sensor\fR
Key, store of what was learnt, and records that wait for the OTLP receiver.
.SH SIGNALS
.TP
\fBSIGHUP\fR
Read the configuration again: \fB[alerts]\fR, \fB[[suppress]]\fR, \fBwatch.port\fR and \fBwatch.path\fR are taken over.
.TP
\fBSIGINT\fR, \fBSIGTERM\fR
Detach, hand on what is under way, and end.
";

/// Writes `man/*.1` and `completions/*`; gives the number of files.
pub(super) fn write(directory: &Path) -> Result<usize> {
    let pages = pages()?.into_iter().map(|(name, text)| ("man", name, text));
    let completions = completions()
        .into_iter()
        .map(|(name, text)| ("completions", name.into(), text));
    let mut written = 0;
    for (kind, name, text) in pages.chain(completions) {
        let below = directory.join(kind);
        fs::create_dir_all(&below).with_context(|| format!("cannot make {}", below.display()))?;
        let file = below.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        written += 1;
    }
    Ok(written)
}

/// The command with every flag shown: `--help` leaves some out, so that it fits a screen.
fn command() -> Command {
    let mut command =
        args::Cli::command().mut_subcommands(|command| command.mut_args(|flag| flag.hide(false)));
    command.build();
    command
}

/// One page for the command and one for each of its commands.
fn pages() -> Result<Vec<(OsString, Vec<u8>)>> {
    let command = command();
    let mut pages = Vec::new();
    for one in std::iter::once(&command).chain(command.get_subcommands()) {
        let name = one.get_display_name().unwrap_or_else(|| one.get_name());
        let mut text = Vec::new();
        Man::new(one.clone())
            .title(name)
            .manual("api-sensor")
            .render(&mut text)?;
        if one.has_subcommands() {
            text.extend_from_slice(FILES.as_bytes());
        }
        pages.push((format!("{name}.1").into(), text));
    }
    Ok(pages)
}

fn completions() -> Vec<(&'static str, Vec<u8>)> {
    let complete = |(shell, name)| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command(), "api-sensor", &mut text);
        (name, text)
    };
    SHELLS.map(complete).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longs(command: &Command) -> Vec<String> {
        let longs = command.get_arguments().filter_map(|flag| flag.get_long());
        longs.map(str::to_owned).collect()
    }

    #[test]
    fn each_page_names_every_flag() {
        let command = command();
        let pages = pages().unwrap();
        let page = |name: &str| {
            let found = pages.iter().find(|(file, _)| file == name);
            String::from_utf8(found.unwrap().1.clone())
                .unwrap()
                .replace('\\', "")
        };
        assert_eq!(pages.len(), command.get_subcommands().count() + 1);
        for one in command.get_subcommands() {
            let text = page(&format!("api-sensor-{}.1", one.get_name()));
            for long in longs(one) {
                // In the list of options, not only in a sentence.
                assert!(text.contains(&format!("fB--{long}fR")), "--{long}\n{text}");
            }
        }
        assert!(
            page("api-sensor-run.1").contains("--exclude-container"),
            "hidden from --help"
        );
        let whole = page("api-sensor.1");
        for one in command.get_subcommands() {
            assert!(
                whole.contains(&format!("api-sensor-{}(1)", one.get_name())),
                "{whole}"
            );
        }
        assert!(whole.contains("SIGHUP"));
    }

    #[test]
    fn completions_know_every_flag() {
        for (name, text) in completions() {
            let text = String::from_utf8(text).unwrap();
            let is_fish = Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "fish");
            for one in command().get_subcommands() {
                for long in longs(one) {
                    let wanted = if is_fish {
                        format!("-l {long}")
                    } else {
                        format!("--{long}")
                    };
                    assert!(text.contains(&wanted), "{name}: {wanted}");
                }
            }
        }
    }
}
