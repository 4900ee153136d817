//! The caller's side of the interface, for the command line and for tests.

use super::Dict;
use std::collections::HashMap;
use zbus::{Variant, proxy};

/// `org.vocar.VoiceAssistant1` as its callers see it.
#[proxy(
    interface = "org.vocar.VoiceAssistant1",
    default_service = "org.vocar.VoiceAssistant1",
    default_path = "/org/vocar/VoiceAssistant1"
)]
pub trait VoiceAssistant1 {
    /// Begins to listen.
    fn start_listening(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<u64>;
    /// Ends a session and takes what was heard as complete.
    fn stop(&self, session: u64) -> zbus::Result<()>;
    /// Ends a session and forgets what was heard.
    fn cancel(&self, session: u64) -> zbus::Result<()>;
    /// Understands a text.
    fn interpret_text(
        &self,
        text: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<Vec<Dict>>;
    /// Answers a question of the dialogue.
    fn confirm(&self, session: u64, yes: bool) -> zbus::Result<()>;
    /// Replaces the values of an entity list.
    fn set_entities(&self, list: &str, values: &[(&str, &[&str])]) -> zbus::Result<()>;
    /// Loads an adapter.
    fn load_adapter(&self, name: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
    /// Unloads an adapter.
    fn unload_adapter(&self, name: &str) -> zbus::Result<()>;
    /// Keeps a loaded adapter in memory, or no more.
    fn pin_adapter(&self, name: &str, pinned: bool) -> zbus::Result<()>;
    /// The adapters in memory and in the folder.
    fn list_adapters(&self) -> zbus::Result<Vec<Dict>>;
    /// Switches a domain on.
    fn enable_domain(&self, name: &str) -> zbus::Result<()>;
    /// Switches a domain off.
    fn disable_domain(&self, name: &str) -> zbus::Result<()>;
    /// Reads the configuration again.
    fn reload(&self) -> zbus::Result<()>;
    /// Asks for transcripts.
    fn subscribe(&self) -> zbus::Result<()>;
    /// Asks for no more transcripts.
    fn unsubscribe(&self) -> zbus::Result<()>;

    /// Tells what the vehicle says of its power, by VSS path, for as long as the caller stays on the bus.
    fn set_vehicle_state(&self, state: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;

    /// A command.
    #[zbus(signal)]
    fn intent_recognized(
        &self,
        session: u64,
        zone: &str,
        domain: &str,
        name: &str,
        slots: Dict,
        details: Dict,
    );
    /// What has been understood so far.
    #[zbus(signal)]
    fn partial_transcript(&self, session: u64, zone: &str, text: &str);
    /// What was said.
    #[zbus(signal)]
    fn final_transcript(
        &self,
        session: u64,
        zone: &str,
        text: &str,
        confidence: f64,
        details: Dict,
    );
    /// The wake phrase.
    #[zbus(signal)]
    fn wake_detected(&self, session: u64, zone: &str, phrase: &str, score: f64);
    /// No command.
    #[zbus(signal)]
    fn rejected(&self, session: u64, zone: &str, stage: &str, reason: &str);
    /// A question.
    #[zbus(signal)]
    fn dialogue_turn(&self, session: u64, zone: &str, kind: &str, prompt: &str, details: Dict);

    /// What the assistant is doing.
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    /// Hardware profile in force.
    #[zbus(property)]
    fn profile(&self) -> zbus::Result<String>;
    /// Power level in force.
    #[zbus(property)]
    fn power_level(&self) -> zbus::Result<String>;
    /// What the power level means here.
    #[zbus(property)]
    fn power_plan(&self) -> zbus::Result<Dict>;
    /// What computes the acoustic model.
    #[zbus(property)]
    fn backend(&self) -> zbus::Result<String>;
    /// Enabled domains.
    #[zbus(property)]
    fn domains(&self) -> zbus::Result<Vec<String>>;
    /// Adapters in memory.
    #[zbus(property)]
    fn adapters(&self) -> zbus::Result<Vec<String>>;
    /// Component → `ok` or what is wrong.
    #[zbus(property)]
    fn health(&self) -> zbus::Result<Dict>;
    /// Counters.
    #[zbus(property(emits_changed_signal = "false"))]
    fn metrics(&self) -> zbus::Result<Dict>;
    /// Whether transcripts stay inside.
    #[zbus(property)]
    fn privacy_mode(&self) -> zbus::Result<bool>;
    /// Switches the private mode.
    #[zbus(property)]
    fn set_privacy_mode(&self, on: bool) -> zbus::Result<()>;
    /// Version of the service.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
}
