//! Pruning: whole layers, heads, units and channels that give least go, or single weights.
//!
//! What something gives is measured on recordings, or on sentences for a network over words: of a layer, how far the posteriors
//! move without it; of a group in a layer, how much its contribution to the layer's output changes from frame to frame. The
//! products that read what is left are then refitted to the recordings. Without recordings the size of the weights decides.
//! Networks that were pruned want tuning: `training.restore` and `training.nlu.restore` read them back.

mod cut;
mod index;
mod layers;
mod records;
mod refit;
mod sparse;
mod structure;
mod worth;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

pub use records::{RecordError, Records};
pub(crate) use records::{Recorder, record_texts};
pub use sparse::{NOfM, Sparsity};

use crate::products::{floats, products, values_of};
use crate::trial::{Distance, Trial, TrialError};
use index::Index;
use layers::Stretch;
use structure::Part;
use worth::Reading;

/// What can be taken out of a network so that its tensors shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Structure {
    /// Whole layers: the stretch that the network repeats.
    Layers,
    /// Heads of attentions.
    Heads,
    /// Units between the two products of feed-forward layers.
    Ffn,
    /// Channels of gated depthwise convolutions.
    Channels,
}

impl Structure {
    const WIDTHS: [Structure; 3] = [Structure::Heads, Structure::Ffn, Structure::Channels];
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Structure::Layers => "layers",
            Structure::Heads => "heads",
            Structure::Ffn => "ffn",
            Structure::Channels => "channels",
        })
    }
}

/// A structure and the share of it that goes, as in `heads=0.3`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Of what.
    pub structure: Structure,
    /// From 0 to below 1.
    pub share: f64,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let all = [Structure::Layers].into_iter().chain(Structure::WIDTHS);
        let (name, share) = text.split_once('=').unwrap_or((text, ""));
        let structure = all.into_iter().find(|one| one.to_string() == name);
        match (structure, share.parse()) {
            (Some(structure), Ok(share)) if (0.0..1.0).contains(&share) => {
                Ok(Share { structure, share })
            }
            (None, _) => Err("heads, ffn, layers or channels are wanted, as in heads=0.3".into()),
            _ => Err(format!(
                "a share from 0 to below 1 is wanted, as in {name}=0.3"
            )),
        }
    }
}

/// What is to go.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Shares of structures.
    pub structured: Vec<Share>,
    /// Units and channels go by so many; what is left of a layer is a multiple of it.
    pub granule: usize,
    /// Single weights that become nought, after the structures.
    pub sparsity: Option<Sparsity>,
    /// Layers whose name contains one of these stay as they are.
    pub keep: Vec<String>,
}

/// A network on recordings or sentences: on some it is decided what goes, on others how good the result is.
pub struct Heard {
    /// To decide on; without them the size of the weights decides.
    pub calibration: Option<Trial>,
    /// To judge by.
    pub judge: Trial,
}

/// A network on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What was done last.
    pub name: String,
    /// Numbers in its constants of floats.
    pub parameters: usize,
    /// Those that are not nought.
    pub non_zero: usize,
    /// How far it is from the network before everything; `None` without recordings.
    pub distance: Option<Distance>,
}

/// Why a network cannot be pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// It cannot be run.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// There is nothing of the kind.
    #[error("the network has no {0} that can go; leave that out, or less with --keep")]
    Nothing(String),
    /// A layer is written in another way than those we know.
    #[error(
        "layer `{layer}`: {problem}; it is not written as training.export writes it, leave it out with --keep {layer}"
    )]
    Unlike {
        /// Its name.
        layer: String,
        /// What is unlike.
        problem: String,
    },
    /// A weight whose values are not where they should be.
    #[error(
        "weight `{0}` holds no float values of its shape; export the network with its weights inside"
    )]
    Weight(String),
}

