//! The manual pages and shell completions, generated from the flags so that they always agree.
//! Packages ship this output.

use crate::ops::cause;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The arguments of `rdv man`.
#[derive(Args, Clone, Debug)]
pub struct Manual {
    /// Write the page of every subcommand into this directory, instead of rdv(1) to standard output
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
}

/// The arguments of `rdv completions`.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell whose script is printed
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The locations of installed files.
const FILES: [(&str, &str); 5] = [
    ("/etc/rdv/rdv.toml", "the settings, one key for each flag"),
    ("/usr/lib/systemd/system/rdv.service, rdv.socket", "the service, and its socket activation"),
    ("/usr/lib/sysctl.d/60-rdv.conf", "limits of the kernel that the service wants"),
    ("/usr/lib/modules-load.d/rdv.conf", "the kernel's module for TLS, loaded at boot"),
    ("/var/log/rdv/", "the access log, if it is on; rotated by /etc/logrotate.d/rdv"),
];

impl Manual {
    /// Returns the page to print; empty if all pages of `program` were written to a directory.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn page(&self, program: Command) -> io::Result<String> {
        let mut program = program.disable_help_subcommand(true);
        program.build();
        let Some(directory) = &self.directory else { return page(program) };
        fs::create_dir_all(directory).map_err(|error| named(directory, &error))?;
        write(&program, directory)?;
        Ok(String::new())
    }
}

/// Writes the pages of a command and of its subcommands.
fn write(command: &Command, directory: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = directory.join(format!("{name}.1"));
    fs::write(&path, page(command.clone())?).map_err(|error| named(&path, &error))?;
    command.get_subcommands().try_for_each(|below| write(below, directory))
}

impl Completions {
    /// Returns the script for `program`.
    pub fn script(&self, mut program: Command) -> String {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "rdv", &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {}", path.display(), cause(error)))
}

fn page(command: Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(command).manual("rdv manual").render(&mut page)?;
    let mut files = Roff::new();
    files.control("SH", ["FILES"]);
    for (path, meaning) in FILES {
        files.control("TP", []).text([italic(path)]).text([roman(meaning)]);
    }
    files.control("SH", ["SEE ALSO"]);
    files.text([
        bold("curl"),
        roman("(1), "),
        bold("splice"),
        roman("(2), "),
        bold("pipe"),
        roman("(7)"),
    ]);
    files.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
