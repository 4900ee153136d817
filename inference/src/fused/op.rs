//! What every operator of ours needs to be one of tract's.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

/// Implements the traits of a tract operator for a type with `name()`, `run(inputs)` and `facts(inputs)`, and without state.
macro_rules! tract_op {
    ($op:ty) => {
        impl PartialEq for $op {
            fn eq(&self, other: &Self) -> bool {
                std::ptr::eq(self, other)
            }
        }

        impl Eq for $op {}

        impl Op for $op {
            fn name(&self) -> StaticName {
                <$op>::NAME.into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $op {
            op_out_of_plan!();

            fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                self.run(inputs)
            }
        }

        impl TypedOp for $op {
            as_op!();

            fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                self.facts(inputs)
            }
        }
    };
}

/// The floats of a tensor, to write to; for use inside one statement.
macro_rules! floats_mut {
    ($tensor:expr) => {
        $tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?
    };
}

/// The floats of a tensor.
pub(super) fn floats(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

/// The value of an input that has to be constant.
pub(super) fn constant(
    prefix: &str,
    model: &TypedModel,
    inputs: &[OutletId],
    input: usize,
) -> TractResult<Arc<Tensor>> {
    let value = model.outlet_fact(inputs[input])?.konst.clone();
    value.with_context(|| format!("input {input} of {prefix} is no constant"))
}

pub(super) use {floats_mut, tract_op};
