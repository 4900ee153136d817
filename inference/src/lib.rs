//! Model bundles and the engines that run them.
//!
//! A [`Bundle`] is a folder with a `manifest.toml` and the files it names, every one of them checked
//! against its SHA-256 before anything is read from it. An [`AcousticModel`] is one network of a bundle,
//! loaded and optimised once and shared by all its [`AcousticSession`]s; a session carries the state of
//! one stream of audio. Which library does the arithmetic is hidden behind [`Engine`] and [`Session`]; [`Accelerated`] runs it
//! in a process of its own and goes on with another engine when that fails.

mod accelerator;
mod acoustic;
mod bundle;
mod constants;
mod cpu;
mod engine;
mod file_bytes;
mod fused;
mod fused_engine;
pub mod gemm;
mod manifest;
mod network;
mod signature;
pub mod text;
mod tract;
mod whole;
mod wiring;
mod words;

pub use accelerator::{Accelerated, Offer, Refusal, Standing, placement};
pub use acoustic::{AcousticModel, AcousticSession, LoadError, file as acoustic_file};
pub use bundle::{Bundle, BundleError, sha256_hex};
pub use constants::{Constant, constants};
pub use cpu::CpuEngine;
pub use engine::{Engine, EngineError, Session, Signature, State};
pub use fused::{LowRank, Overlay, OverlayError, restore as restore_constants};
pub use manifest::{
    Acoustic, Background, Confidence, FORMAT, Features, Lexicon, Manifest, Topology,
};
pub use network::{Network, Operators};
pub use signature::{NoKey, SignatureError, SignatureFault, Trust, TrustedKey, signature_of};
pub use text::{FreeSpeech, TextBundle, TextManifest};
pub use vocar_hw::Precision;
pub use whole::check_whole;
pub use words::{WordNetwork, WordSession};
