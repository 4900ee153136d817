//! Convolutions over time and frequency, one behind the other, in int8 or floats.

use tract_onnx::pb::{AttributeProto, NodeProto, tensor_proto::DataType};

use super::graph::{Constants, Net, attribute, integer, integers, new_node, required};
use super::operator::{Operator, Past, Workspace};
use super::turn::Matrix;
use crate::gemm::{
    Activation, Epilogue, FloatWeights, Int8Weights, Left, Rows, Tier, multiply, multiply_float,
    room,
};

pub(super) const KIND: &str = "VocarConvolutions";

/// Replaces what makes one map of a row of frames (Reshape), Convs of one group with ReLU, SiLU or nothing behind each, and
/// what makes frames of the maps again (Transpose, Reshape).
pub(super) fn fuse(net: &mut Net) {
    for reshape in net.of_kind("Reshape") {
        if let Some((nodes, node)) = matched(net, reshape) {
            net.replace(&nodes, node);
        }
    }
}

fn matched(net: &Net, reshape: usize) -> Option<(Vec<usize>, NodeProto)> {
    let node = net.node(reshape)?;
    let [frames, shape] = &node.input[..] else {
        return None;
    };
    let &[1, 1, height, width] = &net.integers(shape)?[..] else {
        return None;
    };
    let mut nodes = vec![reshape];
    let mut maps = node.output.first()?;
    let mut inputs = vec![&**frames];
    let mut attributes = vec![integer("height", height), integer("width", width)];
    let (mut layers, mut channels) = (0, 1);
    while let Some(conv) = net.only_user(maps, "Conv") {
        let [_, weight, bias] = &net.node(conv)?.input[..] else {
            return None;
        };
        let weight = stored(net, weight)?;
        let &[outputs, inner, ..] = net.constant(weight[0])?.0 else {
            return None;
        };
        if inner != channels || net.constant(bias)? != (&[outputs][..], DataType::Float) {
            return None;
        }
        let (activation, users) = activation_of(net, conv)?;
        attributes.push(geometry(net.node(conv)?, layers, activation)?);
        nodes.push(conv);
        nodes.extend(users);
        maps = net.node(*nodes.last()?)?.output.first()?;
        inputs.extend(weight);
        inputs.push(bias);
        (layers, channels) = (layers + 1, outputs);
    }
    let turned = net.only_user(maps, "Transpose")?;
    let flat = net.only_user(net.node(turned)?.output.first()?, "Reshape")?;
    let [_, shape] = &net.node(flat)?.input[..] else {
        return None;
    };
    let rows = net.integers(shape)?;
    let as_wanted = attribute(net.node(turned)?, "perm")? == [0, 2, 1, 3]
        && matches!(rows[..], [1, _, columns] if columns % channels == 0 && columns > 0)
        && layers > 0;
    if !as_wanted {
        return None;
    }
    nodes.extend([turned, flat]);
    attributes.push(integer("layers", layers));
    attributes.push(integers("rows", &rows));
    let output = net.node(flat)?.output.first()?;
    Some((nodes, new_node(KIND, &inputs, &[output], attributes)))
}

/// The constants of a weight: floats, or int8 and a scale for each output channel, of which DequantizeLinear would make floats.
fn stored<'a>(net: &'a Net, weight: &'a str) -> Option<Vec<&'a str>> {
    if net
        .constant(weight)
        .is_some_and(|(_, kind)| kind == DataType::Float)
    {
        return Some(vec![weight]);
    }
    let node = net.node(net.maker(weight, "DequantizeLinear")?)?;
    let [integers, scale, zero @ ..] = &node.input[..] else {
        return None;
    };
    let (shape, kind) = net.constant(integers)?;
    let as_wanted = kind == DataType::Int8
        && net.constant(scale)? == (&shape[..1], DataType::Float)
        && zero.iter().all(|zero| net.is_zero(zero))
        && attribute(node, "axis")? == [0];
    as_wanted.then(|| vec![&**integers, &**scale])
}

