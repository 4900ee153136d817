//! Constant matrix products in low precision.
//!
//! int8 is written as DynamicQuantizeLinear, MatMulInteger, Cast and Mul, whose activations are quantised while the network
//! runs, or, with ranges found by [`crate::calibrate`], as QuantizeLinear and DequantizeLinear around the product. int4 is
//! MatMulNBits of the domain `com.microsoft`, in groups of 32 inputs. Weights are symmetric, with a scale for each output
//! channel, or as a [`Form`] says. In 16 bits a weight is stored as half floats with a Cast, and the product is computed in
//! floats. What is no product with a constant matrix stays as it is; [`crate::halves`] makes it smaller, too.

mod dynamic;
mod fixed;
mod form;
mod grid;

pub use form::{Activations, Form, FormError, Granularity, Method};
pub(crate) use grid::int8;

use std::collections::HashSet;

use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto};

use crate::halves::halve;
use crate::products::{Layer, Matrix, Report, RewriteError, Work, rewrite};
use fixed::Fixed;
use grid::GROUP;

const MICROSOFT: &str = "com.microsoft";

/// Bits of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// Half floats.
    Sixteen,
    /// A scale for each output channel.
    Eight,
    /// A scale for each 32 inputs of an output channel.
    Four,
}

/// Writes every product with a constant matrix in fewer bits but those whose name contains one of `keep`.
///
/// # Errors
/// [`RewriteError`]; the network is then unchanged.
pub fn quantise<'a>(
    model: &mut ModelProto,
    form: impl Into<Form<'a>>,
    keep: &[String],
) -> Result<Report, RewriteError> {
    let form = form.into();
    let kept = |layer: &str| keep.iter().any(|part| layer.contains(part));
    quantise_each(model, |layer| (!kept(layer)).then_some(form))
}

impl Layer {
    /// Bytes of its weights with their scales, in float when no bits are given.
    pub fn bytes(&self, bits: Option<Bits>) -> usize {
        let count = self.inputs * self.outputs;
        match bits {
            None => 4 * count,
            Some(Bits::Sixteen) => 2 * count,
            Some(Bits::Eight) => count + 4 * self.outputs,
            Some(Bits::Four) => count / 2 + 4 * count.div_ceil(GROUP),
        }
    }

    /// Whether its inputs are whole groups, as int4 wants them.
    pub fn fits_int4(&self) -> bool {
        self.inputs.is_multiple_of(GROUP)
    }
}

/// Quantises each product with a constant matrix in the form that `choose` says for its name, if any.
///
/// # Errors
/// [`RewriteError`]; the network is then unchanged.
pub fn quantise_each<'a, F: Into<Form<'a>>>(
    model: &mut ModelProto,
    choose: impl Fn(&str) -> Option<F>,
) -> Result<Report, RewriteError> {
    let found = opset(model);
    let mut four = false;
    let mut stored_halves = HashSet::new();
    let report = rewrite(model, |work, node, weight| {
        let Some(form) = choose(&node.name) else {
            return Ok(Some("asked for".into()));
        };
        let form = form.into();
        let is_four = matches!(form, Form::Int4 { .. });
        if is_four && weight.inputs % GROUP != 0 {
            let inputs = weight.inputs;
            return Ok(Some(format!(
                "{inputs} inputs are no whole groups of {GROUP}"
            )));
        }
        let needed = oldest_opset(&form);
        if found < needed {
            return Err(RewriteError::Opset { found, needed });
        }
        let weight = weight.read()?;
        write(work, node, &weight, form)?;
        four |= is_four;
        if let Form::Half = form {
            stored_halves.insert(weight.name);
        }
        Ok(None)
    })?;
    if let Some(graph) = &mut model.graph {
        halve(graph, |weight| stored_halves.contains(&weight.name));
    }
    if four && model.opset_import.iter().all(|set| set.domain != MICROSOFT) {
        model.opset_import.push(OperatorSetIdProto {
            domain: MICROSOFT.into(),
            version: 1,
        });
    }
    Ok(report)
}

/// Writes the nodes and constants that take a product's place; half floats are stored when all layers are done.
fn write(
    work: &mut Work,
    node: &NodeProto,
    weight: &Matrix,
    form: Form,
) -> Result<(), RewriteError> {
    match form {
        Form::Half => work.nodes.push(node.clone()),
        Form::Int4 { method } => dynamic::write_int4(work, node, weight, method),
        Form::Int8 {
            method,
            granularity,
            activations: Activations::Dynamic,
        } => dynamic::write_int8(work, node, weight, method, granularity),
        Form::Int8 {
            method,
            granularity,
            activations:
                Activations::Static {
                    ranges,
                    choice,
                    method: covered,
                },
        } => {
            let input = &node.input[0];
            let missing = || RewriteError::Calibration {
                layer: node.name.clone(),
                tensor: input.clone(),
            };
            let fixed = Fixed {
                range: ranges.get(input, choice).ok_or_else(missing)?,
                method: covered,
            };
            fixed::write_int8(work, node, weight, method, granularity, &fixed);
        }
    }
    Ok(())
}

