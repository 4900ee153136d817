//! Networks on an accelerator, in a process of their own.
//!
//! Vendors' libraries crash and hang, so they are never loaded into the daemon: it starts the program `vocar-accel`, tells it
//! a [`Plan`] over a socket and leaves the tensors of each step in [`SharedMemory`]. [`Child`] is the daemon's end, with a
//! deadline on everything; [`serve`] is the program's end, over whatever [`Backend`] does the arithmetic. The program's is
//! [`onnxruntime`], which nothing of the daemon reaches.

mod channel;
mod child;
mod memory;
pub mod onnxruntime;
mod plan;
mod serve;

pub use channel::{Channel, ChannelError};
pub use child::{Child, ChildError, Patience};
pub use memory::SharedMemory;
pub use plan::{Loaded, Part, Placement, Plan, Provider, Reply, Request, Tensor};
pub use serve::{Backend, ServeError, serve};
