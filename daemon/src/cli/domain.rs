//! `vocar domain check|sample DIR`.

use super::{Code, Common, Failure, Sayable, local};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vocar_nlu::{Domain, check, sample};

/// Options of `domain`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Load a domain, sample it, and report sentences that mean something else than they should.
    Check {
        /// Folder of the domain, or `car` for the built-in one.
        dir: PathBuf,
        /// Sentences to try.
        #[arg(long, default_value_t = 2000)]
        samples: usize,
        #[command(flatten)]
        extra: Extra,
    },
    /// Train the adapter of a domain from its templates and examples.
    Build(super::train::TrainArguments),
    /// Print sentences with their intents and slots: the columns text, intent, slots.
    Sample {
        /// Folder of the domain, or `car` for the built-in one.
        dir: PathBuf,
        /// How many sentences.
        #[arg(short = 'n', long, default_value_t = 100)]
        count: usize,
        /// A column more, `spans`: for each slot its first word and the one after its last.
        #[arg(long)]
        spans: bool,
        #[command(flatten)]
        extra: Extra,
    },
}

#[derive(Debug, Args)]
struct Extra {
    /// TOML file with entities, or `demo`.
    #[arg(long, value_name = "FILE")]
    entities: Option<PathBuf>,
    /// The same number gives the same sentences.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Checks or samples a domain.
///
/// # Errors
/// [`Code::Input`] for a malformed domain, [`Code::No`] when a check finds contradictions.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let (dir, extra) = match &arguments.action {
        Action::Check { dir, extra, .. } | Action::Sample { dir, extra, .. } => (dir, extra),
        Action::Build(arguments) => return super::train::train(common, arguments),
    };
    let sayable = Sayable {
        domain: Vec::new(),
        sentences: None,
        entities: extra.entities.clone(),
    };
    let entities = sayable.entities()?;
    let domain = load(common, dir)?;
    match &arguments.action {
        Action::Sample { count, spans, .. } => {
            tell!("text\tintent\tslots{}", if *spans { "\tspans" } else { "" });
            for sample in sample(&domain, &entities, extra.seed, *count) {
                let where_said = match spans {
                    true => format!("\t{}", json!(sample.spans)),
                    false => String::new(),
                };
                let (text, intent, slots) = (sample.text, sample.intent, json!(sample.slots));
                tell!("{text}\t{intent}\t{slots}{where_said}");
            }
            Ok(())
        }
        Action::Build(_) => Ok(()),
        Action::Check { samples, .. } => {
            let report = check(&domain, &entities, extra.seed, *samples);
            if common.json {
                tell!("{}", json!(report));
            } else {
                tell!(
                    "{}: {} intents, {} templates, {} with a VSS path; graph of {} nodes and {} arcs, {} words",
                    report.domain,
                    report.intents,
                    report.templates,
                    report.with_vss,
                    report.nodes,
                    report.arcs,
                    report.words.len()
                );
                for conflict in &report.conflicts {
                    let other = conflict
                        .understood
                        .as_ref()
                        .map_or("nothing", |sample| sample.intent.as_str());
                    tell!(
                        "conflict: \"{}\" means {}, understood as {other}",
                        conflict.meant.text,
                        conflict.meant.intent
                    );
                }
            }
            if report.conflicts.is_empty() {
                Ok(())
            } else {
                Err(Failure::no())
            }
        }
    }
}

fn load(common: &Common, dir: &Path) -> Result<Arc<Domain>, Failure> {
    let built_in = dir.as_os_str() == "car";
    let domain = if built_in {
        Vec::new()
    } else {
        vec![dir.to_path_buf()]
    };
    let sayable = Sayable {
        domain,
        sentences: None,
        entities: None,
    };
    let settings = if built_in {
        crate::config::Settings::default()
    } else {
        common.settings()?
    };
    local::domains(&settings, &sayable)?
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new(Code::Input, "no domain: give a folder, or `car`"))
}
