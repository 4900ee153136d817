//! Operators of ours inside a network that tract runs: where not all of its chains are known to us.

use std::cell::RefCell;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::operator::{Operator, Past, Workspace};
use super::{KINDS, build, graph::Constants};
use crate::gemm::Tier;

/// Teaches a parser our kinds of nodes.
pub(super) fn register(onnx: &mut Onnx) {
    for (kind, _) in KINDS {
        onnx.op_register.insert(kind, parse);
    }
}

fn parse(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let graph = context.model.graph.as_ref().context("a graph")?;
    let operator = build(node, &Constants::of(graph)).map_err(TractError::msg)?;
    Ok((
        expand(Ours {
            operator: operator.into(),
        }),
        vec![],
    ))
}

/// An operator as one of tract's, which hands states in and out.
#[derive(Debug, Clone)]
struct Ours {
    operator: Arc<dyn Operator>,
}

fn concrete(shape: &[TDim]) -> TractResult<Vec<usize>> {
    shape.iter().map(|dim| Ok(dim.to_usize()?)).collect()
}

fn dims(shape: &[usize]) -> TVec<TDim> {
    shape.iter().map(|dim| dim.to_dim()).collect()
}

impl Expansion for Ours {
    fn name(&self) -> StaticName {
        self.operator.name().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(1 + self.operator.states().len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let (count, states) = (self.operator.inputs(), self.operator.states());
        ensure!(inputs.len() >= count + states.len(), "too few inputs");
        check_output_arity(outputs, 1 + states.len())?;
        for (n, state) in states.iter().enumerate() {
            s.equals(&inputs[count + n].shape, dims(state))?;
            s.equals(&outputs[1 + n].shape, dims(state))?;
        }
        for tensor in inputs[..count + states.len()].iter().chain(outputs) {
            s.equals(&tensor.datum_type, f32::datum_type())?;
        }
        s.given(&inputs[0].shape, move |s, shape| {
            let shape = concrete(&shape)?;
            let output = self.operator.output(&shape).map_err(TractError::msg)?;
            let beside = self.operator.beside(&shape).map_err(TractError::msg)?;
            for more in &inputs[1..count] {
                s.equals(&more.shape, dims(&beside))?;
            }
            s.equals(&outputs[0].shape, dims(&output))
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let count = self.operator.inputs() + self.operator.states().len();
        model.wire_node(prefix, self.clone(), &inputs[..count])
    }
}

impl PartialEq for Ours {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.operator, &other.operator)
    }
}

impl Eq for Ours {}

impl Op for Ours {
    fn name(&self) -> StaticName {
        self.operator.name().into()
    }

    op_as_typed_op!();
}

impl EvalOp for Ours {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        thread_local! {
            static WORK: RefCell<Workspace> = RefCell::new(Workspace::new(Tier::best()));
        }
        let shape = self.operator.output(inputs[0].shape());
        let shape = shape.map_err(TractError::msg)?;
        let values = inputs.iter().map(|input| floats(input));
        let values = values.collect::<TractResult<TVec<&[f32]>>>()?;
        let (values, states) = values.split_at(self.operator.inputs());
        let mut past: Past = self.operator.past();
        self.operator.import(states, &mut past);
        let mut out = vec![0.0; shape.iter().product()];
        let width = inputs[0].shape().last().copied().unwrap_or(1);
        WORK.with_borrow_mut(|work| self.operator.run(values, width, &mut past, &mut out, work));
        let mut next: Vec<Vec<f32>> = states.iter().map(|state| state.to_vec()).collect();
        let mut successors: Vec<&mut [f32]> = next.iter_mut().map(|next| &mut next[..]).collect();
        self.operator.export(&past, &mut successors);
        let mut outputs = tvec!(Tensor::from_shape(&shape, &out)?.into());
        for (values, shape) in next.iter().zip(self.operator.states()) {
            outputs.push(Tensor::from_shape(&shape, values)?.into());
        }
        Ok(outputs)
    }
}

impl TypedOp for Ours {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = concrete(&inputs[0].shape.to_tvec())?;
        let output = self.operator.output(&shape).map_err(TractError::msg)?;
        let beside = self.operator.beside(&shape).map_err(TractError::msg)?;
        for input in &inputs[1..self.operator.inputs()] {
            ensure!(
                input.shape.as_concrete() == Some(&beside),
                "an input of the shape {:?} instead of {beside:?}",
                input.shape
            );
        }
        let states = self.operator.states();
        let shapes = std::iter::once(output).chain(states);
        Ok(shapes.map(|shape| f32::fact(&shape[..])).collect())
    }
}

/// The floats of a tensor.
fn floats(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}
