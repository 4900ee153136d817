//! The collection of people's recordings: a table, and one archive for each corpus and split.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Cursor, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use vocar_speech::source::{AudioSource, InputFormat};

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Utterance {
    /// Name of the recording in its archive, without ending.
    pub id: String,
    corpus: String,
    split: String,
    /// Lower case, without punctuation.
    pub text: String,
}

/// The files of one archive by name.
type Archive = BTreeMap<String, Vec<u8>>;

/// The whole collection.
pub struct Collection {
    folder: PathBuf,
    utterances: Vec<Utterance>,
    archives: RefCell<BTreeMap<String, Archive>>,
}

impl Collection {
    /// Reads the table.
    pub fn open(folder: &Path) -> Self {
        let table = std::fs::read_to_string(folder.join("manifest.tsv")).unwrap();
        let mut lines = table.lines();
        assert_eq!(
            lines.next().unwrap(),
            "id\tcorpus\tsplit\tspeaker\tseconds\tlicence\ttext"
        );
        Self {
            folder: folder.to_path_buf(),
            utterances: lines.map(utterance).collect(),
            archives: RefCell::default(),
        }
    }

    /// Every distinct sentence of 2 to 7 words in the whole collection.
    pub fn short_sentences(&self) -> Vec<String> {
        let short = self
            .utterances
            .iter()
            .filter(|utterance| (2..=7).contains(&utterance.length()));
        let distinct: BTreeSet<String> = short.map(|utterance| utterance.text.clone()).collect();
        distinct.into_iter().collect()
    }

    /// The test utterances of these corpora with so many words.
    pub fn spoken(&self, corpora: &[&str], words: RangeInclusive<usize>) -> Vec<Utterance> {
        let wanted = |utterance: &&Utterance| {
            utterance.split == "test"
                && corpora.contains(&utterance.corpus.as_str())
                && words.contains(&utterance.length())
        };
        self.utterances.iter().filter(wanted).cloned().collect()
    }

    /// The recording of an utterance.
    pub fn recording(&self, utterance: &Utterance) -> AudioSource {
        let archive = format!("{}-{}.tar", utterance.corpus, utterance.split);
        let mut archives = self.archives.borrow_mut();
        let files = archives
            .entry(archive)
            .or_insert_with_key(|name| unpack(&self.folder.join(name)));
        let name = format!("{}.opus", utterance.id);
        let bytes = files
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is not in the collection"));
        AudioSource::from_reader(name, Cursor::new(bytes.clone()), InputFormat::Detect).unwrap()
    }
}

impl Utterance {
    fn length(&self) -> usize {
        self.text.split(' ').filter(|word| !word.is_empty()).count()
    }
}

fn utterance(line: &str) -> Utterance {
    let fields: Vec<&str> = line.split('\t').collect();
    Utterance {
        id: fields[0].to_owned(),
        corpus: fields[1].to_owned(),
        split: fields[2].to_owned(),
        text: plain(fields.get(6).copied().unwrap_or_default()),
    }
}

/// Words as the recogniser spells them: lower case, no punctuation but the apostrophe within a word.
fn plain(text: &str) -> String {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let words = text
        .split(|c: char| !c.is_ascii_lowercase() && c != '\'')
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn unpack(path: &Path) -> Archive {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut archive = tar::Archive::new(file);
    let mut files = Archive::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            bytes,
        );
    }
    files
}
