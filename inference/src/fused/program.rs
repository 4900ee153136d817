//! A network of our operators alone, run in order over memory that is laid out once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto,
};

use super::graph::Constants;
use super::linear::Linear;
use super::operator::{Operator, Past, Workspace};
use super::overlay::{LowRank, Overlay, OverlayError};
use super::{KINDS, build};
use crate::gemm::Tier;

/// Most inputs of an operator that are no constants and no states.
const MOST_INPUTS: usize = 2;

/// An input or output of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
}

/// Floats in one of a stream's buffers, so many for each of the stream's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    buffer: usize,
    size: usize,
}

impl Place {
    /// The floats of so many items.
    fn of(self, buffers: &[Vec<f32>], items: usize) -> &[f32] {
        &buffers[self.buffer][..self.size * items]
    }
}

/// Where an input or output of the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Buffer(Place),
    /// So many-eth state of a step.
    State(usize, usize),
}

#[derive(Debug, Clone)]
struct Step {
    /// Shared with programs that differ in other steps.
    operator: Arc<dyn Operator>,
    inputs: Vec<Place>,
    /// Last axis of the first input.
    width: usize,
    output: Place,
}

/// A network whose nodes are all ours, with its weights.
///
/// One whose operators all [take any number of rows](Program::takes_any_rows) may be built for sentences of one word, the
/// *item*, and run for any number of them: buffers grow, weights are the same.
#[derive(Debug)]
pub(crate) struct Program {
    steps: Vec<Step>,
    /// Length of each buffer.
    buffers: Vec<usize>,
    inputs: Vec<(Tensor, Port)>,
    outputs: Vec<(Tensor, Port)>,
}

/// What one stream through a [`Program`] remembers, and room to work in.
pub(crate) struct Stream {
    /// How many times the shapes of the program the tensors are long; one but for sentences.
    items: usize,
    pasts: Vec<Past>,
    buffers: Vec<Vec<f32>>,
    work: Workspace,
}

impl Clone for Stream {
    /// The same past, and fresh room to work in.
    fn clone(&self) -> Stream {
        Stream {
            items: self.items,
            pasts: self.pasts.clone(),
            buffers: self.buffers.clone(),
            work: Workspace::new(self.work.tier),
        }
    }
}

impl Stream {
    /// Forgets all that was heard.
    pub fn reset(&mut self) {
        for past in &mut self.pasts {
            past.values.fill(0.0);
            past.oldest = 0;
        }
    }
}

impl Program {
    /// Whether its shapes are those of one item of any number.
    pub fn takes_any_rows(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.all(|step| step.operator.takes_any_rows())
    }

    /// The layer of constant weights that each step is, if it is one.
    pub fn linears(&self) -> impl Iterator<Item = Option<&Linear>> {
        self.steps.iter().map(|step| step.operator.linear())
    }

    /// The same network with an overlay in its weights. All other layers are shared.
    pub fn merged(&self, overlay: &Overlay) -> Result<Program, OverlayError> {
        let lows = overlay.steps(self).ok_or(OverlayError::Foreign)?;
        let mut steps = self.steps.clone();
        for (step, low) in steps.iter_mut().zip(lows) {
            if let (Some(linear), Some(low)) = (step.operator.linear(), low) {
                step.operator = Arc::new(linear.merged(low));
            }
        }
        Ok(Program {
            steps,
            buffers: self.buffers.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        })
    }

    /// Room for so many items in a stream, and its tensors of that length from now on. Allocates when it was never as long.
    pub fn resize(&self, stream: &mut Stream, items: usize) {
        stream.items = items;
        for (buffer, size) in stream.buffers.iter_mut().zip(&self.buffers) {
            if buffer.len() < size * items {
                buffer.resize(size * items, 0.0);
            }
        }
    }

    /// Whether a stream has this program's buffers.
    pub fn fits(&self, stream: &Stream) -> bool {
        let sizes = self.buffers.iter().map(|size| size * stream.items);
        self.buffers.len() == stream.buffers.len()
            && self.steps.len() == stream.pasts.len()
            && stream
                .buffers
                .iter()
                .zip(sizes)
                .all(|(buffer, size)| buffer.len() >= size)
    }

