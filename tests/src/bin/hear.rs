//! Listens to a microphone the way the daemon does, and writes down what it hears.
//!
//! `hear SAMPLES [DEVICE [RATE]]` appends 16 kHz mono samples to the file SAMPLES as little-endian 32-bit floats and
//! prints one line for each thing that happens, ended by a line of counts when standard input ends. The sound libraries
//! read their environment once in a process's life, so tests that need an environment of their own need a process too.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use vocar_speech::capture::{Capture, CaptureConfig, CaptureEvent};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .ok_or("usage: hear SAMPLES [DEVICE [RATE]]")?;
    let device = arguments.next();
    let rate = arguments.next().map(|rate| rate.parse()).transpose()?;
    let config = CaptureConfig {
        device,
        rate,
        retry: Duration::from_millis(200),
        ..CaptureConfig::default()
    };
    listen(Capture::start(config)?, Path::new(&file), &end_of_input())
}

fn listen(mut capture: Capture, file: &Path, ended: &AtomicBool) -> Result<(), Box<dyn Error>> {
    let mut file = File::create(file)?;
    let mut samples = Vec::new();
    while !ended.load(Relaxed) {
        samples.clear();
        capture.read(Duration::from_millis(100), &mut samples, &mut |event| {
            println!("{}", line(&event))
        });
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        file.write_all(&bytes)?;
    }
    println!("{:?}", capture.stats());
    Ok(())
}

fn line(event: &CaptureEvent) -> String {
    match event {
        CaptureEvent::Opened(info) => format!(
            "opened {} {} {} {}",
            info.device, info.rate, info.channels, info.format
        ),
        CaptureEvent::Unavailable { reason } => format!("unavailable {reason}"),
        CaptureEvent::Lost { device, reason } => format!("lost {device} {reason}"),
        CaptureEvent::Dropped { frames } => format!("dropped {frames}"),
        CaptureEvent::Overrun { count } => format!("overrun {count}"),
    }
}

fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let seen = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        seen.store(true, Relaxed);
    });
    ended
}
