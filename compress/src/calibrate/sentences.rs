//! Sentences, as understanding reads them.

use tract_onnx::pb::ModelProto;

use super::{CalibrationError, Inputs, Material};
use crate::texts::Texts;

/// All sentences of one length are a stream: the network is fitted to each length.
impl Material for Texts {
    fn streams(&self) -> usize {
        self.by_length().len()
    }

    fn fitted(&self, model: &ModelProto, stream: usize) -> Option<ModelProto> {
        let (length, _) = self.by_length().get(stream)?;
        Some(Texts::fitted(model, *length))
    }

    fn runs(&self, stream: usize) -> Result<Vec<Inputs>, CalibrationError> {
        let (_, sentences) = &self.by_length()[stream];
        Ok(sentences.iter().map(|&one| self.inputs(one)).collect())
    }

    /// Nothing is remembered from one sentence to the next.
    fn successor(&self, _: &str) -> Option<String> {
        None
    }
}
