//! What can be configured: one struct per section of `vocar.toml`, each with its built-in values.

use super::{CallLimits, Trusted};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use vocar_hw::AcceleratorSpec;
use vocar_nlu::Locale;

/// The whole configuration, section by section.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The speech bundle.
    pub model: Model,
    /// What can be said.
    pub domains: Domains,
    /// What the encoder learnt beside what it came with.
    pub adapters: Adapters,
    /// Whose models, adapters and domains are taken.
    pub trust: Trusted,
    /// Where the sound comes from.
    pub audio: Audio,
    /// When the assistant listens, and how sure it must be.
    pub listen: Listen,
    /// How speech is recognised.
    pub recognition: Recognition,
    /// How the assistant converses.
    pub dialogue: Dialogue,
    /// The message bus.
    pub bus: Bus,
    /// What may leave the process.
    pub privacy: Privacy,
    /// The machine.
    pub hardware: Hardware,
    /// The log.
    pub log: Log,
}

/// Section `[model]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// Folder of the speech bundle; empty: search the usual places.
    pub dir: PathBuf,
    /// Arithmetic of the acoustic model.
    pub precision: PrecisionChoice,
    /// Folder of the bundle that reads what no template says; empty: `nlu-en` beside the speech bundle, where it is there.
    pub understanding: PathBuf,
}

/// Which arithmetic the acoustic model uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// What the hardware profile says.
    #[default]
    Auto,
    /// 32-bit floating point.
    F32,
    /// 8-bit weights.
    Int8,
    /// 4-bit and 8-bit weights.
    Mixed,
}

/// Section `[domains]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domains {
    /// Load the built-in car domain.
    pub car: bool,
    /// Further built-in domains to load.
    pub built_in: Vec<String>,
    /// Folders of further domains, and folders that hold such folders.
    pub dirs: Vec<PathBuf>,
    /// Language and region, such as `en-US`; empty: what each domain says. Decides the scale of temperatures.
    pub locale: String,
    /// Names of domains that start disabled.
    pub disabled: Vec<String>,
}

impl Default for Domains {
    fn default() -> Self {
        Self {
            car: true,
            built_in: Vec::new(),
            dirs: Vec::new(),
            locale: String::new(),
            disabled: Vec::new(),
        }
    }
}

impl Domains {
    /// The place that is configured, if any. Settings have been checked when they were read.
    #[must_use]
    pub fn locale(&self) -> Option<Locale> {
        self.locale.parse().ok()
    }
}

/// Section `[adapters]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adapters {
    /// Folder whose folders are adapters; with `--user` another unless it is given.
    pub folder: PathBuf,
    /// Megabytes (1 to 1024) that those in memory may take; those not used for the longest go first.
    pub memory_mb: f64,
    /// Give each layers of its own: as quick as the base, for more memory.
    pub merge: bool,
    /// Names of those that are loaded at the start, each the one that reads its domain.
    pub active: Vec<String>,
    /// Seat zone → names of those that read what its speaker says, in place of the active ones.
    pub seats: BTreeMap<String, Vec<String>>,
}

impl Adapters {
    /// What those in memory may take, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        (self.memory_mb * 1e6) as usize
    }
}

impl Default for Adapters {
    fn default() -> Self {
        Self {
            folder: "/var/lib/vocar/adapters".into(),
            memory_mb: 16.0,
            merge: false,
            active: Vec::new(),
            seats: BTreeMap::new(),
        }
    }
}

/// Section `[audio]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Capture device, `default` or a name.
    pub device: String,
    /// Seat zone of the microphone.
    pub zone: String,
    /// Seconds between two attempts to open a microphone that vanished.
    pub retry_s: f64,
    /// Milliseconds (5 to 500) of sound that the device gathers before it hands it over.
    pub period_ms: f64,
    /// Microphones before several seats; none: `device` is the only one, heard as the mean of its channels.
    pub microphones: Vec<SeatMicrophone>,
    /// What the car plays.
    pub reference: Reference,
}

/// One of `[[audio.microphones]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeatMicrophone {
    /// Seat zone.
    pub zone: String,
    /// Capture device; empty: `audio.device`.
    #[serde(default)]
    pub device: String,
    /// Channel of the device, counted from 0.
    #[serde(default)]
    pub channel: u16,
}

/// Section `[audio.reference]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reference {
    /// Capture device that delivers what is played, such as a monitor; empty: `audio.device`.
    pub device: String,
    /// Its channels that are played, counted from 0; none: of another device all, of `audio.device` none.
    pub channels: Vec<u16>,
    /// Milliseconds (0 to 500) by which the reference is held back.
    pub delay_ms: f64,
    /// Milliseconds (20 to 500) from the reference to the end of its echo.
    pub tail_ms: f64,
}

impl Reference {
    /// Whether there is any.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        !self.device.is_empty() || !self.channels.is_empty()
    }
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            device: String::new(),
            channels: Vec::new(),
            delay_ms: 0.0,
            tail_ms: 130.0,
        }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            device: "default".into(),
            zone: "driver".into(),
            retry_s: 2.0,
            period_ms: 30.0,
            microphones: Vec::new(),
            reference: Reference::default(),
        }
    }
}

/// How the assistant listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenMode {
    /// One command after a button.
    #[default]
    PushToTalk,
    /// Commands after a wake phrase.
    Wake,
    /// Everything said is a candidate.
    OpenMic,
}

impl ListenMode {
    /// The name used in the configuration, on the bus and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PushToTalk => "push-to-talk",
            Self::Wake => "wake",
            Self::OpenMic => "open-mic",
        }
    }
}

