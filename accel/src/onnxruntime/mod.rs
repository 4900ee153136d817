//! ONNX Runtime, loaded when it is wanted, with its own execution provider or a vendor's.

mod api;
mod backend;
mod configuration;
mod profile;
mod session;

pub use api::Api;
pub use backend::OnnxRuntime;
pub use configuration::Configuration;
pub use session::{Bound, Outputs, Session};
