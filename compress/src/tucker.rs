//! Tucker factors: a convolution becomes one over fewer channels between two that mix channels alone.
//!
//! The kernel `[outputs, inputs, …]` is projected on the strongest directions of its outputs and of its inputs, the beginning of
//! its higher-order singular value decomposition (L. Tucker, 1966; L. De Lathauwer et al., 2000), as Y. Kim et al.,
//! "Compression of deep convolutional neural networks for fast and low power mobile applications" (ICLR 2016), did it.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::factorise::{Singular, Thinness};
use crate::products::{Matrix, Report, RewriteError, floats, operator, values_of};

/// Replaces every convolution with a constant kernel by up to three, where that makes it smaller; those whose name contains one of
/// `keep` stay as they are. Energy is that of each side, inputs and outputs. Grouped convolutions and those that
/// see one place alone have nothing to give and are not listed.
///
/// # Errors
/// [`RewriteError`] when nothing gets smaller or a kernel cannot be read; the network is then unchanged.
pub fn tucker(
    model: &mut ModelProto,
    thinness: Thinness,
    keep: &[String],
) -> Result<Report, RewriteError> {
    let graph = model.graph.get_or_insert_default();
    let mut report = Report::default();
    let (mut nodes, mut made, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
    for node in &graph.node {
        let Some(kernel) = kernel_of(graph, node)? else {
            nodes.push(node.clone());
            continue;
        };
        let outcome = if keep.iter().any(|part| node.name.contains(part)) {
            Err("asked for".into())
        } else {
            kernel.factors(thinness)
        };
        match outcome {
            Ok(factors) => {
                report.changed.push(node.name.clone());
                replaced.push(kernel.name.clone());
                factors.write(node, &kernel, &mut nodes, &mut made);
            }
            Err(reason) => {
                report.kept.push((node.name.clone(), reason));
                nodes.push(node.clone());
            }
        }
    }
    if report.changed.is_empty() {
        let kept = report.kept.iter();
        let kept: Vec<String> = kept.map(|(name, why)| format!("{name} ({why})")).collect();
        return Err(RewriteError::NoConvolution {
            kept: if kept.is_empty() {
                "there is none of one group that sees more than one place".into()
            } else {
                kept.join(", ")
            },
        });
    }
    let used = |name: &str| {
        nodes
            .iter()
            .any(|node| node.input.iter().any(|one| one == name))
    };
    graph
        .initializer
        .retain(|one| !replaced.contains(&one.name) || used(&one.name));
    graph.initializer.extend(made);
    graph.node = nodes;
    Ok(report)
}

/// A kernel `[outputs][inputs][places]`.
struct Kernel {
    name: String,
    /// Its shape beyond outputs and inputs.
    window: Vec<i64>,
    outputs: usize,
    inputs: usize,
    places: usize,
    values: Vec<f32>,
}

/// The kernel of an ungrouped convolution of more than one place; `None` for any other node.
fn kernel_of(graph: &GraphProto, node: &NodeProto) -> Result<Option<Kernel>, RewriteError> {
    let grouped = node
        .attribute
        .iter()
        .any(|one| one.name == "group" && one.i > 1);
    let constant = node
        .input
        .get(1)
        .and_then(|name| graph.initializer.iter().find(|one| one.name == *name));
    let Some(constant) = constant.filter(|_| node.op_type == "Conv" && !grouped) else {
        return Ok(None);
    };
    let [outputs, inputs, window @ ..] = &constant.dims[..] else {
        return Ok(None);
    };
    let places = window.iter().product::<i64>();
    if places < 2 || constant.data_type != DataType::Float as i32 {
        return Ok(None);
    }
    let values = values_of(constant);
    if values.len() as i64 != outputs * inputs * places {
        return Err(RewriteError::Weight(constant.name.clone()));
    }
    Ok(Some(Kernel {
        name: constant.name.clone(),
        window: window.to_vec(),
        outputs: *outputs as usize,
        inputs: *inputs as usize,
        places: places as usize,
        values,
    }))
}

/// Orthogonal directions of a side, `[rank][size]`, or `None` where all stay.
type Side = Option<Vec<Vec<f32>>>;

/// A core over fewer channels, and how the channels of either side come from it.
struct Factors {
    inputs: Side,
    outputs: Side,
    core: Vec<f32>,
    /// Channels of the core: outputs and inputs.
    ranks: [usize; 2],
}

impl Kernel {
    /// Place of a value.
    fn at(&self, output: usize, input: usize, place: usize) -> usize {
        (output * self.inputs + input) * self.places + place
    }

    /// Factors of the wanted thinness, or why there is no use in them.
    fn factors(&self, thinness: Thinness) -> Result<Factors, String> {
        let (outputs, inputs, places) = (self.outputs, self.inputs, self.places);
        let by_input: Vec<f32> = (0..inputs)
            .flat_map(|input| {
                let row = (0..outputs)
                    .flat_map(move |output| (0..places).map(move |place| (output, place)));
                row.map(move |(output, place)| self.values[self.at(output, input, place)])
            })
            .collect();
        let left = directions(by_input, inputs, thinness);
        let right = directions(self.values.clone(), outputs, thinness);
        let ranks = [
            right.as_ref().map_or(outputs, Vec::len),
            left.as_ref().map_or(inputs, Vec::len),
        ];
        let mixing = |side: &Side, size: usize| side.as_ref().map_or(0, |side| side.len() * size);
        let size = ranks[0] * ranks[1] * places + mixing(&left, inputs) + mixing(&right, outputs);
        if size >= self.values.len() {
            return Err(format!(
                "{} of {outputs} by {} of {inputs} channels would not make it smaller",
                ranks[0], ranks[1]
            ));
        }
        let core = self.project(&right, &left, ranks);
        Ok(Factors {
            inputs: left,
            outputs: right,
            core,
            ranks,
        })
    }

    /// The kernel as the directions see it, `[ranks[0]][ranks[1]][places]`.
    fn project(&self, outputs: &Side, inputs: &Side, ranks: [usize; 2]) -> Vec<f32> {
        let share = |side: &Side, direction: usize, channel: usize| match side {
            Some(side) => f64::from(side[direction][channel]),
            None => f64::from(u8::from(direction == channel)),
        };
        // Inputs first, then outputs.
        let mut half = vec![0.0f64; self.outputs * ranks[1] * self.places];
        for output in 0..self.outputs {
            for direction in 0..ranks[1] {
                for input in 0..self.inputs {
                    let share = share(inputs, direction, input);
                    for place in 0..self.places {
                        half[(output * ranks[1] + direction) * self.places + place] +=
                            share * f64::from(self.values[self.at(output, input, place)]);
                    }
                }
            }
        }
        let row = ranks[1] * self.places;
        let mut core = vec![0.0f64; ranks[0] * row];
        for (direction, core) in core.chunks_exact_mut(row).enumerate() {
            for (output, half) in half.chunks_exact(row).enumerate() {
                let share = share(outputs, direction, output);
                core.iter_mut()
                    .zip(half)
                    .for_each(|(sum, value)| *sum += share * value);
            }
        }
        core.into_iter().map(|value| value as f32).collect()
    }
}

/// The strongest directions of the rows of a matrix, as many as wanted; `None` when that is all of them.
fn directions(values: Vec<f32>, rows: usize, thinness: Thinness) -> Side {
    if matches!(thinness, Thinness::Rank(rank) if rank >= rows) {
        return None;
    }
    let columns = values.len() / rows;
    let singular = Singular::of(&Matrix {
        name: String::new(),
        inputs: rows,
        outputs: columns,
        values,
    });
    let rank = singular.enough(thinness);
    (rank < rows).then(|| singular.left_directions(rank))
}

impl Factors {
    /// Writes the convolutions and their kernels.
    fn write(
        &self,
        node: &NodeProto,
        kernel: &Kernel,
        nodes: &mut Vec<NodeProto>,
        made: &mut Vec<TensorProto>,
    ) {
        let name = |part: &str| format!("{}.{part}", node.name);
        let once: Vec<i64> = vec![1; kernel.window.len()];
        let mut add = |part: &str, channels: [usize; 2], window: &[i64], values: &[f32]| {
            let name = format!("{}.{part}", kernel.name);
            let shape = channels
                .iter()
                .map(|&size| size as i64)
                .chain(window.iter().copied());
            let shape: Vec<i64> = shape.collect();
            if made.iter().all(|one| one.name != name) {
                made.push(floats(&name, &shape, values));
            }
            name
        };
        let mut from = node.input[0].clone();
        if let Some(side) = &self.inputs {
            let thin = name("thin");
            let weight = add("inputs", [side.len(), kernel.inputs], &once, &side.concat());
            let mut first = operator("Conv", &[&from, &weight], &[&thin]);
            first.name = name("inputs");
            nodes.push(first);
            from = thin;
        }
        let mut core = node.clone();
        core.input[0] = from;
        core.input[1] = add("core", self.ranks, &kernel.window, &self.core);
        let Some(side) = &self.outputs else {
            nodes.push(core);
            return;
        };
        let inner = name("inner");
        core.name = name("core");
        core.output[0].clone_from(&inner);
        let bias: Vec<String> = core.input.drain(2..).collect();
        nodes.push(core);
        let turned = (0..kernel.outputs).flat_map(|output| side.iter().map(move |one| one[output]));
        let weight = add(
            "outputs",
            [kernel.outputs, side.len()],
            &once,
            &turned.collect::<Vec<_>>(),
        );
        let mut last = operator("Conv", &[&inner, &weight], &[&node.output[0]]);
        last.input.extend(bias);
        last.name.clone_from(&node.name);
        nodes.push(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel whose outputs and inputs mix only so many channels.
    fn kernel(outputs: usize, inputs: usize, rank: usize) -> Kernel {
        let wave = |n: usize, pace: f32| ((n * n % 9973) as f32 * pace).sin();
        let places = 6;
        let mut values = Vec::new();
        for output in 0..outputs {
            for input in 0..inputs {
                for place in 0..places {
                    let term = |k: usize| {
                        wave(output * rank + k + 1, 0.7)
                            * wave(input * rank + k + 2, 1.3)
                            * wave(place * rank + k + 3, 0.9)
                    };
                    values.push((0..rank).map(term).sum());
                }
            }
        }
        Kernel {
            name: "k".into(),
            window: vec![2, 3],
            outputs,
            inputs,
            places,
            values,
        }
    }

    /// What the factors make together.
    fn together(factors: &Factors, kernel: &Kernel) -> Vec<f32> {
        let share = |side: &Side, direction: usize, channel: usize| match side {
            Some(side) => side[direction][channel],
            None => f32::from(u8::from(direction == channel)),
        };
        let mut values = vec![0.0; kernel.values.len()];
        for output in 0..kernel.outputs {
            for input in 0..kernel.inputs {
                for place in 0..kernel.places {
                    for one in 0..factors.ranks[0] {
                        for other in 0..factors.ranks[1] {
                            let core = factors.core
                                [(one * factors.ranks[1] + other) * kernel.places + place];
                            values[kernel.at(output, input, place)] += core
                                * share(&factors.outputs, one, output)
                                * share(&factors.inputs, other, input);
                        }
                    }
                }
            }
        }
        values
    }

    #[test]
    fn a_kernel_of_few_directions_comes_back_from_them() {
        let kernel = kernel(12, 10, 3);
        for thinness in [Thinness::Rank(3), Thinness::Energy(0.999_999_9)] {
            let factors = kernel.factors(thinness).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(factors.ranks, [3, 3]);
            for (found, wanted) in together(&factors, &kernel).iter().zip(&kernel.values) {
                assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
            }
        }
    }

    #[test]
    fn energy_that_is_given_up_bounds_the_error() {
        let kernel = kernel(16, 12, 9);
        let factors = kernel
            .factors(Thinness::Energy(0.95))
            .unwrap_or_else(|e| panic!("{e}"));
        let found = together(&factors, &kernel);
        let error: f32 = found
            .iter()
            .zip(&kernel.values)
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        let energy: f32 = kernel.values.iter().map(|value| value * value).sum();
        assert!(
            error > 0.0 && error <= 2.0 * 0.05 * energy,
            "{}",
            error / energy
        );
    }

    #[test]
    fn a_single_input_is_left_and_too_many_directions_are_refused() {
        let factors = kernel(24, 1, 1)
            .factors(Thinness::Rank(1))
            .unwrap_or_else(|e| panic!("{e}"));
        assert!(factors.inputs.is_none() && factors.outputs.is_some());
        assert!(kernel(8, 8, 8).factors(Thinness::Rank(7)).is_err());
    }
}
