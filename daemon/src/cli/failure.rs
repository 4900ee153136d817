//! How a command ends when it does not end well.

use std::process::ExitCode;
use zbus::DBusError;

/// Exit codes; they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The command was done and the answer is no.
    No = 1,
    /// Wrong command line or configuration.
    Usage = 2,
    /// No bus or no service on it.
    NoService = 3,
    /// An input cannot be read.
    Input = 4,
    /// The speech bundle is missing or damaged.
    Bundle = 5,
    /// The service refused.
    Refused = 6,
}

/// A text for people and a code for programs.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// What is wrong and how to mend it; empty when the output says it already.
    pub text: String,
}

impl Failure {
    /// A failure with a text.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The answer is no, and the output said so.
    #[must_use]
    pub const fn no() -> Self {
        Self {
            code: Code::No,
            text: String::new(),
        }
    }

    /// Prints the text and gives the code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if !self.text.is_empty() {
            eprintln!("vocar: {}", self.text);
        }
        ExitCode::from(self.code as u8)
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        match &error {
            zbus::Error::MethodError(name, text, _) => {
                Self::answered(name.as_str(), text.as_deref())
            }
            zbus::Error::FDO(standard) => {
                Self::answered(standard.name().as_str(), standard.description())
            }
            other => Self::new(Code::NoService, format!("the bus failed: {other}")),
        }
    }
}

impl Failure {
    /// The error that a call was answered with, by the service or by the bus in its place.
    fn answered(name: &str, text: Option<&str>) -> Self {
        let text = text.unwrap_or("no reason given");
        if is_absence(name) {
            let mend = "start it (systemctl start vocard)";
            return Self::new(
                Code::NoService,
                format!("the service is not on the bus ({text}): {mend}"),
            );
        }
        Self::new(Code::Refused, format!("{name}: {text}"))
    }
}

fn is_absence(name: &str) -> bool {
    matches!(
        name,
        "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
            | "org.freedesktop.DBus.Error.NoReply"
    )
}
