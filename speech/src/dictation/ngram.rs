//! A word trigram with back-off, as `training.ngram` writes it.

use std::path::Path;

use crate::resource::ResourceError;

const MAGIC: &[u8] = b"VOCARNG1";
/// Entries of a table of quantised logarithms.
const LEVELS: usize = 256;
/// Word numbers that stand for the beginning and the end of a sentence.
const BEGIN: u16 = 0;
const END: u16 = 1;

/// What the next word depends on: the last word, or the last two where triples are listed for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context(pub(super) u32);

/// How likely words follow each other. Read-only; probabilities are looked up by binary search in sorted columns.
#[derive(Debug)]
pub struct NGram {
    words: Vec<String>,
    single_log: Vec<f32>,
    single_backoff: Vec<f32>,
    /// Where the pairs of each first word begin; one more entry than words.
    pair_first: Vec<u32>,
    pair_word: Vec<u16>,
    pair_log: Coded,
    pair_backoff: Coded,
    /// Where the triples of each pair begin; one more entry than pairs.
    triple_first: Vec<u32>,
    triple_word: Vec<u16>,
    triple_log: Coded,
}

/// Logarithms kept as numbers of a table.
#[derive(Debug)]
struct Coded {
    table: Vec<f32>,
    codes: Vec<u8>,
}

impl Coded {
    fn get(&self, index: usize) -> f32 {
        self.table[usize::from(self.codes[index])]
    }
}

impl NGram {
    /// Reads an n-gram file.
    ///
    /// # Errors
    /// [`ResourceError`] naming the file when it cannot be read, is no n-gram file, or is damaged.
    pub fn load(path: &Path) -> Result<NGram, ResourceError> {
        let file = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => NGram::parse(&file, &bytes),
            Err(source) => Err(ResourceError::Unreadable { file, source }),
        }
    }

    /// The n-gram in the bytes of a file; `file` is its name in messages. All numbers are little-endian.
    ///
    /// # Errors
    /// [`ResourceError::Content`] when it is no n-gram file or parts of it do not fit together.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<NGram, ResourceError> {
        Reader { file, rest: bytes }.ngram()
    }

    /// The words by number; numbers 0 and 1 are the marks of a sentence's beginning and end.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The words that can be said, with their numbers.
    pub fn sayable(&self) -> impl Iterator<Item = (u16, &str)> {
        (0u16..)
            .zip(&self.words)
            .skip(2)
            .map(|(number, word)| (number, word.as_str()))
    }

    /// The context at the beginning of a sentence.
    pub fn start(&self) -> Context {
        Context(u32::from(BEGIN))
    }

    /// Natural logarithm of a word's probability in any context.
    pub fn single(&self, word: u16) -> f32 {
        self.single_log[usize::from(word)]
    }

    /// The weight, as a natural logarithm, of [`Self::single`] for words that are not listed after `previous`.
    pub fn backoff(&self, previous: u16) -> f32 {
        self.single_backoff[usize::from(previous)]
    }

    /// The words listed after `previous`, with the natural logarithm of their probability there.
    pub fn followers(&self, previous: u16) -> impl Iterator<Item = (u16, f32)> {
        self.pairs_of(previous)
            .map(|pair| (self.pair_word[pair], self.pair_log.get(pair)))
    }

    /// The newest word of a context.
    pub fn newest(&self, context: Context) -> u16 {
        let singles = self.words.len();
        match (context.0 as usize).checked_sub(singles) {
            None => context.0 as u16,
            Some(pair) => self.pair_word[pair],
        }
    }

    /// Natural logarithm of the probability of a word in a context, and the context after it.
    pub fn next(&self, context: Context, word: u16) -> (f32, Context) {
        let newest = self.newest(context);
        let pair = self.pair(newest, word);
        let after_one = match pair {
            Some(pair) => self.pair_log.get(pair),
            None => self.backoff(newest) + self.single(word),
        };
        let log = match (context.0 as usize).checked_sub(self.words.len()) {
            None => after_one,
            Some(before) => self.triple(before, word).map_or_else(
                || self.pair_backoff.get(before) + after_one,
                |triple| self.triple_log.get(triple),
            ),
        };
        let context = match pair {
            Some(pair) if self.triple_first[pair] < self.triple_first[pair + 1] => {
                Context((self.words.len() + pair) as u32)
            }
            _ => Context(u32::from(word)),
        };
        (log, context)
    }

    /// Natural logarithm of the probability that the sentence ends here.
    pub fn end(&self, context: Context) -> f32 {
        self.next(context, END).0
    }

    fn pairs_of(&self, previous: u16) -> std::ops::Range<usize> {
        let previous = usize::from(previous);
        self.pair_first[previous] as usize..self.pair_first[previous + 1] as usize
    }

    fn pair(&self, previous: u16, word: u16) -> Option<usize> {
        let range = self.pairs_of(previous);
        let found = self.pair_word[range.clone()].binary_search(&word).ok()?;
        Some(range.start + found)
    }

    fn triple(&self, pair: usize, word: u16) -> Option<usize> {
        let range = self.triple_first[pair] as usize..self.triple_first[pair + 1] as usize;
        let found = self.triple_word[range.clone()].binary_search(&word).ok()?;
        Some(range.start + found)
    }
}

