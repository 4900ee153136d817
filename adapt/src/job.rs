//! One training from a domain to a folder that the service can load.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vocar_nlu::adapter::{self, AdapterManifest, Weights};
use vocar_nlu::encoder::{Curve, Head};
use vocar_nlu::{Domain, Entities};

use crate::TrainError;
use crate::base::Base;
use crate::checkpoint::Checkpoint;
use crate::corpus::{Corpus, Labels, NONE, Sentence};
use crate::correction::Correction;
use crate::learn::Trainer;
use crate::noise::Noise;
use crate::options::{Options, Progress};
use crate::parameters::{Method, Values};
use crate::score::{Figures, Scores};

/// So much of what is learnt are corrections.
const CORRECTED: f32 = 0.25;
/// So much corrections may cost of what is accepted and right.
const FALL: f64 = 0.005;
/// What was learnt is taken back in so many parts.
const PARTS: u8 = 10;
/// A checkpoint is written so often.
const OFTEN: Duration = Duration::from_secs(3);

/// What is to be trained, and where it goes.
#[derive(Debug)]
pub struct Job<'a> {
    /// What it begins with.
    pub base: &'a Base,
    /// The domain.
    pub domain: &'a Domain,
    /// Values of its lists that the host fills.
    pub entities: &'a Entities,
    /// Domains whose sentences mean nothing to it.
    pub others: &'a [Arc<Domain>],
    /// What was misunderstood and is to be understood from now on.
    pub corrections: &'a [Correction],
    /// Lexicon of the speech bundle, for what sounds alike.
    pub lexicon: Option<&'a Path>,
    /// Folder of all adapters; this one's is in it, called after the domain.
    pub folder: &'a Path,
    /// Inner size of the products; without it as high as [`Method::rank`] allows.
    pub rank: Option<usize>,
    /// The same number gives the same adapter, unless time runs out.
    pub seed: u64,
    /// Ends after so much time.
    pub limit: Option<Duration>,
    /// Threads to use.
    pub threads: usize,
}

/// What came of a training.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The adapter's folder.
    pub dir: PathBuf,
    /// How good it is on what was held out.
    pub held_out: Figures,
    /// How good the base's own heads are on the same, where it has some.
    pub before: Option<Figures>,
    /// Corrections that it understands, of how many.
    pub corrected: (usize, usize),
    /// Sentences that were learnt.
    pub sentences: usize,
    /// Numbers that were learnt, and how many the base has.
    pub parameters: (usize, usize),
    /// How long it took, earlier runs included.
    pub spent: Duration,
    /// Whether it went on with a training that had been ended.
    pub resumed: bool,
}