    /// Whether a graph that was [fused](super::fuse) can be a program: all of its nodes are ours, no shape is open, and what
    /// goes into an operator that keeps states goes nowhere else.
    pub fn suits(graph: &GraphProto) -> bool {
        let ours = |node: &NodeProto| KINDS.iter().any(|(known, _)| *known == node.op_type);
        let constants: HashSet<&String> = graph.initializer.iter().map(|c| &c.name).collect();
        let made: HashSet<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
        let mut uses: HashMap<&String, usize> = HashMap::new();
        for input in graph.node.iter().flat_map(|node| &node.input) {
            *uses.entry(input).or_default() += 1;
        }
        let computes =
            |node: &NodeProto| node.input.first().is_some_and(|i| !constants.contains(i));
        let keeps_to_itself = |node: &NodeProto| {
            let once = |input: &String| {
                made.contains(input) || constants.contains(input) || uses[input] == 1
            };
            node.output.len() == 1 || node.input.iter().all(once)
        };
        let closed = |info: &ValueInfoProto| shape_of(info).is_some_and(|shape| !shape.is_empty());
        graph
            .node
            .iter()
            .all(|node| ours(node) && computes(node) && keeps_to_itself(node))
            && inputs(graph).all(closed)
            && graph
                .output
                .iter()
                .all(|output| closed(output) && made.contains(&output.name))
    }

    /// The program of a graph that [suits](Program::suits). Each constant is let go as soon as the last node that uses it has
    /// packed it. The error, for a node of ours that is wrong, is a sentence.
    pub fn of(mut graph: GraphProto) -> Result<Program, String> {
        graph.input = inputs(&graph).cloned().collect();
        let mut constants = Store::of(&mut graph);
        let mut nodes = Vec::new();
        for node in &graph.node {
            let operator = build(node, &Constants::among(node, &constants.tensors))?;
            constants.used_by(node);
            let (inputs, states) = (operator.inputs(), operator.states().len());
            if node.input.len() < inputs + states
                || node.output.len() != 1 + states
                || inputs > MOST_INPUTS
            {
                return Err(format!("{}: inputs or outputs are missing", node.name));
            }
            nodes.push(Node {
                operator,
                inputs: &node.input[..inputs],
                states: &node.input[inputs..inputs + states],
                output: &node.output[0],
                successors: &node.output[1..],
            });
        }
        let layout = Layout::of(&graph, &nodes);
        let program = layout.and_then(|layout| layout.program(&graph, nodes));
        program.ok_or_else(|| "the inputs and outputs of its nodes do not fit together".into())
    }

    /// The network's inputs, states among them, in its order.
    pub fn inputs(&self) -> impl Iterator<Item = &Tensor> {
        self.inputs.iter().map(|(tensor, _)| tensor)
    }

    /// The network's outputs, successors of states among them, in its order.
    pub fn outputs(&self) -> impl Iterator<Item = &Tensor> {
        self.outputs.iter().map(|(tensor, _)| tensor)
    }

