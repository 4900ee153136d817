//! `vocar domain new|check|test|list|sample|convert`.

mod convert;
mod list;
mod new;
mod test;

use super::{Code, Common, Failure, Sayable};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vocar_nlu::{Domain, Entities, Report, check, sample};

/// Options of `domain`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a small domain to begin with: domain.toml and tests.toml.
    New(new::Arguments),
    /// Load a domain, sample it, and report sentences that mean something else than they should.
    Check {
        /// Folder of the domain, or the name of a built-in one.
        dir: PathBuf,
        /// Sentences to try.
        #[arg(long, default_value_t = 2000)]
        samples: usize,
        #[command(flatten)]
        extra: Extra,
    },
    /// Try the sentences of a domain's tests.toml; the exit code is 1 when one means something else than it should.
    Test(test::Arguments),
    /// List the domains that are configured and those that are built in.
    List,
    /// Train the adapter of a domain from its templates and examples.
    Build(super::train::TrainArguments),
    /// Print sentences with their intents and slots: the columns text, intent, slots.
    Sample {
        /// Folder of the domain, or the name of a built-in one.
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
    /// Make a domain of a Rhino context, of Home Assistant sentences or of a Snips dataset.
    Convert(convert::Arguments),
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

impl Extra {
    fn entities(&self) -> Result<Entities, Failure> {
        let sayable = Sayable {
            domain: Vec::new(),
            sentences: None,
            entities: self.entities.clone(),
        };
        sayable.entities()
    }
}

/// Does what is asked with domains.
///
/// # Errors
/// [`Code::Input`] for a malformed domain, [`Code::No`] when a check finds contradictions or a test fails.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::New(arguments) => new::execute(arguments),
        Action::Check {
            dir,
            samples,
            extra,
        } => {
            let domain = load(common, dir)?;
            let report = check(&domain, &extra.entities()?, extra.seed, *samples);
            show(common, &report)
        }
        Action::Test(arguments) => test::execute(common, arguments),
        Action::List => list::execute(common),
        Action::Sample {
            dir,
            count,
            spans,
            extra,
        } => {
            tell!("text\tintent\tslots{}", if *spans { "\tspans" } else { "" });
            let domain = load(common, dir)?;
            for sample in sample(&domain, &extra.entities()?, extra.seed, *count) {
                let where_said = match spans {
                    true => format!("\t{}", json!(sample.spans)),
                    false => String::new(),
                };
                let (text, intent, slots) = (sample.text, sample.intent, json!(sample.slots));
                tell!("{text}\t{intent}\t{slots}{where_said}");
            }
            Ok(())
        }
        Action::Build(arguments) => super::train::train(common, arguments),
        Action::Convert(arguments) => convert::execute(common, arguments),
    }
}

fn show(common: &Common, report: &Report) -> Result<(), Failure> {
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

/// The domain in a folder, or the built-in one of that name, for the configured place.
fn load(common: &Common, dir: &Path) -> Result<Arc<Domain>, Failure> {
    let locale = common.settings()?.domains.locale();
    Domain::find(dir, locale.as_ref())
        .map(Arc::new)
        .map_err(|error| Failure::new(Code::Input, error.to_string()))
}