/// Version of ONNX's own operators that a network asks for.
fn opset(model: &ModelProto) -> i64 {
    let own = |set: &&OperatorSetIdProto| set.domain.is_empty() || set.domain == "ai.onnx";
    model
        .opset_import
        .iter()
        .find(own)
        .map_or(0, |set| set.version)
}

/// The first version that has the operators of a form: MatMulInteger came with 10, DynamicQuantizeLinear with 11, an axis for
/// DequantizeLinear with 13.
fn oldest_opset(form: &Form) -> i64 {
    match form {
        Form::Half | Form::Int4 { .. } => 9,
        Form::Int8 {
            activations: Activations::Dynamic,
            ..
        } => 11,
        Form::Int8 { .. } => 13,
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::GraphProto;
    use tract_onnx::pb::tensor_proto::DataType;

    use super::*;
    use crate::calibrate::{Choice, Ranges};
    use crate::products::{floats, operator};

    /// One product of `x` with 32 by 2 floats.
    fn one_layer(opset: i64) -> ModelProto {
        let mut node = operator("MatMul", &["x", "w"], &["y"]);
        node.name = "layer".into();
        let values: Vec<f32> = (0..64).map(|n| (n as f32 * 0.7).sin()).collect();
        ModelProto {
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: opset,
            }],
            graph: Some(GraphProto {
                node: vec![node],
                initializer: vec![floats("w", &[32, 2], &values)],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    fn fixed(ranges: &Ranges) -> Form<'_> {
        Form::Int8 {
            method: Method::Symmetric,
            granularity: Granularity::Channel,
            activations: Activations::Static {
                ranges,
                choice: Choice::Extremes,
                method: Method::Asymmetric,
            },
        }
    }

    #[test]
    fn a_network_without_products_is_refused() {
        let mut model = ModelProto {
            graph: Some(GraphProto::default()),
            ..ModelProto::default()
        };
        let refused = quantise(&mut model, Bits::Eight, &[])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("no product"), "{refused}");
    }

    #[test]
    fn a_layer_without_a_range_is_named_and_the_network_stays() {
        let mut model = one_layer(17);
        let refused = quantise(&mut model, fixed(&Ranges::default()), &[])
            .unwrap_err()
            .to_string();
        let parts = [
            "missing calibration",
            "`layer`",
            "`x`",
            "vocar-compress calibrate",
        ];
        assert!(parts.iter().all(|part| refused.contains(part)), "{refused}");
        assert_eq!(model, one_layer(17));
    }

    #[test]
    fn an_opset_without_the_operators_is_refused() {
        let ranges = Ranges::default();
        for (form, opset) in [(Form::from(Bits::Eight), 10), (fixed(&ranges), 12)] {
            let refused = quantise(&mut one_layer(opset), form, &[])
                .unwrap_err()
                .to_string();
            assert!(refused.contains(&format!("opset {opset}")), "{refused}");
        }
    }

    #[test]
    fn a_weight_of_another_shape_than_its_values_is_refused_by_name() {
        let mut model = one_layer(17);
        model.graph.as_mut().unwrap().initializer[0].dims = vec![32, 3];
        let refused = quantise(&mut model, Bits::Four, &[])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("`w`"), "{refused}");
    }

    #[test]
    fn zero_points_are_written_where_they_are_asked_for() {
        let kinds = |form: Form<'_>| {
            let mut model = one_layer(17);
            quantise(&mut model, form, &[]).unwrap();
            let graph = model.graph.unwrap();
            let zero = graph.initializer.iter().find(|c| c.name == "w.zero");
            zero.map(|zero| {
                let any = zero.raw_data.iter().any(|&byte| byte != 0);
                (zero.data_type, zero.dims.clone(), any)
            })
        };
        let dynamic = |method, granularity| Form::Int8 {
            method,
            granularity,
            activations: Activations::Dynamic,
        };
        let int8 = DataType::Int8 as i32;
        let (one, each) = (Granularity::Tensor, Granularity::Channel);
        assert_eq!(
            kinds(dynamic(Method::Asymmetric, each)),
            Some((int8, vec![2], true))
        );
        let whole = kinds(dynamic(Method::Asymmetric, one));
        assert_eq!(whole.map(|(_, shape, _)| shape), Some(vec![]));
        assert_eq!(kinds(dynamic(Method::Symmetric, each)), None);
        assert_eq!(kinds(Form::from(Bits::Four)), None);
        let four = kinds(Form::Int4 {
            method: Method::Asymmetric,
        });
        assert_eq!(four, Some((DataType::Uint8 as i32, vec![2], true)));
    }
}
