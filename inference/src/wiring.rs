//! Which tensors of a network are the features, the scores and the states.

use crate::engine::{Signature, State};
use crate::manifest::Manifest;

/// An input or output of a network.
pub(crate) struct Port {
    pub name: String,
    /// Or why it cannot be told, a sentence.
    pub shape: Result<Vec<usize>, String>,
}

/// Which input of a network is the features, which output the scores, and how states go round.
pub(crate) struct Wiring {
    pub features: usize,
    pub scores: usize,
    pub states: Vec<StateWire>,
    /// The same for those who know the network by names, in the same order.
    pub named: Vec<State>,
}

/// A state of a network: an input, and the output that is its successor.
pub(crate) struct StateWire {
    pub input: usize,
    pub output: usize,
    pub shape: Vec<usize>,
}

impl Wiring {
    /// Floats in all states.
    pub fn remembered(&self) -> usize {
        self.named.iter().map(State::len).sum()
    }
}

/// Finds every tensor of the contract and checks its type and shape; the error is a sentence.
pub(crate) fn wire(
    inputs: &[Port],
    outputs: &[Port],
    manifest: &Manifest,
) -> Result<(Signature, Wiring), String> {
    let a = &manifest.acoustic;
    let features = position("input", inputs, &a.input)?;
    let scores = position("output", outputs, &a.output)?;
    let found = inputs[features].shape.clone()?;
    let wanted = [1, a.frames_per_step(), manifest.features.mels];
    if found != wanted {
        return Err(format!(
            "input `{}` is {found:?}, the manifest makes it {wanted:?}",
            a.input
        ));
    }
    let found = outputs[scores].shape.clone()?;
    let [1, chunk, columns] = found[..] else {
        return Err(format!(
            "output `{}` is {found:?}, it should be [1, {}, columns]",
            a.output, a.chunk
        ));
    };
    if chunk != a.chunk || columns == 0 || columns % 2 != 0 {
        return Err(format!(
            "output `{}` is {found:?}, it should be [1, {}, an even number of columns]",
            a.output, a.chunk
        ));
    }
    let states = wire_states(inputs, outputs, manifest, features, scores)?;
    let named = |wire: &StateWire| State {
        input: inputs[wire.input].name.clone(),
        output: outputs[wire.output].name.clone(),
        shape: wire.shape.clone(),
    };
    let signature = Signature {
        frames: wanted[1],
        mels: wanted[2],
        chunk,
        columns,
    };
    Ok((
        signature,
        Wiring {
            features,
            scores,
            named: states.iter().map(named).collect(),
            states,
        },
    ))
}

/// Every input but the features is a state, and every output but the scores its successor.
fn wire_states(
    inputs: &[Port],
    outputs: &[Port],
    manifest: &Manifest,
    features: usize,
    scores: usize,
) -> Result<Vec<StateWire>, String> {
    let a = &manifest.acoustic;
    let mut states = Vec::new();
    for (input, port) in inputs.iter().enumerate().filter(|(ix, _)| *ix != features) {
        let name = &port.name;
        let suffix = name.strip_prefix(&a.state_prefix).ok_or_else(|| {
            format!(
                "input `{name}` is neither `{}` nor starts with `{}`",
                a.input, a.state_prefix
            )
        })?;
        let successor = format!("{}{suffix}", a.next_prefix);
        let output = position("output", outputs, &successor)?;
        let shape = port.shape.clone()?;
        let next = outputs[output].shape.clone()?;
        if shape != next {
            return Err(format!(
                "`{name}` is {shape:?} but `{successor}` is {next:?}"
            ));
        }
        states.push(StateWire {
            input,
            output,
            shape,
        });
    }
    let used = |ix: usize| ix == scores || states.iter().any(|state| state.output == ix);
    match (0..outputs.len()).find(|ix| !used(*ix)) {
        None => Ok(states),
        Some(ix) => Err(format!(
            "output `{}` belongs to no state input",
            outputs[ix].name
        )),
    }
}

fn position(what: &str, ports: &[Port], wanted: &str) -> Result<usize, String> {
    let found = ports.iter().position(|port| port.name == wanted);
    found.ok_or_else(|| {
        let there: Vec<&str> = ports.iter().map(|port| &*port.name).collect();
        format!("there is no {what} `{wanted}` among {}", there.join(", "))
    })
}
