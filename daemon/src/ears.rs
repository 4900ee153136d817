//! Hearing, assembled: bundle, acoustic model, lexicon and recogniser of one language.

use crate::config::Settings;
use crate::offload::{self, Placed};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vocar_hw::AcceleratorVerdict;
use vocar_inference::{AcousticModel, Bundle, BundleError, LoadError, Precision, Standing};
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::dictation::{NGram, Names};
use vocar_speech::event::SpeechEvent;
use vocar_speech::free::FreeLanguage;
use vocar_speech::grammar::{GrammarError, WordGraph};
use vocar_speech::lexicon::Lexicon;
use vocar_speech::recogniser::{Mode, Recogniser, RecogniserConfig, RecogniserError, Work};
use vocar_speech::resource::ResourceError;

/// Why nothing can be heard. Each text names the file and the mend.
#[derive(Debug, thiserror::Error)]
pub enum EarsError {
    /// No folder of the search path holds a bundle.
    #[error(
        "no speech bundle found (looked in {}, and for models/speech-en above the program): install one, or set model.dir",
        list(.0)
    )]
    NoBundle(Vec<PathBuf>),
    /// The bundle is damaged or of another format.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The acoustic model does not load.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A file of the bundle is malformed.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// What can be said cannot be compiled.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// Recognition failed.
    #[error(transparent)]
    Recogniser(#[from] RecogniserError),
}

