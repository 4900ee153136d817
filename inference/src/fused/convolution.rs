//! Convolutions over time and frequency, one behind the other.

use tract_onnx::pb::{AttributeProto, NodeProto, tensor_proto::DataType};

use super::graph::{Constants, Net, attribute, integer, integers, new_node, required};
use super::operator::{Operator, Past, Workspace};
use super::turn::Matrix;
use crate::gemm::{Activation, Epilogue, FloatWeights, Left, Tier, multiply_float};

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
    let mut channels = 1;
    while let Some(conv) = net.only_user(maps, "Conv") {
        let [_, weight, bias] = &net.node(conv)?.input[..] else {
            return None;
        };
        let (&[outputs, inner, ..], DataType::Float) = net.constant(weight)? else {
            return None;
        };
        if inner != channels || net.constant(bias)? != (&[outputs][..], DataType::Float) {
            return None;
        }
        let (activation, users) = activation_of(net, conv)?;
        attributes.push(geometry(net.node(conv)?, inputs.len() / 2, activation)?);
        nodes.push(conv);
        nodes.extend(users);
        maps = net.node(*nodes.last()?)?.output.first()?;
        inputs.extend([&**weight, &**bias]);
        channels = outputs;
    }
    let turned = net.only_user(maps, "Transpose")?;
    let flat = net.only_user(net.node(turned)?.output.first()?, "Reshape")?;
    let [_, shape] = &net.node(flat)?.input[..] else {
        return None;
    };
    let rows = net.integers(shape)?;
    let as_wanted = attribute(net.node(turned)?, "perm")? == [0, 2, 1, 3]
        && matches!(rows[..], [1, _, columns] if columns % channels == 0 && columns > 0)
        && inputs.len() > 1;
    if !as_wanted {
        return None;
    }
    nodes.extend([turned, flat]);
    attributes.push(integer("layers", (inputs.len() / 2) as i64));
    attributes.push(integers("rows", &rows));
    let output = net.node(flat)?.output.first()?;
    Some((nodes, new_node(KIND, &inputs, &[output], attributes)))
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
fn geometry(conv: &NodeProto, number: usize, activation: Activation) -> Option<AttributeProto> {
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
    for number in 0..required(node, "layers")? {
        let layer = Layer::read(node, constants, number, map)?;
        map = layer.output;
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
    /// Rows by place in the kernel, then by channel.
    weights: FloatWeights,
    /// Of each channel, for so many positions of a row as [`Layer::together`] says.
    bias: Vec<f32>,
    activation: Activation,
    output: Map,
}

impl Layer {
    fn read(
        node: &NodeProto,
        constants: &Constants,
        number: usize,
        input: Map,
    ) -> Result<Layer, String> {
        let name = format!("layer{number}");
        let geometry = attribute(node, &name).unwrap_or_default();
        let geometry: Vec<usize> = geometry.iter().map(|&value| value as usize).collect();
        let [down, along, top, left, bottom, right, code] = geometry[..] else {
            return Err(format!("attribute {name} is missing"));
        };
        let weight = 1 + 2 * number;
        let shape = constants.shape(node, weight)?;
        let &[outputs, inputs, high, wide] = &shape[..] else {
            return Err(format!("weight {number} is {shape:?}"));
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
            return Err(format!("weight {number} is {shape:?} for maps {input:?}"));
        }
        let values = constants.floats(node, weight)?;
        let mut rows = Vec::with_capacity(values.len());
        for place in 0..high * wide {
            for input in 0..inputs {
                let of = |output: usize| values[(output * inputs + input) * high * wide + place];
                rows.extend((0..outputs).map(of));
            }
        }
        let output = Map {
            height: (padded.height - high) / down + 1,
            width: (padded.width - wide) / along + 1,
            channels: outputs,
        };
        let weights = FloatWeights::new(&rows, high * wide * inputs, outputs);
        let together = Layer::together(&weights, output);
        Ok(Layer {
            padded,
            border: [top, left],
            kernel: [high, wide],
            strides: [down, along],
            weights,
            bias: constants.floats(node, weight + 1)?.repeat(together),
            activation: [Activation::None, Activation::Relu, Activation::Silu][code % 3],
            output,
        })
    }

    /// How many positions of a row of the output lie behind each other without a gap, so that bias and activation can go over
    /// them at once: whole panels leave none, and a position alone is often just two vectors long.
    fn together(weights: &FloatWeights, output: Map) -> usize {
        if weights.padded_outputs() == output.channels {
            output.width
        } else {
            1
        }
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
    fn convolve(&self, tier: Tier, map: &[f32], row: usize, sums: &mut Vec<f32>, out: &mut [f32]) {
        let across = self.padded.width * self.padded.channels;
        let left = Left {
            values: &map[row * self.strides[0] * across..],
            stride: self.strides[1] * self.padded.channels,
            segments: self.kernel[0],
            apart: across,
            inner: self.kernel[1] * self.padded.channels,
        };
        sums.resize(self.output.width * self.weights.padded_outputs(), 0.0);
        multiply_float(tier, left, &self.weights, sums);
        let epilogue = Epilogue {
            bias: &self.bias,
            activation: self.activation,
            residual: None,
        };
        epilogue.apply_float(tier, self.bias.len(), sums, out);
    }
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
            floats: [map, next, sums],
            ..
        } = work;
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
                layer.convolve(*tier, map, row, sums, &mut next[start..start + size]);
            }
            std::mem::swap(map, next);
        }
        let channels = self.layers.last().map_or(1, |layer| layer.output.channels);
        let rows = out.chunks_exact_mut(self.rows[2]);
        for (out, row) in rows.zip(map.chunks_exact(self.rows[2])) {
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
