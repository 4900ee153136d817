//! What of a network can be taken out: heads, units of feed-forward layers, channels of gated convolutions.
//!
//! The parts are found by what the nodes do, not by their names. Each comes with the edits that make it narrower.

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::Structure;
use super::index::{Index, integers, other, place};

/// A row of like groups, any of which can go: heads of an attention, units of a feed-forward layer, channels of a convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub name: String,
    pub groups: usize,
    /// Products that read the groups, by the number of their node.
    pub readers: Vec<usize>,
    /// All that shrinks with it, the readers' weights too.
    pub edits: Vec<Edit>,
}

/// Something whose size is a multiple of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// Constant of floats at this input of a node: along the axis lie so many rows of all the groups.
    Floats {
        node: usize,
        input: usize,
        axis: usize,
        rows: usize,
    },
    /// Constant of integers at this input of a node: this element, or each, is a multiple of the groups.
    Integers {
        node: usize,
        input: usize,
        at: Option<usize>,
    },
    /// A tensor that is fed in or given out, with the groups along this axis.
    Outside { tensor: String, axis: usize },
    /// The attribute `group` of a convolution.
    Group { node: usize },
}

/// All parts of a kind, in the network's order; an error names a layer that is one but looks unlike what we know, and says how.
pub(super) fn parts(
    graph: &GraphProto,
    structure: Structure,
) -> Vec<Result<Part, (String, String)>> {
    let index = Index::of(graph);
    let numbers = |kind: &'static str| {
        let nodes = graph.node.iter().enumerate();
        nodes.filter_map(move |(number, node)| (node.op_type == kind).then_some(number))
    };
    let named = |number: usize, found: Result<Part, String>| {
        found.map_err(|problem| (label(index.node(number)), problem))
    };
    match structure {
        Structure::Heads => numbers("Softmax")
            .filter(|&softmax| user_is(&index, softmax, "MatMul"))
            .map(|softmax| named(softmax, attention(&index, softmax)))
            .collect(),
        Structure::Ffn => numbers("MatMul")
            .filter_map(|product| feed_forward(&index, product))
            .map(Ok)
            .collect(),
        Structure::Channels => numbers("Conv")
            .filter(|&conv| group(index.node(conv)) > 1)
            .map(|conv| named(conv, convolution(&index, conv)))
            .collect(),
        // They are no rows of like groups: `layers` finds them.
        Structure::Layers => Vec::new(),
    }
}

fn label(node: &NodeProto) -> String {
    match (&*node.name, node.output.first()) {
        ("", Some(output)) => output.clone(),
        (name, _) => name.to_owned(),
    }
}

fn user_is(index: &Index, number: usize, kind: &str) -> bool {
    let output = index.node(number).output.first();
    output.is_some_and(|output| index.user(output, kind).is_ok())
}

/// The attribute `group` of a convolution, 1 where there is none.
fn group(node: &NodeProto) -> i64 {
    let attribute = node.attribute.iter().find(|one| one.name == "group");
    attribute.map_or(1, |attribute| attribute.i)
}

/// What names of nodes have in common, up to a dot.
pub(super) fn common(names: &[&str]) -> String {
    let Some((first, rest)) = names.split_first() else {
        return String::new();
    };
    let alike = |length: &usize| rest.iter().all(|name| name.starts_with(&first[..=*length]));
    let dots = first.match_indices('.').map(|(at, _)| at);
    let longest = dots.filter(alike).max();
    longest.map_or_else(|| (*first).to_owned(), |length| first[..length].to_owned())
}

/// The product with a constant matrix behind a tensor, and the sum with a constant bias after it, if any.
struct Layer {
    product: usize,
    /// Node and which of its inputs.
    bias: Option<(usize, usize)>,
    outputs: usize,
}

impl Layer {
    fn before(index: &Index, tensor: &str) -> Result<Layer, String> {
        let sum = index.made(tensor, "Add").ok();
        let bias = sum.and_then(|sum| {
            let constants = index.node(sum).input.iter();
            let at = constants.clone().position(|one| index.is_constant(one))?;
            Some((sum, at))
        });
        let from = match bias {
            Some((sum, at)) => &*index.node(sum).input[1 - at],
            None => tensor,
        };
        let product = index.made(from, "MatMul")?;
        let &[_, outputs] = weight(index, product)? else {
            return Err(format!("`{from}` is no product with a constant matrix"));
        };
        Ok(Layer {
            product,
            bias,
            outputs: outputs as usize,
        })
    }