    /// How often each operator occurs.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            *counts.entry(step.operator.name().to_owned()).or_default() += 1;
        }
        counts
    }

    /// A stream whose states are all zeros.
    pub fn stream(&self) -> Stream {
        Stream {
            items: 1,
            pasts: self.steps.iter().map(|step| step.operator.past()).collect(),
            buffers: self.buffers.iter().map(|&size| vec![0.0; size]).collect(),
            work: Workspace::new(Tier::best()),
        }
    }

    /// Where the values of an input go that is no state.
    pub fn input<'a>(&self, stream: &'a mut Stream, number: usize) -> Option<&'a mut [f32]> {
        match self.inputs.get(number)?.1 {
            Port::Buffer(place) => {
                Some(&mut stream.buffers[place.buffer][..place.size * stream.items])
            }
            Port::State(..) => None,
        }
    }

    /// The values of an output that is no state's successor.
    pub fn output<'a>(&self, stream: &'a Stream, number: usize) -> Option<&'a [f32]> {
        match self.outputs.get(number)?.1 {
            Port::Buffer(place) => Some(place.of(&stream.buffers, stream.items)),
            Port::State(..) => None,
        }
    }

    /// One step: from the inputs as they were written to the outputs, and the states to their successors.
    pub fn step(&self, stream: &mut Stream) {
        self.step_with(stream, &[]);
    }

    /// The same with low-rank additions to steps: as many as there are steps, or none.
    pub fn step_with(&self, stream: &mut Stream, lows: &[Option<LowRank>]) {
        let Stream {
            items,
            pasts,
            buffers,
            work,
        } = stream;
        for (number, (step, past)) in self.steps.iter().zip(pasts).enumerate() {
            // Taken out, so that the others can be read meanwhile.
            let mut out = std::mem::take(&mut buffers[step.output.buffer]);
            let mut inputs: [&[f32]; MOST_INPUTS] = [&[]; MOST_INPUTS];
            for (input, place) in inputs.iter_mut().zip(&step.inputs) {
                *input = place.of(buffers, *items);
            }
            let inputs = &inputs[..step.inputs.len()];
            let written = &mut out[..step.output.size * *items];
            let low = lows.get(number).and_then(Option::as_ref);
            match step.operator.linear().filter(|_| low.is_some()) {
                Some(linear) => linear.apply(inputs, low, written, work),
                None => step.operator.run(inputs, step.width, past, written, work),
            }
            buffers[step.output.buffer] = out;
        }
    }

    /// Writes all inputs, states among them.
    ///
    /// # Panics
    /// When a length is not that of its shape.
    pub fn write(&self, stream: &mut Stream, inputs: &[Vec<f32>]) {
        for (number, values) in inputs.iter().enumerate() {
            if let Some(input) = self.input(stream, number) {
                input.copy_from_slice(values);
            }
        }
        for (number, step) in self.steps.iter().enumerate() {
            let mut states: Vec<&[f32]> = vec![&[]; step.operator.states().len()];
            for ((_, port), values) in self.inputs.iter().zip(inputs) {
                if let Port::State(of, which) = port
                    && *of == number
                {
                    states[*which] = values;
                }
            }
            step.operator.import(&states, &mut stream.pasts[number]);
        }
    }

    /// Reads all outputs, successors of states among them.
    pub fn read(&self, stream: &Stream) -> Vec<Vec<f32>> {
        let mut states: Vec<Vec<Vec<f32>>> = Vec::new();
        for (step, past) in self.steps.iter().zip(&stream.pasts) {
            let shapes = step.operator.states();
            let sizes = shapes.iter().map(|shape| shape.iter().product::<usize>());
            let mut values: Vec<Vec<f32>> = sizes.map(|size| vec![0.0; size]).collect();
            let mut slices: Vec<&mut [f32]> = values.iter_mut().map(|v| &mut v[..]).collect();
            step.operator.export(past, &mut slices);
            states.push(values);
        }
        let value = |(_, port): &(Tensor, Port)| match port {
            Port::Buffer(place) => place.of(&stream.buffers, stream.items).to_vec(),
            Port::State(step, which) => std::mem::take(&mut states[*step][*which]),
        };
        self.outputs.iter().map(value).collect()
    }
}

/// Constants that wait to be packed.
struct Store {
    tensors: HashMap<String, TensorProto>,
    /// Nodes that are still to come, of each.
    uses: HashMap<String, usize>,
}

impl Store {
    /// Takes the constants of a graph.
    fn of(graph: &mut GraphProto) -> Store {
        let mut uses: HashMap<String, usize> = HashMap::new();
        for input in graph.node.iter().flat_map(|node| &node.input) {
            *uses.entry(input.clone()).or_default() += 1;
        }
        let tensors = std::mem::take(&mut graph.initializer).into_iter();
        Store {
            tensors: tensors.map(|t| (t.name.clone(), t)).collect(),
            uses,
        }
    }

    /// Lets go what was for this node alone.
    fn used_by(&mut self, node: &NodeProto) {
        for input in &node.input {
            if let Some(uses) = self.uses.get_mut(input) {
                *uses -= 1;
                if *uses == 0 {
                    self.tensors.remove(input);
                }
            }
        }
    }
}

/// A node on its way into a program.
struct Node<'a> {
    operator: Box<dyn Operator>,
    inputs: &'a [String],
    states: &'a [String],
    output: &'a str,
    successors: &'a [String],
}

/// Where every tensor of a graph is.
struct Layout<'a> {
    places: HashMap<&'a str, Place>,
    shapes: HashMap<&'a str, Vec<usize>>,
    buffers: Vec<usize>,
    /// The states and their successors.
    states: HashMap<&'a str, (usize, usize)>,
    successors: HashMap<&'a str, (usize, usize)>,
}

