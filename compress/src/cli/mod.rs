//! The commands: each file has the arguments of one and what it does.

pub mod bench;
pub mod calibrate;
pub mod energy;
pub mod factorise;
pub mod plan;
pub mod prune;
pub mod quantise;
mod reading;
pub mod report;
pub mod restore;
pub mod time;

use std::error::Error;
use std::path::Path;

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};
use vocar_compress::check::{Checked, Second, check};
use vocar_compress::{Report, bundle, read, write};
use vocar_inference::Precision;

use reading::Reading;

/// What a command ends with.
pub type Outcome = Result<(), Box<dyn Error>>;

/// The float network of a file or a bundle.
fn floats(input: &Path) -> Result<ModelProto, Box<dyn Error>> {
    Ok(if input.is_dir() {
        bundle::floats(input)?
    } else {
        read(input)?
    })
}

/// Says what was changed and what was kept.
fn tell(report: &Report) {
    for (layer, reason) in &report.kept {
        println!("kept {layer}: {reason}");
    }
    let (changed, kept) = (report.changed.len(), report.kept.len());
    println!("{changed} layers of {}", changed + kept);
}

/// Where a network goes.
struct Written<'a> {
    /// The file or bundle it was made from.
    input: &'a Path,
    /// A file, or a bundle.
    output: &'a Path,
    /// As which of a bundle's networks; without one, it is the float network of a new bundle.
    precision: Option<Precision>,
    /// It becomes the only network of its bundle, all else of which is that of the input.
    alone: bool,
}

/// Writes a network as a file or into a bundle, says how large it is and whether ONNX Runtime agrees with ours. A network of
/// open shapes cannot run as it is; it is not checked.
fn put(to: &Written, model: &ModelProto, before: usize) -> Result<Option<Checked>, Box<dyn Error>> {
    let output = to.output;
    let file = match to.precision {
        _ if to.alone && !to.input.is_dir() => {
            return Err(format!(
                "{}: --alone makes a bundle of a bundle: give a bundle as input",
                to.input.display()
            )
            .into());
        }
        _ if to.alone => {
            let precision = to.precision.unwrap_or(Precision::F32);
            bundle::derive(to.input, output, precision, model)?
        }
        Some(precision) if output.is_dir() => bundle::add(output, precision, model)?,
        None if to.input.is_dir() && output.extension().is_none_or(|kind| kind != "onnx") => {
            bundle::derive(to.input, output, Precision::F32, model)?
        }
        None if output.is_dir() => {
            return Err(format!(
                "{}: only a bundle becomes a bundle: give a bundle as input, or a .onnx file to write",
                output.display()
            )
            .into());
        }
        _ => {
            write(output, model)?;
            output.to_owned()
        }
    };
    let after = model.encoded_len();
    println!(
        "{}: {before} -> {after} bytes, {:.2} times smaller",
        file.display(),
        before as f64 / after as f64
    );
    if let Some(input) = open_input(model) {
        println!("not checked: the shape of input `{input}` is open");
        return Ok(None);
    }
    let checked = check(&file)?;
    match checked.second {
        Second::Absent => println!("checked: our run time runs it"),
        Second::Apart(apart) => println!(
            "checked: our run time runs it, ONNX Runtime agrees to {:.2} %",
            100.0 * apart
        ),
    }
    Ok(Some(checked))
}

/// The first input with a dimension that has a name and no size.
fn open_input(model: &ModelProto) -> Option<&str> {
    let inputs = model.graph.iter().flat_map(|graph| &graph.input);
    let is_open = |input: &&ValueInfoProto| match input.r#type.as_ref().map(|kind| &kind.value) {
        Some(Some(type_proto::Value::TensorType(tensor))) => {
            let mut sizes = tensor.shape.iter().flat_map(|shape| &shape.dim);
            sizes.any(|size| matches!(size.value, Some(Value::DimParam(_))))
        }
        _ => false,
    };
    inputs
        .into_iter()
        .find(is_open)
        .map(|input| input.name.as_str())
}
