//! Tensors of a safetensors file: an 8-byte length, a JSON header, then the values as they lie in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The remarks of a file stand under this name in its header.
const REMARKS: &str = "__metadata__";
/// No header is longer; what claims to be is no such file.
const LONGEST_HEADER: usize = 1 << 20;

/// A file that holds something else than it should.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, a sentence whose subject is the file.
    pub problem: String,
}

/// A file's tensors and remarks.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    header: BTreeMap<String, Entry>,
    remarks: BTreeMap<String, String>,
    body: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Tensors {
    /// Reads a file and checks that every tensor lies inside it and has as many bytes as its shape says.
    ///
    /// # Errors
    /// [`BadFile`] says what is wrong.
    pub fn read(path: &Path) -> Result<Tensors, BadFile> {
        let bytes = fs::read(path).map_err(|e| bad(path, format!("cannot be read ({e})")))?;
        Self::parse(path, &bytes)
    }

    /// The same from the bytes of a file that was read; `path` is its name in errors.
    ///
    /// # Errors
    /// As [`Tensors::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Tensors, BadFile> {
        let bad = |problem: String| bad(path, problem);
        let short = || bad("is cut off in its header".into());
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > LONGEST_HEADER || length > rest.len() {
            return Err(short());
        }
        let (header, body) = rest.split_at(length);
        let mut header: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(header).map_err(|e| bad(format!("has a bad header ({e})")))?;
        let remarks = header.remove(REMARKS).map(serde_json::from_value);
        let remarks = remarks
            .transpose()
            .map_err(|e| bad(format!("has odd remarks ({e})")))?
            .unwrap_or_default();
        let entry = |(name, value): (String, serde_json::Value)| {
            let entry: Entry = serde_json::from_value(value)
                .map_err(|e| bad(format!("describes `{name}` badly ({e})")))?;
            let [from, to] = entry.data_offsets;
            let count = entry
                .shape
                .iter()
                .try_fold(1usize, |all, size| all.checked_mul(*size));
            let bytes = count.and_then(|count| count.checked_mul(width(&entry.dtype)?));
            if from > to || to > body.len() || bytes != Some(to - from) {
                return Err(bad(format!("is cut off or damaged at `{name}`")));
            }
            Ok((name, entry))
        };
        Ok(Tensors {
            path: path.to_owned(),
            header: header.into_iter().map(entry).collect::<Result<_, _>>()?,
            remarks,
            body: body.to_vec(),
        })
    }

    /// Names of the tensors with their shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let entries = self.header.iter();
        entries.map(|(name, entry)| (name.as_str(), &entry.shape[..]))
    }

    /// This file, with what is wrong with it.
    pub fn bad(&self, problem: String) -> BadFile {
        bad(&self.path, problem)
    }

    /// A remark of the file.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn remark(&self, name: &str) -> Result<&str, BadFile> {
        let remark = self.remarks.get(name).map(String::as_str);
        remark.ok_or_else(|| bad(&self.path, format!("has no remark `{name}`")))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.header.contains_key(name)
    }

    /// A tensor of halves or floats of this shape, as finite floats.
    ///
    /// # Errors
    /// When it is absent, of another shape or type, or not finite.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BadFile> {
        let (dtype, bytes) = self.tensor(name, shape)?;
        let values: Vec<f32> = match dtype {
            "F16" => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| widened(*b))
                .collect(),
            "F32" => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
            _ => {
                return Err(bad(
                    &self.path,
                    format!("holds `{name}` as {dtype}, not F16 or F32"),
                ));
            }
        };
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        Err(bad(
            &self.path,
            format!("holds values in `{name}` that are no numbers"),
        ))
    }

    /// A tensor of bytes with a sign, of this shape.
    ///
    /// # Errors
    /// When it is absent or of another shape or type.
    pub fn integers(&self, name: &str, shape: &[usize]) -> Result<Vec<i8>, BadFile> {
        match self.tensor(name, shape)? {
            ("I8", bytes) => Ok(bytes.iter().map(|byte| byte.cast_signed()).collect()),
            (dtype, _) => Err(bad(
                &self.path,
                format!("holds `{name}` as {dtype}, not I8"),
            )),
        }
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<(&str, &[u8]), BadFile> {
        let there = self.header.keys().cloned().collect::<Vec<_>>().join(", ");
        let absent = || bad(&self.path, format!("has no tensor `{name}`, only {there}"));
        let entry = self.header.get(name).ok_or_else(absent)?;
        if entry.shape != shape {
            let found = &entry.shape;
            return Err(bad(
                &self.path,
                format!("holds `{name}` {found:?}, it should be {shape:?}"),
            ));
        }
        let [from, to] = entry.data_offsets;
        Ok((&entry.dtype, &self.body[from..to]))
    }
}

fn bad(path: &Path, problem: String) -> BadFile {
    BadFile {
        path: path.to_owned(),
        problem,
    }
}

/// Bytes of a value.
fn width(dtype: &str) -> Option<usize> {
    Some(match dtype {
        "I8" | "U8" => 1,
        "F16" => 2,
        "F32" | "I32" => 4,
        "I64" => 8,
        _ => return None,
    })
}

/// A half as a float.
fn widened(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, exponent, fraction) = (bits >> 15 << 31, bits >> 10 & 31, bits & 1023);
    match exponent {
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign | 255 << 23 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes().chain(body.iter().copied()));
        bytes
    }

    const HEADER: &str = r#"{"__metadata__":{"a":"b"},"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},"i":{"dtype":"I8","shape":[2,1],"data_offsets":[6,8]}}"#;

    #[test]
    fn halves_integers_and_remarks_are_read() {
        let bytes = file(HEADER, &[0x00, 0x3c, 0x01, 0x00, 0x00, 0xc2, 255, 5]);
        let tensors = Tensors::parse(Path::new("t"), &bytes).unwrap();
        assert_eq!(
            tensors.floats("h", &[3]).unwrap(),
            [1.0, 2f32.powi(-24), -3.0]
        );
        assert_eq!(tensors.integers("i", &[2, 1]).unwrap(), [-1, 5]);
        assert_eq!(tensors.remark("a").unwrap(), "b");
        assert!(tensors.floats("h", &[1, 3]).is_err() && tensors.floats("i", &[2, 1]).is_err());
    }

    #[test]
    fn a_cut_or_damaged_file_is_refused_and_never_read_past_its_end() {
        let whole = file(HEADER, &[0, 0x7c, 0, 0, 0, 0, 1, 2]);
        for length in 0..whole.len() {
            assert!(
                Tensors::parse(Path::new("t"), &whole[..length]).is_err(),
                "{length} bytes"
            );
        }
        let tensors = Tensors::parse(Path::new("t"), &whole).unwrap();
        let error = tensors.floats("h", &[3]).unwrap_err().to_string();
        assert!(error.contains("no numbers"), "{error}");
    }
}
