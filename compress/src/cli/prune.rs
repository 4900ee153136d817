//! `prune`: parts that give least go.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use prost::Message;
use vocar_compress::bundle::Kind;
use vocar_compress::prune::{Heard, NOfM, Share, Sparsity, Stage, Wishes, prune};
use vocar_compress::recordings::heard;
use vocar_compress::trial::Trial;
use vocar_inference::Bundle;

use super::{Outcome, Reading, Written, floats, put};

/// Of so many recordings or sentences one is to judge by, the others are to decide on.
const JUDGES: usize = 5;

/// Take out whole layers, heads, units, channels or single weights that give least.
#[derive(Args)]
pub struct Arguments {
    /// The float network: a file, or a bundle that has one.
    input: PathBuf,
    /// The file to write, or a folder for a new bundle with it as the float network.
    output: PathBuf,
    /// What goes and its share, as in heads=0.3,ffn=0.4,layers=0.5,channels=0.25: layers first.
    #[arg(long, value_name = "WHAT=SHARE", value_delimiter = ',')]
    structured: Vec<Share>,
    /// Share of the weights of each output that become nought.
    #[arg(long, value_name = "SHARE", conflicts_with = "n_m")]
    unstructured: Option<f64>,
    /// Weights that stay of each few inputs that follow each other, as in 2:4; the others become nought.
    #[arg(long, alias = "n:m", value_name = "N:M")]
    n_m: Option<NOfM>,
    /// Recordings of speech to decide on, a table with a column `path`; for a bundle of words sentences, a table with the columns
    /// `text` and `intent`. The input is a bundle then. Every fifth of them judges the result instead.
    #[arg(long, value_name = "TSV", required_unless_present = "magnitude")]
    recordings: Option<PathBuf>,
    /// Decide by the size of the weights alone; recordings then only judge.
    #[arg(long)]
    magnitude: bool,
    /// Seconds of the recordings that are used.
    #[arg(long, default_value_t = 300.0)]
    seconds: f64,
    /// Units and channels go by so many: int4 wants whole groups of 32.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    granule: u16,
    /// Leave layers whose name contains this as they are; may be given more than once.
    #[arg(long, value_name = "PART")]
    keep: Vec<String>,
    #[command(flatten)]
    reading: Reading,
}

impl Arguments {
    /// Prunes, writes, and prints what each step took and cost.
    ///
    /// # Errors
    /// When the wishes contradict each other, or the network cannot be read, pruned, run or written.
    pub fn run(&self) -> Outcome {
        let wishes = self.wishes()?;
        let mut model = floats(&self.input)?;
        let before = model.encoded_len();
        let heard = self.recordings.as_deref();
        let heard = heard.map(|recordings| self.hear(recordings));
        let heard = heard.transpose()?;
        let progress = &mut |line: &str| eprintln!("{line}");
        let stages = prune(&mut model, &wishes, heard.as_ref(), progress)
            .map_err(|e| format!("{}: {e}", self.input.display()))?;
        print!("{}", table(&stages, Kind::of(&self.input)));
        let to = Written {
            input: &self.input,
            output: &self.output,
            precision: None,
            alone: false,
        };
        put(&to, &model, before)?;
        Ok(())
    }

    fn wishes(&self) -> Result<Wishes, String> {
        let sparsity = self.unstructured.map(Sparsity::Share);
        let sparsity = sparsity.or(self.n_m.map(Sparsity::Groups));
        if self.structured.is_empty() && sparsity.is_none() {
            return Err("nothing is to go: give --structured, --unstructured or --n-m".into());
        }
        if let Some(Sparsity::Share(share)) = sparsity
            && !(0.0..1.0).contains(&share)
        {
            return Err(format!(
                "--unstructured {share}: a share from 0 to below 1 is wanted"
            ));
        }
        Ok(Wishes {
            structured: self.structured.clone(),
            granule: self.granule.into(),
            sparsity,
            keep: self.keep.clone(),
        })
    }

    /// The input on the two kinds of recordings or sentences.
    fn hear(&self, recordings: &Path) -> Result<Heard, Box<dyn Error>> {
        let bundle = &self.input;
        if !bundle.is_dir() {
            return Err(format!(
                "{}: recordings and sentences become inputs as a bundle's manifest says; give a bundle, or --magnitude alone",
                bundle.display()
            )
            .into());
        }
        if Kind::of(bundle) == Kind::Words {
            let (judge, calibration) = parted(self.reading.list(recordings)?);
            let trial = |sentences: Vec<_>| {
                let texts = self.reading.texts(bundle, &sentences)?;
                Ok(Trial::reading(bundle, texts)?)
            };
            return self.trials(judge, calibration, trial);
        }
        let (judge, calibration) = parted(heard(recordings, self.seconds)?);
        let trial = |recordings| Ok(Trial::new(Bundle::open(bundle)?, recordings)?);
        self.trials(judge, calibration, trial)
    }

    fn trials<T>(
        &self,
        judge: Vec<T>,
        calibration: Vec<T>,
        trial: impl Fn(Vec<T>) -> Result<Trial, Box<dyn Error>>,
    ) -> Result<Heard, Box<dyn Error>> {
        let calibration = (!self.magnitude).then(|| trial(calibration));
        Ok(Heard {
            calibration: calibration.transpose()?,
            judge: trial(judge)?,
        })
    }
}

/// What judges, and what is decided on.
fn parted<T>(all: Vec<T>) -> (Vec<T>, Vec<T>) {
    let (judge, calibration): (Vec<_>, Vec<_>) = all
        .into_iter()
        .enumerate()
        .partition(|(at, _)| at % JUDGES == 0);
    let bare = |numbered: Vec<(usize, T)>| numbered.into_iter().map(|(_, one)| one).collect();
    (bare(judge), bare(calibration))
}

fn table(stages: &[Stage], kind: Kind) -> String {
    let distance = match kind {
        Kind::Speech => "nats a frame | same phone",
        Kind::Words => "nats an intent or tag | same intent or tag",
    };
    let mut text =
        format!("| after | parameters | not nought | {distance} |\n|---|---|---|---|---|\n");
    for stage in stages {
        let distance = stage.distance.map_or("- | -".to_owned(), |distance| {
            let same = 100.0 * distance.same;
            format!("{:.4} | {same:.1} %", distance.divergence)
        });
        let Stage {
            name,
            parameters,
            non_zero,
            ..
        } = stage;
        text += &format!("| {name} | {parameters} | {non_zero} | {distance} |\n");
    }
    text
}