/// Takes one column after the other off the file.
struct Reader<'a> {
    file: &'a str,
    rest: &'a [u8],
}

impl Reader<'_> {
    fn ngram(&mut self) -> Result<NGram, ResourceError> {
        if self.take(MAGIC.len())? != MAGIC {
            return Err(self.bad("is no n-gram file of this version; make one with training.ngram"));
        }
        let sizes = self.column(4, u32::from_le_bytes)?;
        let [words, pairs, triples, text] =
            [sizes[0], sizes[1], sizes[2], sizes[3]].map(|n| n as usize);
        if !(3..=1 << 16).contains(&words) {
            return Err(self.bad("holds no vocabulary of 3 to 65536 words"));
        }
        let text = String::from_utf8(self.take(text)?.to_vec())
            .map_err(|_| self.bad("holds words that are no UTF-8"))?;
        let listed: Vec<String> = text.split('\n').map(str::to_owned).collect();
        if listed.len() != words {
            return Err(self.bad("holds another number of words than it says"));
        }
        let mut tables = Vec::new();
        for _ in 0..5 {
            tables.push(self.column(LEVELS, f32::from_le_bytes)?);
        }
        if tables.iter().flatten().any(|log| !log.is_finite()) {
            return Err(self.bad("holds a probability that is no number"));
        }
        let mut tables = tables.into_iter();
        let mut coded = |codes: &[u8]| Coded {
            table: tables.next().unwrap_or_default(),
            codes: codes.to_vec(),
        };
        let single_log = coded(self.take(words)?);
        let single_backoff = coded(self.take(words)?);
        let pair_counts = self.column(words, u16::from_le_bytes)?;
        let pair_word = self.column(pairs, u16::from_le_bytes)?;
        let pair_log = coded(self.take(pairs)?);
        let pair_backoff = coded(self.take(pairs)?);
        let triple_counts = self.column(pairs, u16::from_le_bytes)?;
        let triple_word = self.column(triples, u16::from_le_bytes)?;
        let triple_log = coded(self.take(triples)?);
        if !self.rest.is_empty() {
            return Err(self.bad("goes on after its end"));
        }
        let spread = |coded: &Coded| (0..words).map(|at| coded.get(at)).collect();
        Ok(NGram {
            single_log: spread(&single_log),
            single_backoff: spread(&single_backoff),
            pair_first: self.firsts(&pair_counts, &pair_word, words)?,
            triple_first: self.firsts(&triple_counts, &triple_word, words)?,
            words: listed,
            pair_word,
            pair_log,
            pair_backoff,
            triple_word,
            triple_log,
        })
    }

    /// Where each history's followers begin; they must be words, and sorted.
    fn firsts(
        &self,
        counts: &[u16],
        followers: &[u16],
        words: usize,
    ) -> Result<Vec<u32>, ResourceError> {
        let mut firsts = Vec::with_capacity(counts.len() + 1);
        firsts.push(0u32);
        let mut from = 0;
        for &count in counts {
            let to = from + usize::from(count);
            let group = followers
                .get(from..to)
                .ok_or_else(|| self.bad("lists fewer n-grams than their counts say"))?;
            let sorted = group.windows(2).all(|pair| pair[0] < pair[1]);
            if !sorted || group.last().is_some_and(|&last| usize::from(last) >= words) {
                return Err(
                    self.bad("lists n-grams out of order or of words that it does not have")
                );
            }
            firsts.push(to as u32);
            from = to;
        }
        if from == followers.len() {
            Ok(firsts)
        } else {
            Err(self.bad("lists more n-grams than their counts say"))
        }
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], ResourceError> {
        match self.rest.split_at_checked(bytes) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.bad("ends too early")),
        }
    }

    fn column<const N: usize, T>(
        &mut self,
        count: usize,
        value: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ResourceError> {
        let bytes = self.take(count.saturating_mul(N))?;
        Ok(bytes
            .as_chunks::<N>()
            .0
            .iter()
            .map(|&bytes| value(bytes))
            .collect())
    }

    fn bad(&self, problem: &str) -> ResourceError {
        ResourceError::content(self.file, problem)
    }
}
