//! What comes from the process of an accelerator, and what comes to it, of any bytes, is a message or an error.
#![no_main]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use vocar_accel::{Channel, Reply, Request};

/// What the socket takes without anybody reading.
const MOST: usize = 1 << 16;

fn all<T: DeserializeOwned>(data: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.write_all(&data[..data.len().min(MOST)]).expect("the bytes are written");
    drop(theirs);
    let mut channel = Channel::new(ours);
    while channel.receive::<T>(Some(Duration::from_secs(1))).is_ok() {}
}

fuzz_target!(|data: &[u8]| {
    all::<Reply>(data);
    all::<Request>(data);
});