/// What is applied to the output of a node, and the nodes that do.
fn activation_of(net: &Net, conv: usize) -> Option<(Activation, Vec<usize>)> {
    let output = net.node(conv)?.output.first()?;
    if let Some(relu) = net.only_user(output, "Relu") {
        return Some((Activation::Relu, vec![relu]));
    }
    let users = net.users(output)?;
    let is_sigmoid = |user: &&usize| net.node(**user).is_some_and(|n| n.op_type == "Sigmoid");
    let Some(&sigmoid) = users.iter().find(is_sigmoid) else {
        return Some((Activation::None, Vec::new()));
    };
    let opened = net.node(sigmoid)?.output.first()?;
    let product = net.only_user(opened, "Mul")?;
    let factors = &net.node(product)?.input;
    let silu = users.len() == 2 && factors.contains(output) && factors.contains(opened);
    silu.then_some((Activation::Silu, vec![sigmoid, product]))
}

/// Strides, pads (top, left, bottom, right) and activation of a Conv as an attribute of ours.
fn geometry(conv: &NodeProto, number: i64, activation: Activation) -> Option<AttributeProto> {
    let list = |name, otherwise: i64, count| {
        attribute(conv, name).unwrap_or_else(|| vec![otherwise; count])
    };
    let (strides, pads) = (list("strides", 1, 2), list("pads", 0, 4));
    let automatic = conv
        .attribute
        .iter()
        .any(|a| a.name == "auto_pad" && !a.s.is_empty() && a.s != b"NOTSET");
    let as_wanted = strides.len() == 2
        && pads.len() == 4
        && !automatic
        && list("group", 1, 1) == [1]
        && list("dilations", 1, 2).iter().all(|&d| d == 1);
    let code = match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        _ => 2,
    };
    let values = [&strides[..], &pads[..], &[code]].concat();
    as_wanted.then(|| integers(&format!("layer{number}"), &values))
}

pub(super) fn build(node: &NodeProto, constants: &Constants) -> Result<Box<dyn Operator>, String> {
    let (height, width) = (required(node, "height")?, required(node, "width")?);
    let mut map = Map {
        height,
        width,
        channels: 1,
    };
    let mut layers = Vec::new();
    let mut at = 1;
    for number in 0..required(node, "layers")? {
        let (layer, after) = Layer::read(node, constants, number, at, map)?;
        (map, at) = (layer.output, after);
        layers.push(layer);
    }
    let rows = [1, map.height, map.channels * map.width];
    let wanted = attribute(node, "rows").unwrap_or_default();
    if !wanted.iter().copied().eq(rows.map(|dim| dim as i64)) {
        return Err(format!("the maps make rows {rows:?}, not {wanted:?}"));
    }
    Ok(Box::new(Convolutions {
        input: [1, height, width],
        layers,
        rows,
    }))
}

/// Size of maps, which lie row by row, position by position, with all channels of a position together.
#[derive(Debug, Clone, Copy)]
struct Map {
    height: usize,
    width: usize,
    channels: usize,
}

