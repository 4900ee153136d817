//! Who vouches for a folder of files: minisign signatures of its manifest, which has the hash of every other file.
//!
//! With a key configured, nothing is read from a folder before the signature beside its manifest has been checked, and what is
//! parsed are the very bytes that were checked. Signatures are those of `minisign -S` (F. Denis; Ed25519 over BLAKE2b); the
//! older ones over the file itself are not taken.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use minisign_verify::{Error as Minisign, PublicKey, Signature};
use serde::{Deserialize, Deserializer, de};

/// What `minisign -S` appends to the name of the file that it signs.
const ENDING: &str = ".minisig";
/// No signature is longer, in bytes: its comments are of no use here.
const LONGEST: u64 = 4096;

/// Why a signature was not accepted. The message names the file and the mend.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}; {}", path.display(), fault.mend())]
pub struct SignatureError {
    /// The file of the signature.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: SignatureFault,
}

/// What can be wrong with a signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureFault {
    /// There is none of this file.
    #[error("there is no signature of {0}, and trust.keys asks for one")]
    Missing(String),
    /// It could not be read although it is there.
    #[error("cannot be read ({0})")]
    Unreadable(io::Error),
    /// It is no signature of minisign's.
    #[error("is no signature: {0}")]
    Malformed(&'static str),
    /// None of the keys is named in it.
    #[error("was made with another key than those of trust.keys")]
    OtherKey,
    /// One of the keys is named in it, but was not used on this file.
    #[error("does not fit {0}: one of the two was changed after the file was signed")]
    Wrong(String),
}

impl SignatureFault {
    /// What to do about it.
    #[must_use]
    pub fn mend(&self) -> String {
        match self {
            Self::Missing(signed) => {
                format!("install the signed files, or sign them (minisign -S -m {signed})")
            }
            Self::Unreadable(_) => "check its permissions and the disk".into(),
            Self::Malformed(_) => "install the files again, or sign them again".into(),
            Self::OtherKey => "install files of whom you trust, or add the key".into(),
            Self::Wrong(_) => {
                "install the files again; whoever changed them on purpose signs them again".into()
            }
        }
    }
}

/// A public key of minisign's whose signatures are trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKey {
    text: String,
    key: PublicKey,
}

/// A text is no public key of minisign's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no public key of minisign: give the second line of the file minisign.pub, which begins with RW"
)]
pub struct NoKey(String);

impl FromStr for TrustedKey {
    type Err = NoKey;

    /// A key as the second line of `minisign.pub` has it.
    fn from_str(text: &str) -> Result<Self, NoKey> {
        let text = text.trim();
        let no_key = |_| NoKey(text.chars().take(80).collect());
        PublicKey::from_base64(text)
            .map(|key| TrustedKey {
                text: text.to_owned(),
                key,
            })
            .map_err(no_key)
    }
}

impl<'de> Deserialize<'de> for TrustedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error| de::Error::custom(format!("trust.keys: {error}")))
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({})", self.text)
    }
}

/// Whose signatures are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust(Arc<[TrustedKey]>);

impl Trust {
    /// Everything is taken as it is, signed or not.
    #[must_use]
    pub fn everybody() -> Trust {
        Trust::default()
    }

    /// A signature with one of these keys is asked for; with none of them, everything is taken as it is.
    #[must_use]
    pub fn of(keys: &[TrustedKey]) -> Trust {
        Trust(keys.into())
    }

