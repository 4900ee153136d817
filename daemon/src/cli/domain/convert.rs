//! `vocar domain convert FILE|DIR --out DIR`.

use super::super::{Code, Common, Failure};
use super::new::{unwritable, write};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use vocar_nlu::convert::{Format, convert};
use vocar_nlu::domain::is_domain_name;
use vocar_nlu::{Domain, DomainError};

/// Options of `domain convert`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file, or a folder of files.
    path: PathBuf,
    /// What it was written for: rhino, home-assistant or snips; otherwise the file tells.
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// Folder of the new domain, which is called like it.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Converts, writes the domain and loads it; what had to be left out is told line by line.
///
/// # Errors
/// [`Code::Input`] for files that cannot be converted or a folder that holds a domain already.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let wrong = |error: DomainError| Failure::new(Code::Input, error.to_string());
    let (out, file) = (&arguments.out, arguments.out.join("domain.toml"));
    let name = out
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if !is_domain_name(&name) {
        let text = format!(
            "--out: '{name}' cannot be a domain's name: use a-z, 0-9 and _, a letter first"
        );
        return Err(Failure::new(Code::Usage, text));
    }
    if file.exists() {
        let text = format!(
            "{}: is there already: choose another folder",
            file.display()
        );
        return Err(Failure::new(Code::Input, text));
    }
    let converted = convert(&arguments.path, arguments.from, &name).map_err(wrong)?;
    std::fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    write(&file, &converted.toml)?;
    Domain::load(out).map_err(wrong)?;
    if common.json {
        tell!(
            "{}",
            json!({"intents": converted.intents, "templates": converted.templates, "notes": converted.notes})
        );
        return Ok(());
    }
    for note in &converted.notes {
        tell!("{}:{}: {}", note.file.display(), note.line, note.text);
    }
    tell!(
        "{}: {} intents, {} templates; `vocar domain check {}` looks for contradictions",
        file.display(),
        converted.intents,
        converted.templates,
        out.display()
    );
    Ok(())
}
