//! Typed errors of the bus: `org.vocar.Error.*`.

use crate::command::Refusal;
use zbus::DBusError;

/// What a method may fail with. Each carries a text that says what is wrong and how to mend it.
#[derive(Debug, DBusError)]
#[zbus(prefix = "org.vocar.Error")]
pub enum Error {
    /// The connection itself failed.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// An argument makes no sense.
    InvalidArgument(String),
    /// No such session, or it is over.
    UnknownSession(String),
    /// Another session is open.
    Busy(String),
    /// Speech cannot be recognised now; the property Health says why.
    Unavailable(String),
    /// The power level does not allow this way of listening; the property PowerLevel tells when it does.
    PowerLimited(String),
    /// No such domain.
    UnknownDomain(String),
    /// A domain cannot be loaded; the text names file, line, field and mend.
    InvalidDomain(String),
    /// No such entity list.
    UnknownList(String),
    /// No such adapter, or it is not loaded.
    UnknownAdapter(String),
    /// The adapter was made for another base, or its files are damaged; the old one stays in force.
    BadAdapter(String),
    /// There is no memory for the adapter.
    NoRoom(String),
    /// Nothing waits for a confirmation.
    NothingToConfirm(String),
    /// The caller may not do this.
    AccessDenied(String),
    /// The new configuration is wrong; the old one stays in force.
    InvalidConfiguration(String),
    /// The caller has asked for too much in a short time; the text says how long to wait.
    TooManyCalls(String),
    /// Anything else.
    Failed(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::InvalidArgument(_) => Self::InvalidArgument(text),
            Refusal::UnknownSession(_) => Self::UnknownSession(text),
            Refusal::Busy(_) => Self::Busy(text),
            Refusal::Unavailable(_) => Self::Unavailable(text),
            Refusal::PowerLimited { .. } => Self::PowerLimited(text),
            Refusal::UnknownDomain(_) => Self::UnknownDomain(text),
            Refusal::InvalidDomain(_) => Self::InvalidDomain(text),
            Refusal::UnknownList(_) => Self::UnknownList(text),
            Refusal::UnknownAdapter(_) => Self::UnknownAdapter(text),
            Refusal::BadAdapter(_) => Self::BadAdapter(text),
            Refusal::NoRoom(_) => Self::NoRoom(text),
            Refusal::NothingToConfirm(_) => Self::NothingToConfirm(text),
            Refusal::Failed(_) => Self::Failed(text),
        }
    }
}

/// Properties know the standard errors only.
impl From<Error> for zbus::fdo::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::TooManyCalls(text) => Self::LimitsExceeded(text),
            other => Self::Failed(other.to_string()),
        }
    }
}