    /// Whether signatures are asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.0.is_empty()
    }

    /// Checks that `bytes`, read from the file `path`, are what the signature beside it was made of. Gives the key; none when
    /// no signature is asked for.
    ///
    /// # Errors
    /// [`SignatureError`], a distinct fault for each way a signature can be wrong.
    pub fn check(&self, path: &Path, bytes: &[u8]) -> Result<Option<&TrustedKey>, SignatureError> {
        if !self.is_asked() {
            return Ok(None);
        }
        let beside = signature_of(path);
        let signed = path.file_name().unwrap_or_default().to_string_lossy();
        let judged = match read(&beside) {
            Ok(text) => self.judge(&text, bytes, &signed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SignatureFault::Missing(signed.into_owned()))
            }
            Err(error) => Err(SignatureFault::Unreadable(error)),
        };
        let error = |fault| SignatureError {
            path: beside,
            fault,
        };
        judged.map(Some).map_err(error)
    }

    fn judge(
        &self,
        text: &[u8],
        bytes: &[u8],
        signed: &str,
    ) -> Result<&TrustedKey, SignatureFault> {
        use SignatureFault::Malformed;
        let text = str::from_utf8(text).map_err(|_| Malformed("it is no UTF-8 text"))?;
        let lines = |_| Malformed("it has not the four lines of one, or was cut off");
        let signature = Signature::decode(text).map_err(lines)?;
        let mut fault = SignatureFault::OtherKey;
        for key in &*self.0 {
            match key.key.verify(bytes, &signature, false) {
                Ok(()) => return Ok(key),
                Err(Minisign::UnexpectedKeyId) => {}
                Err(Minisign::UnexpectedAlgorithm) => {
                    fault = Malformed("it is of the old kind, over the file and not over its hash");
                }
                Err(_) => fault = SignatureFault::Wrong(signed.to_owned()),
            }
        }
        Err(fault)
    }
}

/// The file that has the signature of a file.
#[must_use]
pub fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ENDING);
    name.into()
}

