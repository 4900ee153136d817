//! `vocard`, the Vocar service.
//!
//! Exit codes: 0 ended by SIGTERM or SIGINT, 1 internal failure, 2 wrong configuration or command line,
//! 3 no bus.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use vocar_daemon::config::{Layers, Scope};
use vocar_daemon::{logging, service};

/// The Vocar voice assistant service.
#[derive(Debug, Parser)]
#[command(name = "vocard", version, about)]
struct Arguments {
    /// Configuration file to use in place of /etc/vocar/vocar.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve one user: session bus and XDG folders.
    #[arg(long)]
    user: bool,
    /// Read the configuration, say what is wrong with it, and end.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scope = if arguments.user {
        Scope::User
    } else {
        Scope::System
    };
    let layers = Layers::of_process(scope, arguments.config.as_deref());
    let settings = match layers.read() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("vocard: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        println!("the configuration is well formed");
        return ExitCode::SUCCESS;
    }
    let level = logging::install(&settings.log.level);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(service::run(layers, settings, level)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
