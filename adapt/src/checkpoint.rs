//! A training that can be ended at any moment and gone on with.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::{Device, Tensor};
use vocar_nlu::adapter::Weights;
use vocar_nlu::encoder::Tensors;

use crate::adamw::Moments;
use crate::corpus::hash;
use crate::learn::Trainer;

/// Where a training leaves how far it is, and of which training that is.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    path: PathBuf,
    /// What was learnt from and how: only the same training goes on.
    training: String,
}

impl Checkpoint {
    /// The checkpoint of a training in a file.
    pub fn new(path: &Path, trainer: &Trainer<'_>) -> Checkpoint {
        let what = format!(
            "{:?}{:?}{:?}{}",
            trainer.corpus().train,
            trainer.corpus().labels,
            trainer.options(),
            trainer.base().identity().sha256
        );
        Checkpoint {
            path: path.to_owned(),
            training: format!("{:016x}", hash(&what)),
        }
    }

    /// Writes how far a training is; what was there before is there until this is whole.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&self, trainer: &Trainer<'_>) -> io::Result<()> {
        let mut file = Weights::default();
        let remarks = [
            ("training", self.training.clone()),
            ("step", trainer.step.to_string()),
            ("spent", trainer.spent.as_secs_f64().to_string()),
        ];
        file.remarks
            .extend(remarks.map(|(name, value)| (name.to_owned(), value)));
        for ((name, var), moments) in trainer.parameters.vars.iter().zip(&trainer.moments) {
            let shape = var.dims().to_vec();
            let values = trainer.parameters.values(name).map_err(io::Error::other)?;
            for (part, values) in [
                ("value", values),
                ("first", moments.first.clone()),
                ("second", moments.second.clone()),
            ] {
                let name = format!("{part}.{name}");
                file.tensors.insert(name, (shape.clone(), values));
            }
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = self.path.with_extension("new");
        let mut out = File::create(&beside)?;
        out.write_all(&file.to_bytes())?;
        out.sync_all()?;
        fs::rename(beside, &self.path)
    }

    /// Goes on where this training stopped, if it did; whether it did. A file of another training, and one that is damaged,
    /// counts for nothing.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub fn resume(&self, trainer: &mut Trainer<'_>) -> candle_core::Result<bool> {
        let Some(found) = self.read(trainer) else {
            return Ok(false);
        };
        let vars = trainer.parameters.vars.values();
        for (var, (values, _)) in vars.zip(&found.tensors) {
            var.set(&Tensor::from_slice(values, var.dims(), &Device::Cpu)?)?;
        }
        trainer.moments = found.tensors.into_iter().map(|(_, m)| m).collect();
        (trainer.step, trainer.spent) = (found.step, found.spent);
        Ok(true)
    }

    fn read(&self, trainer: &Trainer<'_>) -> Option<Found> {
        let tensors = Tensors::read(&self.path).ok()?;
        if tensors.remark("training").ok()? != self.training {
            return None;
        }
        let mut found = Vec::new();
        for (name, var) in &trainer.parameters.vars {
            let part = |part: &str| tensors.floats(&format!("{part}.{name}"), var.dims()).ok();
            let moments = Moments {
                first: part("first")?,
                second: part("second")?,
            };
            found.push((part("value")?, moments));
        }
        let spent: f64 = tensors.remark("spent").ok()?.parse().ok()?;
        Some(Found {
            tensors: found,
            step: tensors.remark("step").ok()?.parse().ok()?,
            spent: Duration::try_from_secs_f64(spent).ok()?,
        })
    }

    /// Takes the file away: the training is over.
    pub fn remove(&self) {
        // What cannot be removed is overwritten by the next training.
        let _ = fs::remove_file(&self.path);
    }
}

/// What a file held.
struct Found {
    tensors: Vec<(Vec<f32>, Moments)>,
    step: usize,
    spent: Duration,
}