impl Job<'_> {
    /// Trains, measures and writes the adapter. What was there before stays until the new one is whole. The same job goes on
    /// where it was ended.
    ///
    /// # Errors
    /// A domain that contradicts itself, corrections that do not fit it, a folder that cannot be written, another training of
    /// the same adapter, or a score that fell too far.
    pub fn run(&self, mut tell: impl FnMut(Progress)) -> Result<Outcome, TrainError> {
        let name = self.domain.name();
        if !adapter::is_name(name) {
            return Err(TrainError::Name { name: name.into() });
        }
        let state = |end: &str| self.folder.join(format!(".{name}.{end}"));
        fs::create_dir_all(self.folder).map_err(|source| TrainError::File {
            path: self.folder.to_owned(),
            source,
        })?;
        let _lock = locked(&state("lock"))?;
        let (corpus, head) = self.corpus()?;
        let words = corpus.train.iter().flat_map(|sentence| &sentence.words);
        let noise = match self.lexicon {
            Some(path) => Noise::usual().with_lexicon(path, words),
            None => Ok(Noise::usual()),
        };
        let noise = noise.map_err(|source| TrainError::File {
            path: self.lexicon.map_or_else(PathBuf::new, Path::to_owned),
            source,
        })?;
        let options = self.options(&corpus.labels, head.is_some());
        let mut trainer = Trainer::new(self.base, &corpus, &noise, head, options)?;
        let began = trainer.parameters.copy()?;
        let checkpoint = Checkpoint::new(&state("checkpoint"), &trainer);
        let resumed = checkpoint.resume(&mut trainer)?;
        let mut saved = Instant::now();
        trainer.run(|trainer, progress| {
            tell(progress);
            if saved.elapsed() >= OFTEN {
                checkpoint
                    .save(trainer)
                    .map_err(|source| TrainError::File {
                        path: state("checkpoint"),
                        source,
                    })?;
                saved = Instant::now();
            }
            Ok::<(), TrainError>(())
        })?;
        if let Some(head) = head {
            self.soften(&trainer, head, &began)?;
        }
        let mut outcome = self.written(&trainer, head)?;
        outcome.resumed = resumed;
        checkpoint.remove();
        Ok(outcome)
    }

    fn options(&self, labels: &Labels, rehearsing: bool) -> Options {
        let rank = self.rank.unwrap_or_else(|| Method::rank(self.base, labels));
        let method = Method::usual(self.base, rank);
        let usual = if rehearsing {
            Options::correcting(method)
        } else {
            Options::usual(method).for_intents(labels.intents.len() - 1)
        };
        Options {
            seed: self.seed,
            limit: self.limit,
            threads: self.threads,
            ..usual
        }
    }

    /// What is learnt; and the base's heads, where it has some for the domain: these are kept, and what they make of the
    /// domain's sentences is rehearsed.
    fn corpus(&self) -> Result<(Corpus, Option<&Head>), TrainError> {
        let mut corpus = Corpus::of_domain(self.domain, self.entities, self.others, self.seed)?;
        let corrected = self.corrected()?;
        let of_all = Labels::of(
            corpus
                .train
                .iter()
                .chain(&corpus.held_out)
                .chain(&corrected),
        );
        let head = self.base.head(self.domain.name());
        corpus.labels = head.map_or_else(|| of_all.clone(), |head| of_all.after(head));
        if let Some(head) = head {
            let tags = head.tags();
            for sentence in &mut corpus.train {
                let known = sentence.tags().iter().all(|tag| tags.contains(tag));
                sentence.rehearsed = known && head.labels().contains(&sentence.intent);
            }
        }
        let meant = |sentence: &Sentence| corrected.iter().any(|c| c.words == sentence.words);
        corpus.train.retain(|sentence| !meant(sentence));
        corpus.held_out.retain(|sentence| !meant(sentence));
        let all: f32 = corpus.train.iter().map(|sentence| sentence.weight).sum();
        let weight = all * CORRECTED / (1.0 - CORRECTED) / corrected.len().max(1) as f32;
        // A single correction does not take the place of a whole domain that is learnt from nothing.
        let most = if head.is_some() { weight } else { 1.0 };
        let corrected = corrected.into_iter();
        corpus.train.extend(corrected.map(|sentence| Sentence {
            weight: weight.min(most),
            ..sentence
        }));
        Ok((corpus, head))
    }

    /// The corrections as sentences.
    fn corrected(&self) -> Result<Vec<Sentence>, TrainError> {
        let all = self.corrections.iter();
        all.map(|correction| correction.sentence(self.domain))
            .collect()
    }

    /// Takes back what the corrections do not need, so that all else stays as it was (M. Wortsman et al., 2022): half of what
    /// is not needed, for what is said in nearly the same words; all of it where that costs too much.
    fn soften(&self, trainer: &Trainer<'_>, head: &Head, began: &Values) -> Result<(), TrainError> {
        let corrected = self.corrected()?;
        let learnt = trainer.parameters.copy()?;
        let understood = trainer.understood(&corrected, head.curve())?;
        if understood == 0 {
            return Ok(());
        }
        let set = |share: f32| trainer.parameters.between(began, &learnt, share);
        let mut least = 1.0;
        for part in (1..PARTS).rev() {
            let share = f32::from(part) / f32::from(PARTS);
            set(share)?;
            if trainer.understood(&corrected, head.curve())? < understood {
                break;
            }
            least = share;
        }
        set(0.5 * (least + 1.0))?;
        let before = trainer.figures_before(head)?;
        let scores = trainer.scores(&trainer.corpus().held_out)?;
        if fallen(before, scores.figures(head.curve())).is_some() {
            set(least)?;
        }
        Ok(())
    }

    /// Measures what was learnt and writes it.
    fn written(&self, trainer: &Trainer<'_>, head: Option<&Head>) -> Result<Outcome, TrainError> {
        let corpus = trainer.corpus();
        let scores = trainer.scores(&corpus.held_out)?;
        // The base's curve was found on more than templates, and what it is about was rehearsed.
        let curve = head.map_or_else(|| scores.curve(), Head::curve);
        let held_out = scores.figures(curve);
        let before = head.map(|head| trainer.figures_before(head)).transpose()?;
        if let Some((before, after)) = before.and_then(|before| fallen(before, held_out)) {
            return Err(TrainError::Worse {
                domain: self.domain.name().to_owned(),
                before: 100.0 * before,
                after: 100.0 * after,
            });
        }
        let corrected = self.corrected()?;
        let understood = trainer.understood(&corrected, curve)?;
        let mut outcome = Outcome {
            dir: PathBuf::new(),
            held_out,
            before,
            corrected: (understood, corrected.len()),
            sentences: corpus.train.len(),
            parameters: (trainer.parameters(), self.base.parameters()),
            spent: trainer.spent,
            resumed: false,
        };
        let (manifest, weights) = self.files(trainer, curve, &outcome)?;
        outcome.dir = adapter::write(self.folder, &manifest, &weights).map_err(|source| {
            TrainError::File {
                path: self.folder.join(self.domain.name()),
                source,
            }
        })?;
        Ok(outcome)
    }

    fn files(
        &self,
        trainer: &Trainer<'_>,
        curve: Curve,
        outcome: &Outcome,
    ) -> Result<(AdapterManifest, Weights), TrainError> {
        let name = self.domain.name();
        let (rank, alpha) = match &trainer.options().method {
            Method::LowRank { rank, alpha, .. } => (*rank, *alpha),
            Method::HeadOnly | Method::Everything => (1, 1.0),
        };
        let mut manifest = AdapterManifest::new(name, name, self.base.identity(), rank, alpha);
        let share = |share: Option<f64>| share.map(toml::Value::Float);
        let figures = [
            (
                "sentences",
                Some(toml::Value::Integer(outcome.sentences as i64)),
            ),
            (
                "parameters",
                Some(toml::Value::Integer(outcome.parameters.0 as i64)),
            ),
            ("held_out_intent", share(outcome.held_out.intent)),
            ("held_out_slot_f1", share(outcome.held_out.slot_f1)),
            ("held_out_refused", share(outcome.held_out.refused)),
        ];
        for (name, value) in figures {
            if let Some(value) = value {
                manifest.figures.insert(name.into(), value);
            }
        }
        Ok((manifest, trainer.weights(curve)?))
    }
}