/// Prunes a float network; tells `progress` what it does. Returns the stages, the network as it was first.
///
/// # Errors
/// [`PruneError`]; the network may then be half pruned.
pub fn prune(
    model: &mut ModelProto,
    wishes: &Wishes,
    heard: Option<&Heard>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Stage>, PruneError> {
    let (calibration, judge) = match heard {
        Some(heard) => (heard.calibration.as_ref(), Some(&heard.judge)),
        None => (None, None),
    };
    let mut stages = vec![stage("as it was", model, judge)?];
    let share = |structure| {
        let of = wishes
            .structured
            .iter()
            .filter(|one| one.structure == structure);
        of.map(|one| one.share).next_back()
    };
    if let Some(share) = share(Structure::Layers) {
        drop_layers(model, share, &wishes.keep, calibration, progress)?;
        stages.push(stage("layers", model, judge)?);
    }
    let widths = Structure::WIDTHS.map(|structure| (structure, share(structure)));
    let widths = widths
        .into_iter()
        .filter_map(|(one, share)| Some((one, share?)));
    let widths: BTreeMap<Structure, f64> = widths.collect();
    if !widths.is_empty() {
        let records = record(model, calibration, progress)?;
        for (structure, share) in widths {
            narrow(model, structure, share, wishes, &records, progress)?;
        }
        stages.push(stage("widths", model, judge)?);
    }
    if let Some(sparsity) = wishes.sparsity {
        let records = record(model, calibration, progress)?;
        let report = sparse::sparsify(model, sparsity, &records, &wishes.keep, progress)?;
        for (layer, reason) in &report.kept {
            progress(&format!("kept {layer}: {reason}"));
        }
        stages.push(stage("single weights", model, judge)?);
    }
    Ok(stages)
}

fn record(
    model: &ModelProto,
    calibration: Option<&Trial>,
    progress: &mut dyn FnMut(&str),
) -> Result<Records, PruneError> {
    let Some(calibration) = calibration else {
        return Ok(Records::default());
    };
    progress("recording what goes into the products");
    Ok(calibration.record(model)?)
}

fn stage(name: &str, model: &ModelProto, judge: Option<&Trial>) -> Result<Stage, PruneError> {
    let distance = judge.map(|judge| judge.compare(model));
    let graph = model.graph.iter().flat_map(|graph| &graph.initializer);
    let constants = graph.filter(|constant| constant.data_type == DataType::Float as i32);
    let values: Vec<f32> = constants.flat_map(values_of).collect();
    Ok(Stage {
        name: name.to_owned(),
        parameters: values.len(),
        non_zero: values.iter().filter(|value| **value != 0.0).count(),
        distance: distance.transpose()?,
    })
}

fn kept_by_name(name: &str, keep: &[String]) -> bool {
    keep.iter().any(|part| name.contains(part))
}

/// Takes layers out one after the other, each time the one without which the posteriors move least.
fn drop_layers(
    model: &mut ModelProto,
    share: f64,
    keep: &[String],
    calibration: Option<&Trial>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), PruneError> {
    let graph = model.graph.get_or_insert_default();
    let there = layers::layers(graph).len();
    let wanted = (share * there as f64).round() as usize;
    for _ in 0..wanted.min(there.saturating_sub(1)) {
        let graph = model.graph.get_or_insert_default();
        let mut least: Option<(f64, Stretch)> = None;
        for layer in layers::layers(graph) {
            if kept_by_name(&layer.name, keep) {
                continue;
            }
            let cost = match calibration {
                Some(trial) => trial.compare(&without(model, &layer))?.divergence,
                None => size(model, &layer),
            };
            progress(&format!("without {}: {cost:.4}", layer.name));
            if least.as_ref().is_none_or(|(least, _)| cost < *least) {
                least = Some((cost, layer));
            }
        }
        let (_, layer) = least.ok_or_else(|| PruneError::Nothing("layers".into()))?;
        progress(&format!("{} goes", layer.name));
        *model = without(model, &layer);
    }
    if there == 0 {
        return Err(PruneError::Nothing("layers".into()));
    }
    Ok(())
}

fn without(model: &ModelProto, layer: &Stretch) -> ModelProto {
    let mut model = model.clone();
    let graph = model.graph.get_or_insert_default();
    cut::bypass(graph, layer.nodes.clone(), &layer.first, &layer.last);
    model
}

/// Sum of the squared weights of a layer's constant products.
fn size(model: &ModelProto, layer: &Stretch) -> f64 {
    let Some(graph) = &model.graph else {
        return 0.0;
    };
    let index = Index::of(graph);
    let own = products(graph).into_iter();
    own.filter(|product| layer.nodes.contains(&product.node))
        .filter_map(|product| index.constant(&product.weight))
        .flat_map(values_of)
        .map(|value| f64::from(value).powi(2))
        .sum()
}

/// Makes all parts of a kind narrower.
fn narrow(
    model: &mut ModelProto,
    structure: Structure,
    share: f64,
    wishes: &Wishes,
    records: &Records,
    progress: &mut dyn FnMut(&str),
) -> Result<(), PruneError> {
    let graph = model.graph.get_or_insert_default();
    let mut parts = Vec::new();
    for part in structure::parts(graph, structure) {
        match part {
            Ok(part) if kept_by_name(&part.name, &wishes.keep) => {}
            Ok(part) => parts.push(part),
            Err((layer, _)) if kept_by_name(&layer, &wishes.keep) => {}
            Err((layer, problem)) => return Err(PruneError::Unlike { layer, problem }),
        }
    }
    if parts.is_empty() {
        return Err(PruneError::Nothing(structure.to_string()));
    }
    let worth = parts
        .iter()
        .map(|part| worth_of(graph, part, records))
        .collect::<Result<Vec<_>, _>>()?;
    let granule = match structure {
        Structure::Heads | Structure::Layers => 1,
        Structure::Ffn | Structure::Channels => wishes.granule,
    };
    let staying = worth::staying(&worth, share, granule);
    for (part, kept) in parts.iter().zip(&staying) {
        progress(&format!(
            "{}: {} of {} {structure} stay",
            part.name,
            kept.len(),
            part.groups
        ));
        if kept.len() < part.groups {
            take_out(graph, part, kept, records)?;
        }
    }
    Ok(())
}

/// What each group of a part gives to all products that read it.
fn worth_of(graph: &GraphProto, part: &Part, records: &Records) -> Result<Vec<f64>, PruneError> {
    let mut worth = vec![0.0; part.groups];
    for reader in &part.readers {
        let reader = Reader::of(graph, *reader)?;
        let found = reader.reading(records).worth(part.groups);
        worth
            .iter_mut()
            .zip(found)
            .for_each(|(sum, more)| *sum += more);
    }
    Ok(worth)
}

/// A product that reads a part's groups.
struct Reader {
    input: String,
    bias: Option<String>,
    shape: [usize; 2],
    values: Vec<f32>,
}

impl Reader {
    fn of(graph: &GraphProto, node: usize) -> Result<Reader, PruneError> {
        let index = Index::of(graph);
        let product = index.node(node);
        let weight = &product.input[1];
        let constant = index.constant(weight);
        let values = constant.map(values_of).unwrap_or_default();
        let &[inputs, outputs] = index.floats(weight).unwrap_or_default() else {
            return Err(PruneError::Weight(weight.clone()));
        };
        let shape = [inputs as usize, outputs as usize];
        if values.len() != shape[0] * shape[1] {
            return Err(PruneError::Weight(weight.clone()));
        }
        let sum = index.user(&product.output[0], "Add").ok();
        let bias = sum.and_then(|sum| index::other(index.node(sum), &product.output[0]));
        let whole = |bias: &&String| index.floats(bias) == Some(&[outputs]);
        let own = |bias: &&String| index.users(bias).len() == 1;
        Ok(Reader {
            input: product.input[0].clone(),
            bias: bias.filter(whole).filter(own).cloned(),
            shape,
            values,
        })
    }

    fn reading<'a>(&'a self, records: &'a Records) -> Reading<'a> {
        Reading {
            weights: &self.values,
            outputs: self.shape[1],
            moments: records
                .of(&self.input)
                .filter(|one| one.size() == self.shape[0]),
            biased: self.bias.is_some(),
        }
    }

    /// Adds to the bias after it, if there is one.
    fn shift_bias(&self, graph: &mut GraphProto, shift: &[f64]) {
        let named = |one: &&TensorProto| Some(&one.name) == self.bias.as_ref();
        let Some(bias) = graph.initializer.iter().find(named) else {
            return;
        };
        let sums = values_of(bias).into_iter().zip(shift);
        let sums: Vec<f32> = sums
            .map(|(old, shift)| (f64::from(old) + shift) as f32)
            .collect();
        let shifted = floats(&bias.name, &[sums.len() as i64], &sums);
        put(graph, shifted);
    }
}

/// Takes groups out of a part and refits what reads it.
fn take_out(
    graph: &mut GraphProto,
    part: &Part,
    kept: &[usize],
    records: &Records,
) -> Result<(), PruneError> {
    let readers = part.readers.iter();
    let readers = readers
        .map(|&node| Ok((node, Reader::of(graph, node)?)))
        .collect::<Result<Vec<_>, PruneError>>()?;
    cut::narrow(graph, part, kept)?;
    for (node, reader) in readers {
        let size = reader.shape[0] / part.groups;
        let inputs = kept
            .iter()
            .flat_map(|group| group * size..(group + 1) * size);
        let inputs: Vec<usize> = inputs.collect();
        let refitted = refit::refit(&reader.reading(records), &inputs);
        let weight = graph.node[node].input[1].clone();
        let shape = [inputs.len() as i64, reader.shape[1] as i64];
        put(graph, floats(&weight, &shape, &refitted.weights));
        reader.shift_bias(graph, &refitted.shift);
    }
    Ok(())
}

/// Puts a constant in the place of the one of its name.
fn put(graph: &mut GraphProto, constant: TensorProto) {
    let old = graph
        .initializer
        .iter_mut()
        .find(|one| one.name == constant.name);
    if let Some(old) = old {
        *old = constant;
    }
}