    /// Edits of its outputs, which are so many rows of all groups.
    fn edits(&self, rows: usize) -> impl Iterator<Item = Edit> {
        let bias = self.bias.map(|(node, input)| Edit::Floats {
            node,
            input,
            axis: 0,
            rows,
        });
        let columns = Edit::Floats {
            node: self.product,
            input: 1,
            axis: 1,
            rows,
        };
        [Some(columns), bias].into_iter().flatten()
    }
}

/// Shape of the constant matrix of a product.
fn weight<'a>(index: &Index<'a>, product: usize) -> Result<&'a [i64], String> {
    let node = index.node(product);
    let shape = node.input.get(1).and_then(|weight| index.floats(weight));
    match shape {
        Some(shape) if shape.len() == 2 => Ok(shape),
        _ => Err(format!(
            "`{}` is no product with a constant matrix of floats",
            label(node)
        )),
    }
}

/// The product that alone reads a tensor, and the edit of its rows.
fn reader(index: &Index, tensor: &str) -> Result<(usize, Edit), String> {
    let product = index.user(tensor, "MatMul")?;
    weight(index, product)?;
    Ok((product, rows_of(product)))
}

fn rows_of(product: usize) -> Edit {
    Edit::Floats {
        node: product,
        input: 1,
        axis: 0,
        rows: 1,
    }
}

/// The newest frames of a tensor that starts with frames kept from before, and the edits of what is kept; a tensor that
/// remembers nothing is its own newest.
fn newest<'a>(index: &Index<'a>, joined: &'a str) -> Result<(&'a str, Vec<Edit>), String> {
    let Ok(concat) = index.made(joined, "Concat") else {
        return Ok((joined, Vec::new()));
    };
    let [state, newest] = &index.node(concat).input[..] else {
        return Err(format!("`{joined}` does not join two tensors"));
    };
    if !index.is_fed(state) {
        return Err(format!("`{state}` is no input of the network"));
    }
    let slice = index
        .users(joined)
        .iter()
        .find(|&&user| index.node(user).op_type == "Slice");
    let successor = slice.and_then(|&slice| index.node(slice).output.first());
    let successor = successor.filter(|tensor| index.is_result(tensor));
    let successor = successor.ok_or_else(|| format!("`{joined}` leaves no state for later"))?;
    let edits = [state, successor].map(|tensor| Edit::Outside {
        tensor: tensor.clone(),
        axis: 1,
    });
    Ok((newest.as_str(), edits.into()))
}