fn list(dirs: &[PathBuf]) -> String {
    dirs.iter()
        .map(|dir| dir.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// One recogniser with what is needed to give it other words.
pub struct Ears {
    recogniser: Recogniser,
    lexicon: Lexicon,
    bundle: Bundle,
    model: Arc<AcousticModel>,
    backend: String,
    /// The words of free speech, if it is listened to.
    free: Option<Arc<NGram>>,
    /// The accelerator that is used, and what computes in its place when it fails.
    accelerator: Option<(Standing, String)>,
    verdicts: Vec<AcceleratorVerdict>,
}

impl std::fmt::Debug for Ears {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ears")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Ears {
    /// Loads the bundle in `dir`; the network and the lexicon with the graph load side by side. Of the settings those of the
    /// hardware and whom to trust count.
    ///
    /// # Errors
    /// [`EarsError`] names what is missing or wrong.
    pub fn open(
        dir: &Path,
        precision: Precision,
        words: &WordGraph,
        config: RecogniserConfig,
        settings: &Settings,
    ) -> Result<(Self, Arc<DecodingGraph>), EarsError> {
        let bundle = Bundle::open_trusted(dir, &settings.trust.bundles())?;
        let precision = available(&bundle, precision);
        let (model, spelled) = std::thread::scope(|scope| {
            let model = scope.spawn(|| offload::place(settings, &bundle, precision));
            let spelled = spell(&bundle, words);
            (model.join(), spelled)
        });
        let Placed {
            model,
            standing,
            processor,
            verdicts,
        } = model.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (lexicon, graph) = spelled?;
        let (own, shown) = (Arc::clone(&model), Arc::clone(&graph));
        let mut recogniser = Recogniser::new(&bundle, own, shown, &lexicon, config)?;
        if let Some(scout) = AcousticModel::load_scout(&bundle)? {
            recogniser.scout_with(&scout, &bundle, &lexicon)?;
        }
        Ok((
            Self {
                recogniser,
                lexicon,
                bundle,
                backend: backend(&model),
                model,
                free: None,
                accelerator: standing.map(|standing| (standing, processor)),
                verdicts,
            },
            graph,
        ))
    }

    /// What computes, such as `fused-mixed`, `tract-f32` for a network that is not wholly ours, or `accelerator-qnn-int8`.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Hears free speech of these words, or (`None`) none, once [`Self::set_names`] has said which names belong to them; it
    /// counts where [`Self::listen`] is told so.
    pub fn set_free_words(&mut self, words: Option<NGram>) {
        self.free = words.map(Arc::new);
    }

    /// The names that can be said in free speech; between utterances only.
    pub fn set_names(&mut self, names: &Names) {
        let language = self.free.as_ref();
        let language =
            language.map(|words| FreeLanguage::new(Arc::clone(words), names, &self.lexicon));
        self.recogniser.set_free_speech(language.as_ref());
    }

    /// Whether free speech can be heard.
    #[must_use]
    pub const fn hears_free_speech(&self) -> bool {
        self.free.is_some()
    }

    /// The accelerator that is used, or was until it failed.
    #[must_use]
    pub fn accelerator(&self) -> Option<&Standing> {
        self.accelerator.as_ref().map(|(standing, _)| standing)
    }

    /// What became of every accelerator when the bundle was loaded.
    #[must_use]
    pub fn verdicts(&self) -> &[AcceleratorVerdict] {
        &self.verdicts
    }

    /// Why the accelerator is not used any more, once; the backend is the processor's from then on.
    pub fn fallen_back(&mut self) -> Option<String> {
        let (standing, processor) = self.accelerator.as_ref()?;
        let reason = standing.failure().filter(|_| self.backend != *processor)?;
        let reason = reason.to_owned();
        self.backend.clone_from(processor);
        Some(reason)
    }

    /// Variant of the acoustic model, and output frames (30 ms) in a step of it.
    pub fn variant(&self) -> (Precision, usize) {
        (self.model.precision(), self.model.signature().chunk)
    }

    /// Takes another variant of the acoustic model from the next utterance on; of those the bundle lacks, the lightest
    /// it has. What is being said is heard out with the present one. Variants are the processor's: an accelerator that is
    /// used stays.
    ///
    /// # Errors
    /// [`EarsError`] when it does not load; the present one stays.
    pub fn take_variant(&mut self, wanted: Precision) -> Result<(), EarsError> {
        // Until it has been told that it failed.
        let accelerator = self.accelerator.as_ref();
        let accelerated = accelerator.is_some_and(|(_, processor)| self.backend != *processor);
        let precision = available(&self.bundle, wanted);
        if accelerated || precision == self.model.precision() {
            return Ok(());
        }
        let model = AcousticModel::load(&self.bundle, precision)?;
        self.recogniser.set_model(&model)?;
        self.backend = backend(&model);
        self.model = model;
        self.accelerator = None;
        Ok(())
    }

    /// What each stage of the cascade has computed.
    pub fn work(&self) -> Work {
        self.recogniser.work()
    }

    /// Spells a word graph in phones.
    ///
    /// # Errors
    /// [`GrammarError`] for a graph without sentences or with unpronounceable words.
    pub fn compile(&self, words: &WordGraph) -> Result<Arc<DecodingGraph>, GrammarError> {
        DecodingGraph::compile(words, &self.lexicon).map(Arc::new)
    }

    /// Listens for other words; between utterances only.
    pub fn set_graph(&mut self, graph: Arc<DecodingGraph>) {
        self.recogniser.set_graph(graph);
    }

    /// Whether speech is awaited and none has begun: the time to listen for other words.
    pub fn awaiting(&self) -> bool {
        self.recogniser.awaiting()
    }

    /// Whether anything is listened for.
    pub fn listening(&self) -> bool {
        self.recogniser.listening()
    }

    /// Another microphone heard the newest samples better: what begins is decoded from these instead.
    pub fn rehear(&mut self, samples: &[f32]) {
        self.recogniser.rehear(samples);
    }

    /// Begins a session: sample times count from here. `freely`: free speech counts.
    pub fn listen(&mut self, mode: Mode, freely: bool) {
        self.recogniser.listen_freely(freely);
        self.recogniser.listen(mode);
    }

    /// Takes samples (16 kHz, -1 to 1).
    ///
    /// # Errors
    /// If the network fails.
    pub fn push(
        &mut self,
        samples: &[f32],
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EarsError> {
        Ok(self.recogniser.push(samples, sink)?)
    }

    /// The audio has ended: decides on what was heard.
    ///
    /// # Errors
    /// If the network fails.
    pub fn finish(&mut self, sink: &mut dyn FnMut(SpeechEvent)) -> Result<(), EarsError> {
        Ok(self.recogniser.finish(sink)?)
    }

    /// Forgets what was heard.
    pub fn cancel(&mut self) {
        self.recogniser.cancel();
    }
}

fn backend(model: &AcousticModel) -> String {
    format!("{}-{}", model.engine(), model.precision())
}

/// A bundle need not hold every precision; what it has is better than nothing.
#[must_use]
pub fn available(bundle: &Bundle, wanted: Precision) -> Precision {
    bundle
        .precisions()
        .find(|there| *there == wanted)
        .unwrap_or_else(|| bundle.lightest())
}

fn spell(bundle: &Bundle, words: &WordGraph) -> Result<(Lexicon, Arc<DecodingGraph>), EarsError> {
    let lexicon = Lexicon::load(bundle)?;
    let graph = DecodingGraph::compile(words, &lexicon)?;
    Ok((lexicon, Arc::new(graph)))
}

/// Finds the bundle: the configured folder, else the first of the usual ones.
///
/// # Errors
/// [`EarsError::NoBundle`] with the folders that were looked at.
pub fn find_bundle(configured: &Path) -> Result<PathBuf, EarsError> {
    if !configured.as_os_str().is_empty() {
        return Ok(configured.to_path_buf());
    }
    let places = usual_places();
    let nearby = above_the_program();
    match places
        .iter()
        .chain(&nearby)
        .find(|dir| dir.join("manifest.toml").exists())
    {
        Some(dir) => Ok(dir.clone()),
        None => Err(EarsError::NoBundle(places)),
    }
}

/// Where bundles are installed.
fn usual_places() -> Vec<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    let mut places: Vec<PathBuf> = data
        .into_iter()
        .map(|dir| dir.join("vocar/models/speech-en"))
        .collect();
    places.push("/usr/share/vocar/models/speech-en".into());
    places
}

/// Where a bundle lies when the program runs where it was built.
fn above_the_program() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .skip(1)
        .take(5)
        .map(|dir| dir.join("models/speech-en"))
        .collect()
}
