//! `quantise`: fewer bits.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use prost::Message;
use vocar_compress::bundle::Kind;
use vocar_compress::calibrate::{Choice, Ranges};
use vocar_compress::check::Checked;
use vocar_compress::plan::Plan;
use vocar_compress::quantise::{Activations, Bits, Form, Granularity, Method, quantise};
use vocar_compress::rest::{Convolutions, Names, shrink_the_rest};
use vocar_inference::Precision;

use super::{Outcome, Written, floats, put, tell};

/// Write constant matrix products in half floats, int8 or int4.
#[derive(Args)]
pub struct Arguments {
    /// The float network: a file, or a bundle that has one.
    input: PathBuf,
    /// The file to write, or a bundle, which gets it as its network of that precision.
    output: PathBuf,
    /// Bits of a weight.
    #[arg(long, value_enum, default_value = "8")]
    bits: Width,
    /// Where the integers of a weight lie: around nought, or where its values are. Symmetric unless given.
    #[arg(long, value_enum)]
    method: Option<Lie>,
    /// What shares a scale: the channel in int8, a group of 32 inputs in int4, unless given.
    #[arg(long, value_enum)]
    granularity: Option<Share>,
    /// Find the scales of activations while the network runs, which is so unless --static is given.
    #[arg(long)]
    dynamic: bool,
    /// Take the scales of activations from this file of `calibrate`.
    #[arg(long = "static", value_name = "RANGES", conflicts_with = "dynamic")]
    fixed: Option<PathBuf>,
    /// Which of the ranges in that file count.
    #[arg(long, value_enum, default_value = "percentile", requires = "fixed")]
    range: Pick,
    /// Where the integers of activations with static scales lie.
    #[arg(long, value_enum, default_value = "asymmetric", requires = "fixed")]
    activations: Lie,
    /// Store what is left in floats as half floats, weights of convolutions in int8 beside int8 and int4 layers, repeated
    /// constants once, and give tensors short names but for those of a bundle of words, whose layers adapters know by name.
    #[arg(long, conflicts_with = "plan")]
    halve_the_rest: bool,
    /// Leave layers whose name contains this as they are; may be given more than once.
    #[arg(long, value_name = "PART")]
    keep: Vec<String>,
    /// Make the output a bundle with this network alone, and everything else as in the input, which is a bundle: so a vehicle's
    /// bundle is made of the one that holds the floats.
    #[arg(long)]
    alone: bool,
    /// Do as this plan says for each layer.
    #[arg(long, value_name = "TOML", conflicts_with_all = ["bits", "keep", "method", "granularity", "fixed"])]
    plan: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Width {
    #[value(name = "16")]
    Sixteen,
    #[value(name = "8")]
    Eight,
    #[value(name = "4")]
    Four,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lie {
    Symmetric,
    Asymmetric,
}

#[derive(Clone, Copy, ValueEnum)]
enum Share {
    Tensor,
    Channel,
    Group,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pick {
    Extremes,
    Percentile,
    Entropy,
}

impl From<Lie> for Method {
    fn from(lie: Lie) -> Method {
        match lie {
            Lie::Symmetric => Method::Symmetric,
            Lie::Asymmetric => Method::Asymmetric,
        }
    }
}

impl From<Share> for Granularity {
    fn from(share: Share) -> Granularity {
        match share {
            Share::Tensor => Granularity::Tensor,
            Share::Channel => Granularity::Channel,
            Share::Group => Granularity::Group,
        }
    }
}

impl From<Pick> for Choice {
    fn from(pick: Pick) -> Choice {
        match pick {
            Pick::Extremes => Choice::Extremes,
            Pick::Percentile => Choice::Percentile,
            Pick::Entropy => Choice::Entropy,
        }
    }
}

impl Arguments {
    /// Quantises and writes.
    ///
    /// # Errors
    /// When the network cannot be read, quantised as asked or written.
    pub fn run(&self) -> Outcome {
        match &self.plan {
            Some(plan) => self.planned(plan),
            None => self.alike(),
        }
    }

    /// All layers alike.
    fn alike(&self) -> Outcome {
        let ranges = self.fixed.as_deref().map(Ranges::load).transpose()?;
        let activations = match &ranges {
            Some(ranges) => Activations::Static {
                ranges,
                choice: self.range.into(),
                method: self.activations.into(),
            },
            None => Activations::Dynamic,
        };
        let (bits, precision) = match self.bits {
            Width::Sixteen => (Bits::Sixteen, None),
            Width::Eight => (Bits::Eight, Some(Precision::Int8)),
            Width::Four => (Bits::Four, Some(Precision::Mixed)),
        };
        let (method, granularity) = (self.method.map(Method::from), self.granularity);
        let form = Form::of(
            bits,
            method,
            granularity.map(Granularity::from),
            activations,
        )?;
        let mut model = floats(&self.input)?;
        let before = model.encoded_len();
        let report = quantise(&mut model, form, &self.keep)
            .map_err(|e| format!("{}: {e}", self.input.display()))?;
        if self.halve_the_rest {
            let convolutions = Convolutions::beside(form);
            let names = Names::of(Kind::of(&self.input));
            shrink_the_rest(&mut model, convolutions, names, &report.changed);
        }
        tell(&report);
        let checked = put(&self.written(precision), &model, before)?;
        let layers = report.changed.len();
        if let Some(Checked { fused, .. }) = checked
            && fused < layers
            && precision.is_some()
        {
            println!(
                "note: our kernels execute {fused} of {layers} layers in this form; tract's own operators run the others, right but slower"
            );
        }
        Ok(())
    }

    fn planned(&self, plan: &Path) -> Outcome {
        let mut model = floats(&self.input)?;
        let before = model.encoded_len();
        Plan::load(plan)?.apply(&mut model)?;
        put(&self.written(Some(Precision::Mixed)), &model, before)?;
        Ok(())
    }

    fn written(&self, precision: Option<Precision>) -> Written<'_> {
        Written {
            input: &self.input,
            output: &self.output,
            precision,
            alone: self.alone,
        }
    }
}
