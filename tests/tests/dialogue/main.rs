//! Conversations with the whole assistant: spoken ones on recordings and through a microphone, and typed ones over the bus
//! from another process.

mod live;
mod spoken;
mod typed;
