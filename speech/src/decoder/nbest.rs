//! Reading sentences out of the history, best first.

use super::evidence::Evidence;
use super::history::{Record, START};
use super::paths::best_paths;
use super::search::Decoder;

/// A word of a decoded sentence. Frames are acoustic frames since the decoder's start.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedWord {
    /// The word.
    pub text: String,
    /// Its first frame.
    pub begin: u32,
    /// The first frame after it.
    pub end: u32,
    /// Log-likelihood against the phone loop, nats a frame.
    pub ratio: f32,
    /// Confidence in this word, 0 to 1.
    pub confidence: f32,
}

/// A sentence that the sound may be.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedSentence {
    /// Its words, at least one.
    pub words: Vec<DecodedWord>,
    /// Log-likelihood of the whole stretch, grammar costs included, nats.
    pub score: f32,
    /// How well it fits.
    pub evidence: Evidence,
    /// Confidence in the whole sentence, 0 to 1.
    pub confidence: f32,
}

impl DecodedSentence {
    /// The words, separated by spaces.
    pub fn text(&self) -> String {
        self.words
            .iter()
            .map(|word| word.text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What a stretch of frames may have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Different sentences of the graph, best first; empty when none ends here.
    pub n_best: Vec<DecodedSentence>,
    /// When no sentence ends here: the beginning that fits best.
    pub unfinished: Option<DecodedSentence>,
    /// Log-likelihood of the same frames as any sounds whatever, nats.
    pub background_score: f32,
    /// Frames decoded.
    pub frames: u32,
    /// The best sentence is complete and has the confidence that the configuration asks for.
    pub accepted: bool,
}

impl Decoded {
    /// The best sentence.
    pub fn best(&self) -> Option<&DecodedSentence> {
        self.n_best.first()
    }
}

impl Decoder {
    /// Sentences from paths that end with these scores and last words.
    pub(super) fn decoded(&self, ending: &[(f32, u32)], unfinished: Option<(f32, u32)>) -> Decoded {
        let mut n_best: Vec<DecodedSentence> = Vec::new();
        let wanted = self.config().n_best.max(1);
        // One more than asked for: the last one needs a margin too.
        for (score, records) in best_paths(&self.history, ending, wanted + 1) {
            n_best.push(self.sentence(score, &records));
        }
        for index in 0..n_best.len() {
            let next = n_best.get(index + 1).map(|next| next.score);
            let sentence = &mut n_best[index];
            sentence.evidence.margin =
                next.map(|next| (sentence.score - next) / sentence.evidence.frames.max(1) as f32);
            sentence.confidence = self.config().confidence.sentence(&sentence.evidence);
        }
        n_best.truncate(wanted);
        let accepted = n_best
            .first()
            .is_some_and(|best| best.confidence >= self.config().rejection);
        let unfinished = unfinished
            .filter(|&(_, last)| n_best.is_empty() && last != START)
            .map(|(score, last)| {
                let records: Vec<Record> =
                    self.history.walk(last).map(|(_, record)| *record).collect();
                self.sentence(score, &records)
            });
        Decoded {
            n_best,
            unfinished,
            background_score: self.background_score(self.frames()),
            frames: self.frames(),
            accepted,
        }
    }

    fn sentence(&self, score: f32, last_first: &[Record]) -> DecodedSentence {
        let scale = &self.config().confidence;
        let words: Vec<DecodedWord> = last_first
            .iter()
            .rev()
            .map(|record| {
                let ratio = self.word_ratio(record);
                let text = self.graph().word(record.word).to_owned();
                DecodedWord {
                    text,
                    begin: record.begin,
                    end: record.end,
                    ratio,
                    confidence: scale.word(ratio),
                }
            })
            .collect();
        let frames: u32 = words.iter().map(|word| word.end - word.begin).sum();
        let evidence = Evidence {
            ratio: (score - self.background_score(self.frames())) / frames.max(1) as f32,
            worst_word: words
                .iter()
                .map(|word| word.ratio)
                .fold(f32::INFINITY, f32::min),
            margin: None,
            frames,
            clarity: self.clarity(last_first, frames),
        };
        DecodedSentence {
            words,
            score,
            confidence: scale.sentence(&evidence),
            evidence,
        }
    }

    /// The phone loop's score of the frames within words, nats a frame.
    fn clarity(&self, words: &[Record], frames: u32) -> f32 {
        let of =
            |word: &Record| self.background_score(word.end) - self.background_score(word.begin);
        words.iter().map(of).sum::<f32>() / frames.max(1) as f32
    }

    fn word_ratio(&self, record: &Record) -> f32 {
        let background = self.background_score(record.end) - self.background_score(record.begin);
        (record.score - record.score_before - background)
            / (record.end - record.begin).max(1) as f32
    }

    /// Best score of the phone loop over the frames before `frame`, or over all where there are fewer, nats.
    pub(crate) fn background_score(&self, frame: u32) -> f32 {
        (frame as usize)
            .min(self.background_trace.len())
            .checked_sub(1)
            .map_or(0.0, |last| self.background_trace[last])
    }
}
