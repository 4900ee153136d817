//! The command line `vocar`: one module a command, each printing for people or, with `--json`, for programs.

/// Prints one line, formatted like `println!`; a reader that has gone ends the program and is no failure.
macro_rules! tell {
    ($($text:tt)*) => { $crate::cli::show::line(&format!($($text)*)) };
}

mod adapter;
mod bundle;
mod cabin;
mod decision;
mod doctor;
mod domain;
mod energy;
mod eval;
mod failure;
mod hw;
mod listen;
mod local;
mod manifest;
mod monitor;
mod printer;
mod priority;
mod reading;
mod report;
mod run;
mod say;
mod score;
mod show;
mod status;
mod telephone;
mod train;

pub use failure::{Code, Failure};

use crate::config::{Layers, ListenMode, Scope, Settings};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use vocar_nlu::Entities;
use vocar_nlu::domain::{car_demo_entities, read_entities};

/// Vocar's command line.
///
/// Exit codes: 0 done; 1 done, and the answer is no (nothing understood, a check failed); 2 wrong command line or
/// configuration; 3 no bus or no service; 4 an input cannot be read; 5 the speech bundle is missing or damaged;
/// 6 the service refused.
#[derive(Debug, Parser)]
#[command(name = "vocar", version, about, verbatim_doc_comment)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// Configuration file to use in place of the usual one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use the user's configuration and the session bus.
    #[arg(long, global = true)]
    user: bool,
    /// Print JSON: one object, or one a line where things happen one after the other.
    #[arg(long, global = true)]
    json: bool,
}

impl Common {
    fn settings(&self) -> Result<Settings, Failure> {
        let scope = if self.user {
            Scope::User
        } else {
            Scope::System
        };
        Layers::of_process(scope, self.config.as_deref())
            .read()
            .map_err(|error| Failure::new(Code::Usage, error.to_string()))
    }
}

/// What can be said, in place of the configured domains.
#[derive(Debug, Args)]
pub struct Sayable {
    /// Folder or built-in name of a domain to use in place of the configured ones; may be repeated.
    #[arg(long, value_name = "DIR")]
    domain: Vec<PathBuf>,
    /// File with one sentence a line: exactly these can be said, none means anything.
    #[arg(long, value_name = "FILE", conflicts_with = "domain")]
    sentences: Option<PathBuf>,
    /// TOML file with entities (contacts, stations, places), or `demo` for the built-in example ones.
    #[arg(long, value_name = "FILE")]
    entities: Option<PathBuf>,
}

impl Sayable {
    /// The entities of `--entities`; none without it.
    fn entities(&self) -> Result<Entities, Failure> {
        match &self.entities {
            None => Ok(Entities::new()),
            Some(file) if file == Path::new("demo") => Ok(car_demo_entities()),
            Some(file) => {
                read_entities(file).map_err(|error| Failure::new(Code::Input, error.to_string()))
            }
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play recordings (or `-`, standard input) through the pipeline and print what is understood.
    Run(run::Arguments),
    /// Measure on a manifest: word error, acceptance, latency, computing time.
    ///
    /// Prints one object. Rows that are asked about (`asked`) have an intent or, with --sentences, a sentence: of them
    /// `accepted_right` is the share that is right (the sentence word for word; the intent once and with all slots),
    /// `accepted_wrong` the share taken for something else, `rejected` the number from which nothing came; `wer` counts
    /// the words of rejected rows as deletions. `false_intents` and `false_intents_per_hour` are about the other rows.
    /// `latency_ms` is from the end of the last word to the intent or, with --sentences, to the transcript; `rtf` is
    /// computing time for a second of audio. `zone_right` is the share of the rows with a column zone whose last result
    /// names that zone. `--energy` adds `energy`: see there.
    Eval(eval::Arguments),
    /// Listen through the service once and print what it understands.
    Listen(listen::Arguments),
    /// Understand a text, by the service or, with --local, without it.
    Say(say::Arguments),
    /// Show how the service is.
    Status,
    /// Watch what the service hears and understands.
    Monitor(monitor::Arguments),
    /// Show which machine this is, which profile was chosen and why.
    Hw(hw::Arguments),
    /// Check everything the service needs.
    Doctor,
    /// Write, check, test, convert or list domains, or draw sentences from one.
    Domain(domain::Arguments),
    /// List, load, unload or pin the adapters of the service; train one, or correct it.
    Adapter(adapter::Arguments),
    /// Check whether models, adapters and domains are whole, and who signed them.
    Bundle(bundle::Arguments),
}

/// Runs one command.
///
/// # Errors
/// [`Failure`] with its exit code.
pub fn execute(cli: Cli) -> Result<(), Failure> {
    let common = cli.common;
    match cli.command {
        Command::Run(arguments) => run::execute(&common, arguments),
        Command::Eval(arguments) => eval::execute(&common, &arguments),
        Command::Listen(arguments) => telephone::block_on(listen::execute(&common, arguments)),
        Command::Say(arguments) => say::execute(&common, &arguments),
        Command::Status => telephone::block_on(status::execute(&common)),
        Command::Monitor(arguments) => telephone::block_on(monitor::execute(&common, &arguments)),
        Command::Hw(arguments) => hw::execute(&common, &arguments),
        Command::Doctor => doctor::execute(&common),
        Command::Domain(arguments) => domain::execute(&common, &arguments),
        Command::Adapter(arguments) => adapter::execute(&common, &arguments),
        Command::Bundle(arguments) => bundle::execute(&common, &arguments),
    }
}

fn mode(text: &str) -> Result<ListenMode, String> {
    text.parse()
}
