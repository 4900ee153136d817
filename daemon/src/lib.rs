//! The top floor: the pipeline from sound to intent, the service around it, and the command line.
//!
//! [`event`] is the spine: [`pipeline`] turns samples into events, live and on recordings alike; the bus, the command
//! line and the tests subscribe. [`worker`] is the one thread that computes; everything else sends it commands.

pub mod adapters;
pub mod assembly;
pub mod bridge;
pub mod bus;
pub mod calendar;
pub mod catalogue;
pub mod cli;
pub mod command;
pub mod config;
pub mod conversation;
pub mod ears;
pub mod event;
pub mod handle;
pub mod hardware;
pub mod logging;
pub mod microphone;
pub mod mind;
pub mod notify;
pub mod offload;
pub mod outlet;
pub mod pipeline;
pub mod power;
mod processors;
pub mod service;
pub mod status;
pub mod turn;
mod witness;
pub mod worker;
