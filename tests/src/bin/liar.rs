//! `vocar-accel` with a fault: what an accelerator that goes wrong looks like to the daemon.
//!
//! It computes with ONNX Runtime like the real one. After `VOCAR_LIAR_STEPS` steps it does what `VOCAR_LIAR_FAULT` says:
//! `swap` hands out the scores of one phone for another's, probabilities all the same; `quiet` hears nothing but
//! silence; `noise` leaves numbers that are no probabilities; `nan` leaves no numbers at all in a state; `talk` prints to standard output, once, which does no harm.

use vocar_accel::onnxruntime::OnnxRuntime;
use vocar_accel::{Backend, Loaded, Part, Plan, ServeError, SharedMemory, Tensor, serve};

/// A log probability next to nought.
const IMPOSSIBLE: f32 = -30.0;

struct Liar {
    honest: OnnxRuntime,
    memory: SharedMemory,
    scores: Tensor,
    state: Tensor,
    left: u64,
    fault: String,
}

impl Backend for Liar {
    fn load(plan: &Plan, memory: SharedMemory) -> Result<(Self, Loaded), String> {
        let variable = |name: &str| std::env::var(name).map_err(|e| format!("{name}: {e}"));
        let left = variable("VOCAR_LIAR_STEPS")?.parse();
        let again = memory.descriptor().and_then(SharedMemory::open);
        let (honest, loaded) = OnnxRuntime::load(plan, memory)?;
        let liar = Liar {
            honest,
            memory: again.map_err(|e| e.to_string())?,
            scores: plan.outputs[0].clone(),
            state: plan.outputs[1].clone(),
            left: left.map_err(|_| "VOCAR_LIAR_STEPS is no number")?,
            fault: variable("VOCAR_LIAR_FAULT")?,
        };
        Ok((liar, loaded))
    }

    fn step(&mut self) -> Result<(), String> {
        self.honest.step()?;
        if self.left > 0 {
            self.left -= 1;
            return Ok(());
        }
        let mut scores = vec![0.0; self.scores.len()];
        let read = self.memory.read(self.scores.offset, &mut scores);
        let columns = self.scores.shape.last().copied().unwrap_or(1);
        let done = match &*self.fault {
            "swap" => {
                scores.chunks_mut(columns).for_each(<[f32]>::reverse);
                self.memory.write(self.scores.offset, &scores)
            }
            "quiet" => {
                for row in scores.chunks_mut(columns) {
                    row.fill(IMPOSSIBLE);
                    row[0] = 0.0;
                }
                self.memory.write(self.scores.offset, &scores)
            }
            "noise" => {
                scores.fill(0.5);
                self.memory.write(self.scores.offset, &scores)
            }
            "nan" => self.memory.write(self.state.offset, &[f32::NAN]),
            "talk" => {
                println!("a library that talks too much");
                self.left = u64::MAX;
                true
            }
            other => return Err(format!("VOCAR_LIAR_FAULT={other} is no fault")),
        };
        (read && done)
            .then_some(())
            .ok_or_else(|| "nothing fits".into())
    }

    fn parts(&mut self) -> Result<Vec<Part>, String> {
        self.honest.parts()
    }
}

fn main() -> Result<(), ServeError> {
    serve::<Liar>()
}
