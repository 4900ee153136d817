//! Whose models, adapters and domains are taken.

use serde::Deserialize;
use vocar_inference::{Trust, TrustedKey};

/// Section `[trust]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trusted {
    /// Public keys of minisign's; with any, what is loaded must be signed with one of them.
    pub keys: Vec<TrustedKey>,
    /// What need not be signed all the same.
    pub unsigned: Vec<Unsigned>,
}

/// What need not be signed; bundles always need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsigned {
    /// Adapters: those that were trained on this machine nobody can have signed.
    Adapters,
    /// Domains.
    Domains,
}

impl Trusted {
    /// Whose bundles are taken.
    #[must_use]
    pub fn bundles(&self) -> Trust {
        Trust::of(&self.keys)
    }

    /// Whose adapters are taken.
    #[must_use]
    pub fn adapters(&self) -> Trust {
        self.unless(Unsigned::Adapters)
    }

    /// Whose domains are taken; those that come with the program belong to it.
    #[must_use]
    pub fn domains(&self) -> Trust {
        self.unless(Unsigned::Domains)
    }

    fn unless(&self, kind: Unsigned) -> Trust {
        if self.unsigned.contains(&kind) {
            Trust::everybody()
        } else {
            self.bundles()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQFA1AAp4uEtcbV+lURR89qjLMghIJPsh/radFeg0IKoxEivb2XSa/a";

    #[test]
    fn what_may_be_unsigned_is_named() {
        let read = |text: &str| toml::from_str::<Trusted>(text);
        let none = read("").unwrap();
        assert!(!none.bundles().is_asked() && !none.adapters().is_asked());
        let all = read(&format!("keys = [\"{KEY}\"]")).unwrap();
        assert!(all.bundles().is_asked() && all.adapters().is_asked() && all.domains().is_asked());
        let own = read(&format!("keys = [\"{KEY}\"]\nunsigned = [\"adapters\"]")).unwrap();
        assert!(own.bundles().is_asked() && !own.adapters().is_asked() && own.domains().is_asked());
        assert!(read("unsigned = [\"bundles\"]").is_err());
        let wrong = read("keys = [\"RWQ\"]").unwrap_err().to_string();
        assert!(
            wrong.contains("trust.keys") && wrong.contains("minisign.pub"),
            "{wrong}"
        );
    }
}
