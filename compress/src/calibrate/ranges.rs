//! The file of ranges.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Which range of a tensor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// From the least to the most that was seen: nothing is cut off, one outlier makes all steps coarse.
    Extremes,
    /// What holds so many per cent of the values, as many cut off at each end.
    Percentile,
    /// The threshold with which 8 bits lose least information, by the divergence of Kullback and Leibler (S. Migacz, 8-bit
    /// inference with TensorRT, 2017).
    Entropy,
}

/// Ranges of one tensor: least and most, which hold nought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Layers that it feeds.
    pub layers: Vec<String>,
    /// See [`Choice::Extremes`].
    pub extremes: [f32; 2],
    /// See [`Choice::Percentile`].
    pub percentile: [f32; 2],
    /// See [`Choice::Entropy`].
    pub entropy: [f32; 2],
}

/// What calibration found, as its TOML file holds it: readable, and to be edited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// Runs of the network that were looked at.
    pub runs: usize,
    /// Share of the values that the ranges called percentile hold, per cent.
    pub percentile: f64,
    /// By the name of the tensor.
    pub tensors: BTreeMap<String, Range>,
}

/// Why a file of ranges cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}; `vocar-compress calibrate` writes such files")]
pub struct RangesError {
    /// Which file.
    pub file: String,
    /// What is wrong.
    pub problem: String,
}

impl Ranges {
    /// Reads a file of ranges.
    ///
    /// # Errors
    /// [`RangesError`] when it is not there, is no such file, or a range does not go up from nought or below to nought or above.
    pub fn load(path: &Path) -> Result<Ranges, RangesError> {
        let wrong = |problem: String| RangesError {
            file: path.display().to_string(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let found: Ranges =
            toml::from_str(&text).map_err(|e| wrong(e.to_string().trim().replace('\n', " ")))?;
        for (name, range) in &found.tensors {
            for [low, high] in [range.extremes, range.percentile, range.entropy] {
                if !(low <= 0.0 && 0.0 <= high && (high - low).is_finite()) {
                    let problem =
                        format!("`{name}` has the range {low} to {high}, which does not hold 0");
                    return Err(wrong(problem));
                }
            }
        }
        Ok(found)
    }

    /// The same as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The range of a tensor, least and most, if there is one.
    pub fn get(&self, tensor: &str, choice: Choice) -> Option<[f32; 2]> {
        let range = self.tensors.get(tensor)?;
        Some(match choice {
            Choice::Extremes => range.extremes,
            Choice::Percentile => range.percentile,
            Choice::Entropy => range.entropy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_back_from_their_text_and_wrong_ones_are_refused_by_name() {
        let range = Range {
            layers: vec!["up.product".into()],
            extremes: [-2.5, 3.0],
            percentile: [-2.0, 2.0],
            entropy: [0.0, 1.5],
        };
        let ranges = Ranges {
            runs: 7,
            percentile: 99.99,
            tensors: BTreeMap::from([("block0.norm".into(), range)]),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranges.toml");
        std::fs::write(&path, ranges.to_toml()).unwrap();
        let found = Ranges::load(&path).unwrap();
        assert_eq!(found, ranges);
        assert_eq!(found.get("block0.norm", Choice::Entropy), Some([0.0, 1.5]));
        assert_eq!(found.get("block1.norm", Choice::Entropy), None);
        std::fs::write(&path, ranges.to_toml().replace("-2.5", "2.5")).unwrap();
        let refused = Ranges::load(&path).unwrap_err().to_string();
        assert!(
            refused.contains("ranges.toml") && refused.contains("`block0.norm`"),
            "{refused}"
        );
    }
}
