//! The top floor: the pipeline from sound to intent, the service around it, and the command line.
//!
//! [`event`] is the spine: the worker emits events, and the bus, the command line and the tests subscribe.

pub mod bus;
pub mod command;
pub mod config;
pub mod event;
pub mod handle;
pub mod logging;
pub mod notify;
pub mod status;
