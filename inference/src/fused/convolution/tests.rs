//! A convolution in int8 against its definition.

use proptest::prelude::*;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType};

use super::*;
use crate::fused::graph::Constants;

/// Frames, mel bands, channels between the layers, stride of the second along time, bands that are left of 9 by two strides of 2.
const FRAMES: usize = 9;
const BANDS: usize = 9;
const INNER: usize = 3;
const STEP: usize = 3;
const LEFT: usize = 3;

fn tensor(name: &str, kind: DataType, dims: &[usize], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: kind as i32,
        raw_data,
        ..TensorProto::default()
    }
}

fn floats(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    tensor(name, DataType::Float, dims, bytes.collect())
}

fn shape(name: &str, dims: &[i64]) -> TensorProto {
    let bytes = dims.iter().flat_map(|dim| dim.to_le_bytes());
    tensor(name, DataType::Int64, &[dims.len()], bytes.collect())
}

fn conv(inputs: &[&str], output: &str, strides: [i64; 2]) -> NodeProto {
    let attributes = vec![
        integers("strides", &strides),
        integers("pads", &[0, 1, 0, 1]),
    ];
    new_node("Conv", inputs, &[output], attributes)
}

/// Two layers with kernels of 3 by 3, the first of floats that hands on its input, with what the second of them holds.
struct Case {
    integers: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn new(outputs: usize, seed: usize) -> Case {
        let wave = |n: usize| ((n + 11 * seed) as f32 * 0.7).sin();
        Case {
            integers: (0..outputs * INNER * 9)
                .map(|n| (127.0 * wave(n)) as i8)
                .collect(),
            scales: (0..outputs).map(|n| 0.02 + 0.01 * wave(n)).collect(),
            bias: (0..outputs).map(wave).collect(),
        }
    }

    fn outputs(&self) -> usize {
        self.scales.len()
    }

    fn graph(&self) -> GraphProto {
        let outputs = self.outputs();
        // Channel c hands on the band c - 1 places away.
        let mut first = vec![0.0; INNER * 9];
        for channel in 0..INNER {
            first[channel * 9 + 3 + channel] = 1.0;
        }
        let bytes = self.integers.iter().map(|&integer| integer as u8).collect();
        let rows = [1, ((FRAMES - 4) / STEP + 1) as i64, (outputs * LEFT) as i64];
        GraphProto {
            node: vec![
                new_node("Reshape", &["frames", "map"], &["maps"], vec![]),
                new_node(
                    "DequantizeLinear",
                    &["w.int8", "w.scale"],
                    &["w"],
                    vec![integer("axis", 0)],
                ),
                conv(&["maps", "first", "zeros"], "between", [1, 2]),
                conv(&["between", "w", "bias"], "sums", [STEP as i64, 2]),
                new_node("Relu", &["sums"], &["positive"], vec![]),
                new_node(
                    "Transpose",
                    &["positive"],
                    &["turned"],
                    vec![integers("perm", &[0, 2, 1, 3])],
                ),
                new_node("Reshape", &["turned", "rows"], &["out"], vec![]),
            ],
            initializer: vec![
                shape("map", &[1, 1, FRAMES as i64, BANDS as i64]),
                shape("rows", &rows),
                floats("first", &[INNER, 1, 3, 3], &first),
                floats("zeros", &[INNER], &[0.0; INNER]),
                tensor("w.int8", DataType::Int8, &[outputs, INNER, 3, 3], bytes),
                floats("w.scale", &[outputs], &self.scales),
                floats("bias", &[outputs], &self.bias),
            ],
            output: vec![ValueInfoProto {
                name: "out".into(),
                ..ValueInfoProto::default()
            }],
            ..GraphProto::default()
        }
    }

    /// `[rows, channels, bands]`: what the first layer makes of the frames is rounded to 127 steps of the largest value that a row
    /// of the output is made of.
    fn wanted(&self, frames: &[f32]) -> Vec<f32> {
        const WIDE: usize = BANDS.div_ceil(2);
        let between = |row: usize, band: usize, channel: usize| {
            let from = (2 * band + channel).checked_sub(1);
            let from = from.filter(|&from| from < BANDS);
            from.map_or(0.0, |from| frames[(row + 1) * BANDS + from])
        };
        let mut wanted = Vec::new();
        for row in (0..FRAMES - 4).step_by(STEP) {
            let mut highest = 0.0f32;
            for (down, band, channel) in
                (0..3).flat_map(|d| (0..WIDE).flat_map(move |b| (0..INNER).map(move |c| (d, b, c))))
            {
                highest = highest.max(between(row + down, band, channel).abs());
            }
            for output in 0..self.outputs() {
                for band in 0..LEFT {
                    let mut sum = 0;
                    for channel in 0..INNER {
                        for place in 0..9 {
                            let Some(along) = (2 * band + place % 3)
                                .checked_sub(1)
                                .filter(|&along| along < WIDE)
                            else {
                                continue;
                            };
                            let value = between(row + place / 3, along, channel);
                            let rounded = (value * (127.0 / highest)).round_ties_even() as i32;
                            let weight = self.integers[(output * INNER + channel) * 9 + place];
                            sum += rounded * i32::from(weight);
                        }
                    }
                    let value =
                        sum as f32 * (highest / 127.0 * self.scales[output]) + self.bias[output];
                    wanted.push(value.max(0.0));
                }
            }
        }
        wanted
    }
}

fn fused(mut graph: GraphProto) -> GraphProto {
    let mut net = Net::of(&mut graph);
    fuse(&mut net);
    net.write(&mut graph);
    graph
}

proptest! {
    #[test]
    fn int8_is_multiplied_as_it_is_on_every_tier(outputs in 1usize..36, seed in 0usize..1000) {
        let case = Case::new(outputs, seed);
        let graph = fused(case.graph());
        let kinds: Vec<&str> = graph.node.iter().map(|node| &*node.op_type).collect();
        prop_assert_eq!(kinds, [KIND]);
        let operator = build(&graph.node[0], &Constants::of(&graph)).unwrap();
        let frames: Vec<f32> = (0..FRAMES * BANDS).map(|n| 4.0 * ((n + seed) as f32 * 1.3).sin() - 1.0).collect();
        let wanted = case.wanted(&frames);
        let mut first: Option<Vec<f32>> = None;
        for tier in Tier::available() {
            let (mut out, mut work) = (vec![f32::NAN; wanted.len()], Workspace::new(tier));
            operator.run(&[&frames], BANDS, &mut Past::default(), &mut out, &mut work);
            for (found, wanted) in out.iter().zip(&wanted) {
                prop_assert!((found - wanted).abs() <= 1e-5 * (1.0 + wanted.abs()), "{} {} {}", tier, found, wanted);
            }
            let first = first.get_or_insert_with(|| out.clone());
            prop_assert_eq!(&out, first, "{}", tier);
        }
    }
}

#[test]
fn a_weight_whose_scales_are_of_inputs_is_left_alone() {
    let mut graph = Case::new(INNER, 1).graph();
    graph.node[1].attribute = vec![integer("axis", 1)];
    let kinds: Vec<String> = fused(graph)
        .node
        .into_iter()
        .map(|node| node.op_type)
        .collect();
    assert!(!kinds.iter().any(|kind| kind == KIND), "{kinds:?}");
}
