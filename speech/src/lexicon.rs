//! How words are said.

use vocar_inference::Bundle;

use crate::g2p::G2p;
use crate::phones::{PhoneTable, Unit};
use crate::resource::ResourceError;

/// A word with parts ("anne-marie") gets at most this many combinations of its parts' pronunciations.
const MAX_COMBINATIONS: usize = 8;

/// Why a word has no pronunciation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{word}\" cannot be said: {problem}")]
pub struct Unpronounceable {
    /// The word.
    pub word: String,
    /// What is wrong with it, and the mend.
    pub problem: &'static str,
}

/// The pronunciation dictionary with a model for everything else.
///
/// The dictionary stays the text it was loaded as, sorted, and is searched in place.
#[derive(Debug)]
pub struct Lexicon {
    phones: PhoneTable,
    text: String,
    g2p: G2p,
}

impl Lexicon {
    /// Reads the phone table, the dictionary and the pronunciation model of a speech bundle.
    ///
    /// # Errors
    /// [`ResourceError`] naming the file and the line that is wrong.
    pub fn load(bundle: &Bundle) -> Result<Lexicon, ResourceError> {
        let files = &bundle.manifest().lexicon;
        let shown = |name: &str| bundle.path(name).display().to_string();
        let phones = PhoneTable::parse(&shown(&files.phones), &bundle.read_text(&files.phones)?)?;
        let model =
            std::fs::read(bundle.path(&files.g2p)).map_err(|source| ResourceError::Unreadable {
                file: shown(&files.g2p),
                source,
            })?;
        let g2p = G2p::parse(&shown(&files.g2p), &model, phones.len())?;
        Lexicon::new(
            phones,
            &shown(&files.words),
            bundle.read_text(&files.words)?,
            g2p,
        )
    }

    /// A lexicon from its parts; `text` has `word<TAB>PH PH PH` lines sorted by word, `file` is its name in messages.
    ///
    /// # Errors
    /// [`ResourceError`] for a line without a tab, with an unknown phone or out of order.
    pub fn new(
        phones: PhoneTable,
        file: &str,
        text: String,
        g2p: G2p,
    ) -> Result<Lexicon, ResourceError> {
        let mut previous = "";
        for (index, line) in text.lines().enumerate() {
            let bad = |problem: String| ResourceError::line(file, index + 1, problem);
            let (word, said) = line
                .split_once('\t')
                .ok_or_else(|| bad("has no tab between word and phones".into()))?;
            if word < previous {
                return Err(bad(format!(
                    "\"{word}\" stands after \"{previous}\"; the words must be sorted"
                )));
            }
            if said.is_empty() {
                return Err(bad(format!("\"{word}\" has no phones")));
            }
            if let Some(unknown) = said.split(' ').find(|name| phones.unit(name).is_none()) {
                return Err(bad(format!("\"{unknown}\" is not in the phone table")));
            }
            previous = word;
        }
        Ok(Lexicon { phones, text, g2p })
    }

    /// The phone units.
    pub fn phones(&self) -> &PhoneTable {
        &self.phones
    }

    /// Every way a word may be said, at least one, none of them empty. Letter case and accents do not matter;
    /// parts joined by hyphens or dots are said one after the other.
    ///
    /// # Errors
    /// [`Unpronounceable`] for digits, other scripts and words without a letter.
    pub fn pronunciations(&self, word: &str) -> Result<Vec<Vec<Unit>>, Unpronounceable> {
        let refuse = |problem| Unpronounceable {
            word: word.to_owned(),
            problem,
        };
        let folded = fold(word).map_err(refuse)?;
        let mut ways: Vec<Vec<Unit>> = vec![Vec::new()];
        for part in folded
            .split(' ')
            .filter(|part| part.chars().any(|c| c != '\''))
        {
            let said = self
                .said(part)
                .ok_or_else(|| refuse("no phones were found for it; spell it as it sounds"))?;
            ways = ways
                .iter()
                .flat_map(|head| {
                    said.iter()
                        .map(move |tail| [head.as_slice(), tail.as_slice()].concat())
                })
                .take(MAX_COMBINATIONS)
                .collect();
        }
        if ways[0].is_empty() {
            return Err(refuse("it has no letter"));
        }
        Ok(ways)
    }

    /// Whether the dictionary itself lists the (lower-case) word.
    pub fn lists(&self, word: &str) -> bool {
        self.listed(word).next().is_some()
    }

    fn said(&self, part: &str) -> Option<Vec<Vec<Unit>>> {
        let listed: Vec<Vec<Unit>> = self
            .listed(part)
            .map(|phones| {
                phones
                    .split(' ')
                    .filter_map(|name| self.phones.unit(name))
                    .collect()
            })
            .collect();
        if listed.is_empty() {
            self.g2p.pronounce(part).map(|said| vec![said])
        } else {
            Some(listed)
        }
    }

