//! `vocar domain test DIR`.

use super::super::{Code, Common, Failure};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use vocar_nlu::domain::trial::{FILE, Trials};

/// Options of `domain test`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the domain, or the name of a built-in one.
    dir: PathBuf,
}

/// Tries the sentences of `tests.toml` and prints those that mean something else than they should.
///
/// # Errors
/// [`Code::Input`] for a malformed domain or malformed tests, or none; [`Code::No`] when a sentence fails.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let wrong = |error: vocar_nlu::DomainError| Failure::new(Code::Input, error.to_string());
    let domain = super::load(common, &arguments.dir)?;
    let file = arguments.dir.join(FILE);
    let trials = Trials::find(&arguments.dir).map_err(wrong)?.ok_or_else(|| {
        let text = format!(
            "{}: there are no tests: write [[tests]] with say = \"…\" and intent = \"…\" into it",
            file.display()
        );
        Failure::new(Code::Input, text)
    })?;
    let outcome = trials.run(&domain).map_err(wrong)?;
    if common.json {
        tell!("{}", json!(outcome));
    } else {
        for failure in &outcome.failures {
            let line = failure
                .line
                .map_or_else(String::new, |line| format!(":{line}"));
            let (say, meant, got) = (&failure.say, &failure.meant, &failure.understood);
            tell!(
                "{}{line}: \"{say}\": meant {meant}, understood {got}",
                file.display()
            );
        }
        let (passed, failed) = (outcome.passed, outcome.failures.len());
        tell!(
            "{}: {passed} of {} sentences right",
            domain.name(),
            passed + failed
        );
    }
    if outcome.failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::no())
    }
}