impl Map {
    fn size(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// One convolution.
#[derive(Debug)]
struct Layer {
    /// Its input with the borders.
    padded: Map,
    /// Borders above and left.
    border: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    weights: Weights,
    /// Of each channel, for so many positions of a row as [`Weights::together`] says.
    bias: Vec<f32>,
    /// The same of the scales of int8 weights.
    scales: Vec<f32>,
    activation: Activation,
    output: Map,
}

impl Layer {
    /// Layer `number` of a node, whose constants begin at input `weight`, and the input behind them.
    fn read(
        node: &NodeProto,
        constants: &Constants,
        number: usize,
        weight: usize,
        input: Map,
    ) -> Result<(Layer, usize), String> {
        let name = format!("layer{number}");
        let geometry = attribute(node, &name).unwrap_or_default();
        let geometry: Vec<usize> = geometry.iter().map(|&value| value as usize).collect();
        let [down, along, top, left, bottom, right, code] = geometry[..] else {
            return Err(format!("attribute {name} is missing"));
        };
        let shape = constants.shape(node, weight)?;
        let &[outputs, inputs, high, wide] = &shape[..] else {
            return Err(format!("weight of {name} is {shape:?}"));
        };
        let padded = Map {
            height: input.height + top + bottom,
            width: input.width + left + right,
            channels: input.channels,
        };
        if inputs != input.channels
            || padded.height < high
            || padded.width < wide
            || down * along == 0
        {
            return Err(format!("weight of {name} is {shape:?} for maps {input:?}"));
        }
        let output = Map {
            height: (padded.height - high) / down + 1,
            width: (padded.width - wide) / along + 1,
            channels: outputs,
        };
        let weights = Weights::read(node, constants, weight, [outputs, inputs, high * wide])?;
        let together = weights.together(output);
        let scales = weights.scales().repeat(together);
        let bias = weight + 1 + usize::from(!scales.is_empty());
        let layer = Layer {
            padded,
            border: [top, left],
            kernel: [high, wide],
            strides: [down, along],
            weights,
            bias: constants.floats(node, bias)?.repeat(together),
            scales,
            activation: [Activation::None, Activation::Relu, Activation::Silu][code % 3],
            output,
        };
        Ok((layer, bias + 1))
    }

    /// Where row `row` of the input starts within the borders.
    fn start(&self, row: usize) -> usize {
        let Map {
            width, channels, ..
        } = self.padded;
        ((row + self.border[0]) * width + self.border[1]) * channels
    }

    /// Writes the zeros around an input of so many rows and columns, which are written between them.
    fn clear_borders(&self, [height, width]: [usize; 2], map: &mut [f32]) {
        let length = width * self.padded.channels;
        let mut from = 0;
        for row in 0..height {
            let start = self.start(row);
            map[from..start].fill(0.0);
            from = start + length;
        }
        map[from..].fill(0.0);
    }

    /// Row `row` of the output, from the padded input.
    fn convolve(&self, work: &mut Sums, map: &[f32], row: usize, out: &mut [f32]) {
        let across = self.padded.width * self.padded.channels;
        let windows = Left {
            values: &map[row * self.strides[0] * across..],
            stride: self.strides[1] * self.padded.channels,
            segments: self.kernel[0],
            apart: across,
            inner: self.kernel[1] * self.padded.channels,
        };
        let epilogue = Epilogue {
            bias: &self.bias,
            activation: self.activation,
            residual: None,
        };
        match &self.weights {
            Weights::Float(weights) => {
                let size = self.output.width * weights.padded_outputs();
                let sums = room(work.floats, size);
                multiply_float(work.tier, windows, weights, sums);
                epilogue.apply_float(work.tier, self.bias.len(), sums, out);
            }
            Weights::Int8(weights) => {
                let (tier, rows) = (work.tier, &mut *work.rows);
                rows.quantise_windows(windows, self.output.width);
                let sums = multiply(tier, rows, weights, work.integers);
                if self.scales.len() == sums.len() {
                    epilogue.apply_as_one(tier, rows, &self.scales, sums, out);
                } else {
                    epilogue.apply(tier, rows, weights, sums, out);
                }
            }
        }
    }
}

/// Room for the products of a row.
struct Sums<'a> {
    tier: Tier,
    floats: &'a mut Vec<f32>,
    rows: &'a mut Rows,
    integers: &'a mut Vec<i32>,
}

/// Weights with rows by place in the kernel, then by channel.
#[derive(Debug)]
enum Weights {
    Float(FloatWeights),
    /// What they are multiplied with is quantised with a scale for each row of the output.
    Int8(Int8Weights),
}

impl Weights {
    /// The weight of input `at` of a node, `[outputs, inputs, places]`, with the scales behind it if it is int8.
    fn read(
        node: &NodeProto,
        constants: &Constants,
        at: usize,
        shape: [usize; 3],
    ) -> Result<Weights, String> {
        let [outputs, inputs, places] = shape;
        if constants.kind(node, at)? != DataType::Int8 {
            let rows = by_place(&constants.floats(node, at)?, shape);
            let weights = FloatWeights::new(&rows, places * inputs, outputs);
            return Ok(Weights::Float(weights));
        }
        let (bytes, scales) = (constants.bytes(node, at)?, constants.floats(node, at + 1)?);
        if bytes.len() != outputs * inputs * places || scales.len() != outputs {
            return Err(format!(
                "{} bytes and {} scales for {shape:?}",
                bytes.len(),
                scales.len()
            ));
        }
        let rows = by_place(&bytes, shape);
        let weights = Int8Weights::from_bytes(&rows, places * inputs, scales);
        Ok(Weights::Int8(weights))
    }

