//! Calls to the service.

use super::{Code, Common, Failure};
use crate::bus::{self, VoiceAssistant1Proxy};
use std::future::Future;

/// Runs a command that talks to the service.
///
/// # Errors
/// What the command fails with.
pub fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Code::NoService,
                format!("the runtime does not start: {error}"),
            )
        })?
        .block_on(command)
}

/// The service on the configured bus.
///
/// # Errors
/// [`Code::NoService`] when the bus does not answer.
pub async fn call(common: &Common) -> Result<VoiceAssistant1Proxy<'static>, Failure> {
    let address = common.settings()?.bus.address;
    let connection = bus::connect(&address).await.map_err(|error| {
        Failure::new(
            Code::NoService,
            format!("no bus at \"{address}\" ({error}): start it, or set bus.address (--user: the session bus)"),
        )
    })?;
    Ok(VoiceAssistant1Proxy::builder(&connection)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await?)
}
