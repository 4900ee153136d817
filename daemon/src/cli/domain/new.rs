//! `vocar domain new NAME`.

use super::super::{Code, Failure};
use clap::Args;
use std::path::{Path, PathBuf};
use vocar_nlu::domain::{is_domain_name, starter};

/// Options of `domain new`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the domain: a-z, 0-9 and _, a letter first.
    name: String,
    /// Where to make its folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// Writes a small domain that works.
///
/// # Errors
/// [`Code::Usage`] for a name that cannot be, [`Code::Input`] when the folder is there already or cannot be written.
pub fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let name = &arguments.name;
    if !is_domain_name(name) {
        let text =
            format!("'{name}' cannot be a domain's name: use a-z, 0-9 and _, a letter first");
        return Err(Failure::new(Code::Usage, text));
    }
    let folder = arguments.dir.join(name);
    if folder.exists() {
        let text = format!(
            "{}: is there already: choose another name or --dir",
            folder.display()
        );
        return Err(Failure::new(Code::Input, text));
    }
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    for (file, text) in starter(name) {
        write(&folder.join(file), &text)?;
    }
    tell!(
        "{}: change domain.toml, then `vocar domain check {0}` and `vocar domain test {0}`",
        folder.display()
    );
    Ok(())
}

/// Writes a file of a new domain.
///
/// # Errors
/// [`Code::Input`] names the file.
pub fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| unwritable(file, &error))
}

/// A folder or a file that cannot be written.
pub fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let text = format!(
        "{}: cannot be written: {error}; choose another place",
        path.display()
    );
    Failure::new(Code::Input, text)
}