    /// The phones of each dictionary line of this word.
    fn listed<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.text[self.first_line_from(word)..]
            .lines()
            .map_while(move |line| line.strip_prefix(word)?.strip_prefix('\t'))
    }

    /// Offset of the first line whose word is not before `word`.
    fn first_line_from(&self, word: &str) -> usize {
        let bytes = self.text.as_bytes();
        let (mut low, mut high) = (0, bytes.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start = bytes[low..middle]
                .iter()
                .rposition(|&b| b == b'\n')
                .map_or(low, |at| low + at + 1);
            let end = bytes[middle..]
                .iter()
                .position(|&b| b == b'\n')
                .map_or(bytes.len(), |at| middle + at + 1);
            let here = self.text[start..end].split('\t').next().unwrap_or_default();
            if here < word { low = end } else { high = start }
        }
        low
    }
}

/// Lower-case letters `a`-`z`, apostrophes, and spaces between parts.
fn fold(word: &str) -> Result<String, &'static str> {
    let mut folded = String::with_capacity(word.len());
    for c in word.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '\'' => folded.push(c),
            '’' | '‘' | '`' => folded.push('\''),
            '-' | '.' | '_' | '/' | '‐' | '–' => folded.push(' '),
            '0'..='9' => return Err("it holds digits; write numbers as words"),
            _ => folded.push_str(without_accent(c).ok_or(
                "it holds a character that is no Latin letter; spell it in Latin letters",
            )?),
        }
    }
    Ok(folded)
}

/// The plain letters that stand for an accented Latin one (or for a mark of its own, none).
fn without_accent(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' | 'ĝ' | 'ģ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ł' | 'ľ' | 'ļ' | 'ĺ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'ō' | 'ő' => "o",
        'ö' | 'œ' => "oe",
        'ř' | 'ŕ' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'ü' => "ue",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        // Combining marks are what is left of a letter written in two code points.
        '\u{300}'..='\u{36f}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn shipped(words: Option<&str>) -> Result<Lexicon, ResourceError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en");
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
        let phones = PhoneTable::parse("phones.txt", &read("phones.txt"))?;
        let g2p = G2p::parse(
            "g2p.bin",
            &std::fs::read(folder.join("g2p.bin")).unwrap(),
            phones.len(),
        )?;
        let text = words.map_or_else(|| read("lexicon.txt"), str::to_owned);
        Lexicon::new(phones, "lexicon.txt", text, g2p)
    }

    fn spelled(lexicon: &Lexicon, word: &str) -> Vec<String> {
        let names = |said: &Vec<Unit>| {
            said.iter()
                .map(|&u| lexicon.phones().name(u))
                .collect::<Vec<_>>()
                .join(" ")
        };
        lexicon
            .pronunciations(word)
            .unwrap()
            .iter()
            .map(names)
            .collect()
    }

    #[test]
    fn every_pronunciation_of_a_listed_word_is_found() {
        let lexicon = shipped(None).unwrap();
        assert_eq!(spelled(&lexicon, "read"), ["R EH D", "R IY D"]);
        assert_eq!(spelled(&lexicon, "The"), ["DH AH", "DH IY"]);
        assert_eq!(spelled(&lexicon, "vocar"), ["V OW K AA R"]);
    }

    #[test]
    fn every_line_of_the_dictionary_can_be_looked_up() {
        let lexicon = shipped(None).unwrap();
        for line in lexicon
            .text
            .lines()
            .step_by(97)
            .chain(lexicon.text.lines().take(2))
            .chain(lexicon.text.lines().last())
        {
            let (word, said) = line.split_once('\t').unwrap();
            assert!(lexicon.listed(word).any(|found| found == said), "{word}");
        }
    }

    #[test]
    fn names_outside_the_dictionary_are_said() {
        let lexicon = shipped(None).unwrap();
        for word in ["Zbigniew", "Łukasz", "Jürgen", "Anne-Marie", "o’quimby"] {
            assert!(
                spelled(&lexicon, word)
                    .iter()
                    .all(|said| said.split(' ').count() >= 4),
                "{word}"
            );
        }
        assert!(!lexicon.lists("zbigniewa"));
    }

    #[test]
    fn what_cannot_be_said_is_refused_with_the_reason() {
        let lexicon = shipped(None).unwrap();
        for (word, part) in [
            ("r2d2", "digits"),
            ("東京", "Latin"),
            ("", "no letter"),
            ("'-'", "no letter"),
        ] {
            assert!(
                lexicon
                    .pronunciations(word)
                    .unwrap_err()
                    .to_string()
                    .contains(part),
                "{word}"
            );
        }
    }

    #[test]
    fn wrong_dictionaries_are_refused_with_the_line() {
        for (text, part) in [
            ("a\tAH\nb B IY\n", "line 2: has no tab"),
            ("b\tB IY\na\tAH\n", "line 2: \"a\" stands after"),
            ("a\tAH0\n", "line 1: \"AH0\" is not in the phone table"),
            ("a\t\n", "line 1: \"a\" has no phones"),
        ] {
            let message = shipped(Some(text)).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(shipped(Some("")).unwrap().pronunciations("word").is_ok());
    }
}
