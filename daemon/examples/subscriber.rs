//! An infotainment app in a few lines: prints each intent that the service recognises.
//!
//! `cargo run --release -p vocar-daemon --example subscriber` listens on the session bus; give `system` as the argument
//! for the vehicle's bus.

use std::collections::HashMap;

use futures_util::StreamExt;
use zbus::OwnedVariant;

#[zbus::proxy(
    interface = "org.vocar.VoiceAssistant1",
    default_service = "org.vocar.VoiceAssistant1",
    default_path = "/org/vocar/VoiceAssistant1"
)]
trait VoiceAssistant {
    #[zbus(signal)]
    fn intent_recognized(
        &self,
        session: u64,
        zone: String,
        domain: String,
        name: String,
        slots: HashMap<String, OwnedVariant>,
        details: HashMap<String, OwnedVariant>,
    ) -> zbus::Result<()>;
}

#[tokio::main]
async fn main() -> zbus::Result<()> {
    let bus = match std::env::args().nth(1).as_deref() {
        Some("system") => zbus::Connection::system().await?,
        _ => zbus::Connection::session().await?,
    };
    let assistant = VoiceAssistantProxy::new(&bus).await?;
    let mut intents = assistant.receive_intent_recognized().await?;
    while let Some(signal) = intents.next().await {
        let intent = signal.args()?;
        println!("{} from {}: {:?}", intent.name, intent.zone, intent.slots);
    }
    Ok(())
}