/// Queries, keys and values from one product, heads along axis 1, keys and values with frames kept from before or without, and
/// a bias for each head or one mask for all.
fn attention(index: &Index, softmax: usize) -> Result<Part, String> {
    let input = |number: usize, which: usize| -> Result<&str, String> {
        let tensor = index.node(number).input.get(which);
        tensor
            .map(String::as_str)
            .ok_or_else(|| format!("`{}` has no input {which}", label(index.node(number))))
    };
    let output = |number: usize| &*index.node(number).output[0];
    let biased = index.made(input(softmax, 0)?, "Add")?;
    let scores = index.made(input(biased, 0)?, "MatMul")?;
    let scaled = index.made(input(scores, 0)?, "Mul")?;
    let turned_keys = index.made(input(scores, 1)?, "Transpose")?;
    let mixed = index.user(output(softmax), "MatMul")?;
    let back = index.user(output(mixed), "Transpose")?;
    let flat = index.user(output(back), "Reshape")?;
    let (out, out_rows) = reader(index, output(flat))?;
    let (keys, kept_keys) = newest(index, input(turned_keys, 0)?)?;
    let (values, kept_values) = newest(index, input(mixed, 1)?)?;
    let split = index.made(input(scaled, 0)?, "Split")?;
    let [q, k, v] = &index.node(split).output[..] else {
        return Err("queries, keys and values do not come from one Split".into());
    };
    if [input(scaled, 0)?, keys, values] != [q, k, v] {
        return Err("queries, keys and values do not come from one Split".into());
    }
    let turned = index.made(input(split, 0)?, "Transpose")?;
    let reshaped = index.made(input(turned, 0)?, "Reshape")?;
    let qkv = Layer::before(index, input(reshaped, 0)?)?;
    let numbers = |node: usize| -> Result<Vec<i64>, String> {
        let tensor = input(node, 1)?;
        let constant = index.constant(tensor);
        constant
            .map(integers)
            .ok_or_else(|| format!("`{tensor}` is no constant"))
    };
    let shape = numbers(reshaped)?;
    let bias = input(biased, 1)?;
    // A mask that is fed in is the same for all heads.
    let (heads, own_bias) = match (index.floats(bias), index.is_fed(bias)) {
        (Some(&[1, heads, _, _]), _) => (heads, true),
        (None, true) => (shape.get(2).map_or(0, |all| all / 3), false),
        (found, _) => {
            return Err(format!(
                "the bias of the scores is {found:?}, not [1, heads, queries, keys], and no mask that is fed in"
            ));
        }
    };
    if shape.get(2) != Some(&(3 * heads)) || numbers(split)? != [heads; 3] {
        return Err(format!(
            "it is cut to {shape:?}, which is not three times {heads} heads"
        ));
    }
    if numbers(flat)?.len() != 3 || qkv.outputs as i64 != 3 * heads * shape[3] {
        return Err("its heads are not put together as they were cut".into());
    }
    let own = [
        Edit::Integers {
            node: reshaped,
            input: 1,
            at: Some(2),
        },
        Edit::Integers {
            node: split,
            input: 1,
            at: None,
        },
        Edit::Integers {
            node: flat,
            input: 1,
            at: Some(2),
        },
        out_rows,
    ];
    let bias_rows = Edit::Floats {
        node: biased,
        input: 1,
        axis: 1,
        rows: 1,
    };
    Ok(Part {
        name: common(&[&label(index.node(qkv.product)), &label(index.node(out))]),
        groups: heads as usize,
        readers: vec![out],
        edits: qkv
            .edits(3)
            .chain(own)
            .chain(own_bias.then_some(bias_rows))
            .chain(kept_keys)
            .chain(kept_values)
            .collect(),
    })
}

/// A gate, a convolution with a group a channel, an activation and the product that reads it.
fn convolution(index: &Index, conv: usize) -> Result<Part, String> {
    let node = index.node(conv);
    let channels = group(node);
    let [joined, kernel, bias @ ..] = &node.input[..] else {
        return Err("it has no kernel".into());
    };
    if !matches!(index.floats(kernel), Some([count, 1, _]) if *count == channels) {
        return Err(format!(
            "its kernel is {:?}, not one row for each channel",
            index.floats(kernel)
        ));
    }
    let (newest, kept) = newest(index, joined)?;
    let turned = index.made(newest, "Transpose")?;
    let gated = index.made(&index.node(turned).input[0], "Mul")?;
    let open = index.node(gated).input.iter();
    let sigmoid = open
        .filter_map(|tensor| index.made(tensor, "Sigmoid").ok())
        .next();
    let sigmoid = sigmoid.ok_or("there is no gate before it")?;
    let split = index.made(&index.node(sigmoid).input[0], "Split")?;
    let gate = Layer::before(index, &index.node(split).input[0])?;
    if gate.outputs as i64 != 2 * channels {
        return Err(format!(
            "its gate has {} outputs for {channels} channels",
            gate.outputs
        ));
    }
    let activated = activation_after(index, &node.output[0])?;
    let back = index.user(activated, "Transpose")?;
    let (out, out_rows) = reader(index, &index.node(back).output[0])?;
    let own = (0..bias.len() + 1).map(|at| Edit::Floats {
        node: conv,
        input: 1 + at,
        axis: 0,
        rows: 1,
    });
    let sizes = Edit::Integers {
        node: split,
        input: 1,
        at: None,
    };
    Ok(Part {
        name: common(&[&label(index.node(gate.product)), &label(index.node(out))]),
        groups: channels as usize,
        readers: vec![out],
        edits: gate
            .edits(2)
            .chain(own)
            .chain([sizes, Edit::Group { node: conv }, out_rows])
            .chain(kept)
            .collect(),
    })
}