impl<'a> Layout<'a> {
    fn of(graph: &'a GraphProto, nodes: &[Node<'a>]) -> Option<Layout<'a>> {
        let mut layout = Layout {
            places: HashMap::new(),
            shapes: HashMap::new(),
            buffers: Vec::new(),
            states: HashMap::new(),
            successors: HashMap::new(),
        };
        for (number, node) in nodes.iter().enumerate() {
            for (which, (state, next)) in node.states.iter().zip(node.successors).enumerate() {
                if layout.states.insert(state, (number, which)).is_some() {
                    return None;
                }
                layout.successors.insert(next, (number, which));
            }
        }
        for input in inputs(graph) {
            let shape = shape_of(input)?;
            if !layout.states.contains_key(&*input.name) {
                let buffer = layout.buffer(shape.iter().product(), &mut Vec::new());
                layout.places.insert(&input.name, buffer);
            }
            layout.shapes.insert(&input.name, shape);
        }
        layout.place(graph, nodes)?;
        Some(layout)
    }

    /// Gives every output of a node a buffer; one whose tensor nobody needs any more is used again.
    fn place(&mut self, graph: &'a GraphProto, nodes: &[Node<'a>]) -> Option<()> {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (number, node) in nodes.iter().enumerate() {
            last.extend(node.inputs.iter().map(|input| (&**input, number)));
        }
        let results: HashSet<&str> = graph.output.iter().map(|output| &*output.name).collect();
        let fixed: HashSet<&str> = inputs(graph).map(|input| &*input.name).collect();
        let mut free = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let shapes = &self.shapes;
            let first = shapes.get(&*node.inputs[0])?;
            let shape = node.operator.output(first).ok()?;
            let beside = node.operator.beside(first).ok()?;
            for more in &node.inputs[1..] {
                if shapes.get(&**more)? != &beside {
                    return None;
                }
            }
            for (state, wanted) in node.states.iter().zip(node.operator.states()) {
                if shapes.get(&**state)? != &wanted {
                    return None;
                }
            }
            let place = self.buffer(shape.iter().product(), &mut free);
            self.places.insert(node.output, place);
            self.shapes.insert(node.output, shape);
            let done = |input: &&str| {
                last[input] == number && !results.contains(input) && !fixed.contains(input)
            };
            let mut inputs: Vec<&str> = node.inputs.iter().map(|input| &**input).collect();
            inputs.dedup();
            for input in inputs.into_iter().filter(done) {
                free.push(self.places.get(input)?.buffer);
            }
        }
        Some(())
    }

    /// A buffer of at least so many floats, of the free ones if there is one.
    fn buffer(&mut self, size: usize, free: &mut Vec<usize>) -> Place {
        let buffer = free.pop().unwrap_or_else(|| {
            self.buffers.push(0);
            self.buffers.len() - 1
        });
        self.buffers[buffer] = self.buffers[buffer].max(size);
        Place { buffer, size }
    }

    fn program(self, graph: &GraphProto, nodes: Vec<Node>) -> Option<Program> {
        let port = |name: &str, states: &HashMap<&str, (usize, usize)>| match states.get(name) {
            Some(&(step, which)) => Some(Port::State(step, which)),
            None => self.places.get(name).map(|&place| Port::Buffer(place)),
        };
        let mut inputs_of = Vec::new();
        for input in inputs(graph) {
            inputs_of.push((tensor(input)?, port(&input.name, &self.states)?));
        }
        let mut outputs = Vec::new();
        for output in &graph.output {
            outputs.push((tensor(output)?, port(&output.name, &self.successors)?));
        }
        let place = |name: &String| self.places.get(&**name).copied();
        let mut steps = Vec::new();
        for node in nodes {
            steps.push(Step {
                inputs: node.inputs.iter().map(place).collect::<Option<_>>()?,
                width: *self.shapes.get(&*node.inputs[0])?.last()?,
                output: *self.places.get(node.output)?,
                operator: node.operator.into(),
            });
        }
        Some(Program {
            steps,
            buffers: self.buffers,
            inputs: inputs_of,
            outputs,
        })
    }
}

/// Inputs of a graph that are no constants.
fn inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|c| &*c.name).collect();
    let inputs = graph.input.iter();
    inputs.filter(move |input| !constants.contains(&*input.name))
}

fn tensor(info: &ValueInfoProto) -> Option<Tensor> {
    Some(Tensor {
        name: info.name.clone(),
        shape: shape_of(info)?,
    })
}

/// The shape of floats, unless it is open.
fn shape_of(info: &ValueInfoProto) -> Option<Vec<usize>> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    let dims = tensor
        .shape
        .as_ref()?
        .dim
        .iter()
        .map(|dim| match dim.value {
            Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        });
    let floats = tensor.elem_type == tract_onnx::pb::tensor_proto::DataType::Float as i32;
    floats.then(|| dims.collect()).flatten()
}
