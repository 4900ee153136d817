//! The other end of the bus: a program that calls the service.

use crate::Bus;
use std::fmt::Debug;
use vocar_daemon::bus::{VoiceAssistant1Proxy, connect};
use zbus::proxy::CacheProperties;
use zbus::{Connection, DBusError};

/// A connection of its own and the service's interface on it; properties are asked for anew each time.
///
/// # Panics
/// If there is no way onto the bus.
pub async fn caller(bus: &Bus) -> (Connection, VoiceAssistant1Proxy<'static>) {
    let connection = connect(&bus.address()).await.expect("a connection");
    let builder = VoiceAssistant1Proxy::builder(&connection);
    let proxy = builder.cache_properties(CacheProperties::No).build().await;
    (connection, proxy.expect("a proxy"))
}

/// Full name and text of the D-Bus error that a call ends with.
///
/// # Panics
/// If it ends otherwise.
pub fn refusal<T: Debug>(result: zbus::Result<T>) -> (String, String) {
    match result {
        Err(zbus::Error::MethodError(name, text, _)) => {
            (name.to_string(), text.unwrap_or_default())
        }
        Err(zbus::Error::FDO(error)) => (
            error.name().to_string(),
            error.description().unwrap_or_default().to_owned(),
        ),
        other => panic!("not refused: {other:?}"),
    }
}