/// What an activation makes of a tensor: ReLU, or the tensor times its sigmoid.
fn activation_after<'a>(index: &Index<'a>, tensor: &str) -> Result<&'a str, String> {
    if let Ok(relu) = index.user(tensor, "Relu") {
        return Ok(&index.node(relu).output[0]);
    }
    let users = index.users(tensor);
    let sigmoid = users
        .iter()
        .find(|&&user| index.node(user).op_type == "Sigmoid");
    let opened = sigmoid.map(|&sigmoid| &*index.node(sigmoid).output[0]);
    let silu = opened.and_then(|opened| index.user(opened, "Mul").ok().map(|silu| (opened, silu)));
    match silu {
        Some((opened, silu))
            if users.len() == 2 && other(index.node(silu), opened).is_some_and(|x| x == tensor) =>
        {
            Ok(&index.node(silu).output[0])
        }
        _ => Err(format!(
            "`{tensor}` goes through neither SiLU nor ReLU alone"
        )),
    }
}

/// From a product through operators that treat each unit alone, at least one of them no straight line, to products.
fn feed_forward(index: &Index, product: usize) -> Option<Part> {
    let &[_, width] = weight(index, product).ok()? else {
        return None;
    };
    let mut walk = Walk {
        index,
        width,
        inside: HashSet::new(),
        nodes: Vec::new(),
        readers: Vec::new(),
        bent: false,
    };
    let mut next = vec![&*index.node(product).output[0]];
    while let Some(tensor) = next.pop() {
        next.extend(walk.step(tensor)?);
    }
    let mut edits = walk.edits()?;
    edits.push(Edit::Floats {
        node: product,
        input: 1,
        axis: 1,
        rows: 1,
    });
    edits.extend(walk.readers.iter().map(|&reader| rows_of(reader)));
    let names = [product].into_iter().chain(walk.readers.iter().copied());
    let names: Vec<String> = names.map(|number| label(index.node(number))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (walk.bent && !walk.readers.is_empty()).then(|| Part {
        name: common(&names),
        groups: width as usize,
        readers: walk.readers,
        edits,
    })
}

/// A walk over tensors whose last axis are the units of one feed-forward layer.
struct Walk<'i, 'a> {
    index: &'i Index<'a>,
    width: i64,
    inside: HashSet<&'a str>,
    nodes: Vec<usize>,
    readers: Vec<usize>,
    bent: bool,
}

impl<'a> Walk<'_, 'a> {
    /// The tensors that come next after one; `None` when it goes where units do not stay alone.
    fn step(&mut self, tensor: &'a str) -> Option<Vec<&'a str>> {
        if self.index.is_result(tensor) || !self.inside.insert(tensor) {
            return (!self.index.is_result(tensor)).then(Vec::new);
        }
        let mut next = Vec::new();
        for &user in self.index.users(tensor) {
            let node = self.index.node(user);
            match &*node.op_type {
                "Sigmoid" | "Relu" | "Tanh" | "Gelu" | "Erf" => self.bent = true,
                "Add" | "Sub" | "Mul" | "Div" => {}
                "MatMul" if place(node, tensor) == Some(0) => {
                    weight(self.index, user).ok()?;
                    self.readers.push(user);
                    continue;
                }
                _ => return None,
            }
            if !self.nodes.contains(&user) {
                self.nodes.push(user);
                next.push(&*node.output[0]);
            }
        }
        Some(next)
    }

    /// Edits of the constants on the way; `None` when something else than constants and units comes in.
    fn edits(&self) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        for &number in &self.nodes {
            for (at, input) in self.index.node(number).input.iter().enumerate() {
                if self.inside.contains(&**input) {
                    continue;
                }
                let shape = self.index.floats(input)?;
                let (count, last) = (shape.iter().product::<i64>(), shape.last());
                if count == self.width && last == Some(&self.width) {
                    edits.push(Edit::Floats {
                        node: number,
                        input: at,
                        axis: shape.len() - 1,
                        rows: 1,
                    });
                } else if count != 1 {
                    return None;
                }
            }
        }
        Some(edits)
    }
}
