//! Configuration: built-in values, files, environment; checked as a whole before any of it is used.

mod check;
mod layers;
mod limits;
mod settings;
mod trust;

pub use layers::{Layers, Scope};
pub use limits::{CallLimits, Rate};
pub use settings::{
    AcceleratorChoice, Adapters, Audio, Bus, Dialogue, Domains, Hardware, Listen, ListenMode, Log,
    Model, PowerChoice, PrecisionChoice, Privacy, Reference, SeatMicrophone, Settings, StartMode,
};
pub use trust::{Trusted, Unsigned};

/// Why a configuration cannot be used. The text names the source, the field and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for does not exist or cannot be read.
    #[error(
        "{source_name}: {problem}: create it, make it readable by the daemon, or leave --config out"
    )]
    Unreadable {
        /// The file.
        source_name: String,
        /// What the system said.
        problem: String,
    },
    /// The text is no TOML, holds an unknown field, or a value of a wrong type.
    #[error(
        "{source_name}: {problem}: mend that line; systemd/vocar.toml lists every field with its built-in value"
    )]
    Malformed {
        /// The file or the environment variable.
        source_name: String,
        /// What is wrong, with the field.
        problem: String,
    },
    /// A value breaks a rule.
    #[error("{source_name}: {field} {problem}")]
    OutOfRule {
        /// The file or the environment variable.
        source_name: String,
        /// Dotted name of the field.
        field: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
}