impl std::str::FromStr for ListenMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::PushToTalk, Self::Wake, Self::OpenMic]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| {
                format!("unknown mode \"{text}\": use \"push-to-talk\", \"wake\" or \"open-mic\"")
            })
    }
}

/// What the service does at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartMode {
    /// Wait for `StartListening`.
    #[default]
    Off,
    /// Listen for the wake phrase.
    Wake,
    /// Listen to everything.
    OpenMic,
}

impl StartMode {
    /// The listening mode, unless the service starts silent.
    #[must_use]
    pub const fn listen(self) -> Option<ListenMode> {
        match self {
            Self::Off => None,
            Self::Wake => Some(ListenMode::Wake),
            Self::OpenMic => Some(ListenMode::OpenMic),
        }
    }
}

/// Section `[listen]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// What the service does at its start.
    pub start: StartMode,
    /// Mode of a `StartListening` that names none.
    pub mode: ListenMode,
    /// Phrases that wake the assistant.
    pub wake_phrases: Vec<String>,
    /// Seconds (1 to 60) after which a push-to-talk session in which nobody speaks ends.
    pub timeout_s: f64,
    /// Seconds (2 to 60) after which an utterance is over even if a voice goes on, such as a radio's.
    pub longest_s: f64,
    /// Least confidence (0 to 1) of a command after a button, a wake phrase or a question.
    pub min_confidence: f64,
    /// Least confidence (0 to 1) of a command at an open microphone, where most of what is heard is none.
    pub open_mic_confidence: f64,
    /// Commands below this confidence (0 to 1) are carried out only after a yes; 0: never asked.
    pub confirm_below: f64,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            start: StartMode::Off,
            mode: ListenMode::PushToTalk,
            wake_phrases: vec!["hey vocar".into()],
            timeout_s: 8.0,
            longest_s: 15.0,
            min_confidence: 0.2,
            open_mic_confidence: 0.96,
            confirm_below: 0.0,
        }
    }
}

/// Section `[recognition]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recognition {
    /// After a button, a wake phrase or a question: hear what no template says as any words, for the encoder to read.
    pub free_speech: bool,
    /// Least confidence (0 to 1) of a command in such words.
    pub free_confidence: f64,
}

impl Default for Recognition {
    fn default() -> Self {
        Self {
            free_speech: true,
            free_confidence: 0.2,
        }
    }
}

/// Section `[dialogue]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dialogue {
    /// Commands that their domain calls dangerous or dear are carried out only after a yes.
    pub confirm: bool,
    /// Seconds (1 to 60) after which a question that nobody has answered is withdrawn.
    pub answer_s: f64,
    /// Seconds (0 to 300) in which the last command may be corrected or referred to.
    pub follow_s: f64,
    /// Minutes (0 to 60) for which it still may when its session is over; 0: a session leaves nothing behind.
    pub keep_minutes: f64,
}

impl Default for Dialogue {
    fn default() -> Self {
        Self {
            confirm: true,
            answer_s: 8.0,
            follow_s: 20.0,
            keep_minutes: 0.25,
        }
    }
}

/// Section `[bus]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// `system`, `session`, or a D-Bus address.
    pub address: String,
    /// Group whose members may receive transcripts.
    pub transcripts_group: String,
    /// How much one program may ask for.
    pub limits: CallLimits,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            address: "system".into(),
            transcripts_group: "vocar-transcripts".into(),
            limits: CallLimits::default(),
        }
    }
}

/// Section `[privacy]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// Start with the private mode on.
    pub private: bool,
}

/// Section `[hardware]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hardware {
    /// `auto` or the name of a profile.
    pub profile: String,
    /// How much may be asked of the machine.
    pub power_level: PowerChoice,
    /// Folder whose `proc` and `sys` tell about the machine; another than `/` impersonates one.
    pub sysroot: PathBuf,
    /// Whether accelerators may be used.
    pub accelerator: AcceleratorChoice,
    /// The program that runs networks on accelerators; empty: `vocar-accel` beside this program, else in
    /// `/usr/libexec/vocar`.
    pub accelerator_program: PathBuf,
    /// Accelerators to try before the profile's.
    pub accelerators: Vec<AcceleratorSpec>,
}

/// Whether accelerators may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcceleratorChoice {
    /// The first that passes its trial.
    #[default]
    Auto,
    /// None.
    Off,
}

/// How the power level is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerChoice {
    /// By temperature, load, supply and late answers.
    #[default]
    Auto,
    /// Everything.
    Performance,
    /// The ordinary level.
    Balanced,
    /// Weak cores; wake phrase and button only.
    Saver,
    /// Button only.
    Critical,
}

impl PowerChoice {
    /// The level that is in force whatever is measured, if one was chosen.
    #[must_use]
    pub const fn fixed(self) -> Option<vocar_hw::Level> {
        use vocar_hw::Level;
        match self {
            Self::Auto => None,
            Self::Performance => Some(Level::Performance),
            Self::Balanced => Some(Level::Balanced),
            Self::Saver => Some(Level::Saver),
            Self::Critical => Some(Level::Critical),
        }
    }
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            profile: "auto".into(),
            power_level: PowerChoice::Auto,
            sysroot: "/".into(),
            accelerator: AcceleratorChoice::Auto,
            accelerator_program: PathBuf::new(),
            accelerators: Vec::new(),
        }
    }
}

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level or a filter of levels.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
        }
    }
}
