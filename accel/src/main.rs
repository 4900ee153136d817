//! `vocar-accel`: runs the acoustic network on an accelerator for `vocard` and `vocar`, which start it. Exit codes: 0 the
//! daemon is gone, 1 it was started by something else or the channel broke.

use std::process::ExitCode;

use vocar_accel::onnxruntime::OnnxRuntime;
use vocar_accel::serve;

fn main() -> ExitCode {
    match serve::<OnnxRuntime>() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vocar-accel: {error}");
            ExitCode::FAILURE
        }
    }
}
