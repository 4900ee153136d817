//! `vocar listen`: one session through the service.

use super::{Code, Common, Failure, mode, monitor, telephone};
use crate::config::ListenMode;
use clap::Args;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::Duration;

/// Options of `listen`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// push-to-talk, wake or open-mic; the configured one unless given.
    #[arg(long, value_parser = mode)]
    mode: Option<ListenMode>,
    /// Seat zone.
    #[arg(long)]
    zone: Option<String>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    limit: f64,
}

/// Starts a session and prints its events until a command is recognised.
///
/// # Errors
/// [`Code::No`] when the session ended without one.
pub async fn execute(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let service = telephone::call(common).await?;
    let mut signals = service.inner().receive_all_signals().await?;
    if let Err(error) = service.subscribe().await {
        eprintln!("vocar: no transcripts: {error}");
    }
    let mut options = HashMap::new();
    if let Some(mode) = arguments.mode {
        options.insert("mode", mode.name().into());
    }
    if let Some(zone) = &arguments.zone {
        options.insert("zone", zone.as_str().into());
    }
    let session = service.start_listening(options).await?;
    let limit = Duration::try_from_secs_f64(arguments.limit)
        .map_err(|_| Failure::new(Code::Usage, "--limit: give seconds, 0 or more"))?;
    let end = tokio::time::sleep(limit);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => {
                service.cancel(session).await?;
                return Err(Failure::no());
            }
            signal = signals.next() => {
                let Some(message) = signal else {
                    return Err(Failure::new(Code::NoService, "the bus went away"));
                };
                let Some(line) = monitor::describe(&message).filter(|line| line["session"] == session) else { continue };
                monitor::print(common.json, &line);
                let push_to_talk = arguments.mode.unwrap_or_default() == ListenMode::PushToTalk;
                match line["signal"].as_str() {
                    Some("IntentRecognized") => {
                        if !push_to_talk {
                            service.cancel(session).await?;
                        }
                        return Ok(());
                    }
                    Some("Rejected") if push_to_talk => return Err(Failure::no()),
                    _ => {}
                }
            }
        }
    }
}