/// What is cut off here is no signature.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(LONGEST)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Made by minisign 0.11: minisign -G -W -p KEY.pub -s KEY; minisign -S -W -s KEY -m manifest.toml; with -l, the old kind.
    const MANIFEST: &str = "format = 1\nname = \"speech-en\"\n";
    const KEY: &str = "RWQFA1AAp4uEtcbV+lURR89qjLMghIJPsh/radFeg0IKoxEivb2XSa/a";
    const OTHER_KEY: &str = "RWTEzZVZh7jcBG2WTvuj9YzdDevgR4OlYtFmvlBQpXlAqk6f5kvssqRz";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQFA1AAp4uEtRnmfWpjj+d5uVAkqX0x2klfQq4AUeZeG/AWcIlJ59GQ/q/X3Fz8JV+2gHFhHVdFiR5TUJiljRWMTrq6sn/9JA0=\n\
        trusted comment: speech-en 0.1.0\n\
        637xOxC2T+8UvoCje9OZdNZhW1B/XpPRss6PMF00d0awAkHbZksrlqpype4exSi38+kXdZeHg37TEHEAptjlDQ==\n";
    const OLD_SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RWQFA1AAp4uEtZmTxJUDrULlD/C0OjyQB282mP7j7r5/DrIDifmLCc/AibYyYmVKNAErBic/tcYGtzj4xrI/Jbl4I5PaBLuM4gU=\n\
        trusted comment: speech-en 0.1.0\n\
        4ZSkSSwMS7YYsxajv9CqKFlWhee+yfYutkjGYUkaQbNmopRtflRCYBM4Hrgc1ELSI5g/PVDIJZP3kRAr15XiBA==\n";

    fn trust(keys: &[&str]) -> Trust {
        Trust::of(
            &keys
                .iter()
                .map(|key| key.parse().unwrap())
                .collect::<Vec<_>>(),
        )
    }

    /// What becomes of a manifest with a signature beside it.
    fn outcome(
        trust: &Trust,
        manifest: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<Option<String>, SignatureError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.toml");
        if let Some(signature) = signature {
            fs::write(signature_of(&path), signature).unwrap();
        }
        trust
            .check(&path, manifest)
            .map(|key| key.map(ToString::to_string))
    }

    #[test]
    fn a_signature_of_minisigns_own_is_taken_from_its_key_alone() {
        let signature = Some(SIGNATURE.as_bytes());
        let signed = |keys: &[&str]| outcome(&trust(keys), MANIFEST.as_bytes(), signature);
        assert_eq!(signed(&[KEY]).unwrap().as_deref(), Some(KEY));
        assert_eq!(signed(&[OTHER_KEY, KEY]).unwrap().as_deref(), Some(KEY));
        let other = signed(&[OTHER_KEY]).unwrap_err();
        assert!(matches!(other.fault, SignatureFault::OtherKey), "{other}");
        let text = other.to_string();
        assert!(
            text.contains("manifest.toml.minisig") && text.contains("trust.keys"),
            "{text}"
        );
    }

    #[test]
    fn another_manifest_is_not_what_was_signed() {
        for changed in [
            MANIFEST.replace('1', "2"),
            format!("{MANIFEST}\n"),
            String::new(),
        ] {
            let wrong = outcome(
                &trust(&[KEY]),
                changed.as_bytes(),
                Some(SIGNATURE.as_bytes()),
            )
            .unwrap_err();
            assert!(matches!(wrong.fault, SignatureFault::Wrong(_)), "{wrong}");
            assert!(
                wrong.to_string().contains("does not fit manifest.toml"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn without_a_signature_there_is_nothing_to_trust_and_without_a_key_nothing_is_asked() {
        let missing = outcome(&trust(&[KEY]), MANIFEST.as_bytes(), None).unwrap_err();
        assert!(
            matches!(missing.fault, SignatureFault::Missing(_)),
            "{missing}"
        );
        assert!(
            missing.to_string().contains("minisign -S -m manifest.toml"),
            "{missing}"
        );
        assert_eq!(
            outcome(&Trust::everybody(), b"anything", None).unwrap(),
            None
        );
    }

    #[test]
    fn a_signature_that_was_cut_off_is_none() {
        for length in 0..SIGNATURE.trim_end().len() {
            let cut = outcome(
                &trust(&[KEY]),
                MANIFEST.as_bytes(),
                Some(&SIGNATURE.as_bytes()[..length]),
            )
            .unwrap_err();
            assert!(
                matches!(cut.fault, SignatureFault::Malformed(_)),
                "{length}: {cut}"
            );
        }
    }

    #[test]
    fn signatures_of_the_old_kind_are_not_taken() {
        let old = outcome(
            &trust(&[KEY]),
            MANIFEST.as_bytes(),
            Some(OLD_SIGNATURE.as_bytes()),
        )
        .unwrap_err();
        assert!(matches!(old.fault, SignatureFault::Malformed(_)), "{old}");
        assert!(old.to_string().contains("old kind"), "{old}");
    }

    #[test]
    fn what_is_no_key_is_told_so() {
        for text in [
            "",
            "RW",
            "untrusted comment: minisign public key",
            &KEY[..55],
            SIGNATURE,
        ] {
            let error = text.parse::<TrustedKey>().unwrap_err().to_string();
            assert!(error.contains("minisign.pub"), "{error}");
        }
        assert_eq!(
            format!(" {KEY}\n")
                .parse::<TrustedKey>()
                .unwrap()
                .to_string(),
            KEY
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever single byte is changed in signature or manifest, it is refused; comments that nobody signs excepted.
        #[test]
        fn no_change_of_a_byte_passes(place in 0_usize..1000, change in 1_u8..=255) {
            let mut signature = SIGNATURE.as_bytes().to_vec();
            let mut manifest = MANIFEST.as_bytes().to_vec();
            let unsigned = SIGNATURE.find('\n').unwrap();
            let place = place % (signature.trim_ascii_end().len() - unsigned - 1 + manifest.len());
            match place.checked_sub(manifest.len()) {
                None => manifest[place] ^= change,
                Some(place) => signature[unsigned + 1 + place] ^= change,
            }
            prop_assert!(outcome(&trust(&[KEY]), &manifest, Some(&signature)).is_err());
        }
    }
}