    /// How many positions of a row of the output lie behind each other without a gap, so that bias and activation can go over
    /// them at once: whole panels leave none, and a position alone is often just two vectors long.
    fn together(&self, output: Map) -> usize {
        let padded = match self {
            Weights::Float(weights) => weights.padded_outputs(),
            Weights::Int8(weights) => weights.padded_outputs(),
        };
        if padded == output.channels {
            output.width
        } else {
            1
        }
    }

    /// Of int8, a scale for each output.
    fn scales(&self) -> &[f32] {
        match self {
            Weights::Float(_) => &[],
            Weights::Int8(weights) => &weights.scales()[..weights.outputs()],
        }
    }
}

/// `[outputs, inputs, places]` as `[places, inputs, outputs]`.
fn by_place<T: Copy>(values: &[T], [outputs, inputs, places]: [usize; 3]) -> Vec<T> {
    let mut rows = Vec::with_capacity(values.len());
    for place in 0..places {
        for input in 0..inputs {
            rows.extend(
                (0..outputs).map(|output| values[(output * inputs + input) * places + place]),
            );
        }
    }
    rows
}

/// Frames `[1, frames, width]` as one map through layers, and the maps as rows `[1, frames', channels · width']`, channel by
/// channel.
#[derive(Debug)]
struct Convolutions {
    input: [usize; 3],
    layers: Vec<Layer>,
    rows: [usize; 3],
}

impl Operator for Convolutions {
    fn name(&self) -> &'static str {
        KIND
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        if input != self.input {
            return Err(format!("the frames are {input:?}, not {:?}", self.input));
        }
        Ok(self.rows.to_vec())
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        width: usize,
        _: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        let Workspace {
            tier,
            rows,
            sums: integers,
            floats: [map, next, floats],
            ..
        } = work;
        let mut work = Sums {
            tier: *tier,
            floats,
            rows,
            integers,
        };
        let Some(first) = self.layers.first() else {
            return;
        };
        map.resize(first.padded.size(), 0.0);
        first.clear_borders([self.input[1], width], map);
        for (number, frame) in inputs[0].chunks_exact(width).enumerate() {
            map[first.start(number)..][..width].copy_from_slice(frame);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let (after, size) = (
                self.layers.get(number + 1),
                layer.output.width * layer.output.channels,
            );
            next.resize(
                after.map_or(layer.output.size(), |after| after.padded.size()),
                0.0,
            );
            if let Some(after) = after {
                after.clear_borders([layer.output.height, layer.output.width], next);
            }
            for row in 0..layer.output.height {
                let start = after.map_or(row * size, |after| after.start(row));
                layer.convolve(&mut work, map, row, &mut next[start..start + size]);
            }
            std::mem::swap(map, next);
        }
        let channels = self.layers.last().map_or(1, |layer| layer.output.channels);
        let outputs = out.chunks_exact_mut(self.rows[2]);
        for (out, row) in outputs.zip(map.chunks_exact(self.rows[2])) {
            let along = row.len() / channels;
            let positions = Matrix {
                values: row,
                stride: channels,
                rows: along,
                columns: channels,
            };
            positions.turn(out, along);
        }
    }
}

#[cfg(test)]
mod tests;