/// Holds a file as long as what is returned lives.
fn locked(path: &Path) -> Result<File, TrainError> {
    let failed = |source| TrainError::File {
        path: path.to_owned(),
        source,
    };
    let file = File::create(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// What fell by more than corrections may cost: before and after.
fn fallen(before: Figures, after: Figures) -> Option<(f64, f64)> {
    let pairs = [
        before.accepted.zip(after.accepted),
        before.intent.zip(after.intent),
    ];
    let mut pairs = pairs.into_iter().flatten();
    pairs.find(|(before, after)| *after < before - FALL)
}

impl Trainer<'_> {
    /// What the base makes of the held-out sentences with its own heads.
    fn figures_before(&self, head: &Head) -> candle_core::Result<Figures> {
        let held_out = &self.corpus().held_out;
        let mut scores = Scores::default();
        for (sentence, states) in held_out.iter().zip(self.base_states(held_out)?) {
            scores.add(head, sentence, &states);
        }
        Ok(scores.figures(head.curve()))
    }

    /// How many of these are taken for what they mean, surely enough.
    fn understood(&self, sentences: &[Sentence], curve: Curve) -> candle_core::Result<usize> {
        let mut count = 0;
        for sentence in sentences {
            count += usize::from(self.understands(sentence, curve)?);
        }
        Ok(count)
    }

    /// Whether a sentence is taken for what it means, surely enough: its intent and its slots.
    fn understands(&self, sentence: &Sentence, curve: Curve) -> candle_core::Result<bool> {
        let scores = self.scores(std::slice::from_ref(sentence))?;
        let figures = scores.figures(curve);
        let all = Some(1.0);
        Ok(match sentence.intent.as_str() {
            NONE => figures.refused == all,
            _ => figures.accepted == all && figures.whole == all,
        })
    }

    /// What was learnt as the file of an adapter has it.
    fn weights(&self, curve: Curve) -> candle_core::Result<Weights> {
        let mut out = Weights::default();
        for (name, var) in &self.parameters.vars {
            let values = self.parameters.values(name)?;
            out.tensors
                .insert(name.clone(), (var.dims().to_vec(), values));
        }
        let labels = &self.corpus().labels;
        let tags = labels.tags.len();
        if self.steps.iter().any(|step| *step != 0.0) {
            let steps = (vec![tags + 1, tags], self.steps.clone());
            out.tensors.insert("steps".into(), steps);
        }
        let remarks = [
            ("intents", labels.intents.join("\n")),
            ("tags", labels.tags.join("\n")),
            ("slope", curve.slope.to_string()),
            ("offset", curve.offset.to_string()),
            ("threshold", curve.threshold.to_string()),
        ];
        out.remarks
            .extend(remarks.map(|(name, value)| (name.to_owned(), value)));
        Ok(out)
    }
}
