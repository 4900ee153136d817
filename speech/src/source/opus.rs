//! Ogg Opus.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use opus_pure::{MAX_PACKET_SAMPLES, OggOpusReader, OggPacket, OpusDecoder, Trim};

use super::error::Fault;
use super::{Bytes, Decode, Shape};

pub(super) fn open(bytes: Box<dyn Bytes>) -> Result<Box<dyn Decode>, Fault> {
    let end_seen = Arc::new(AtomicBool::new(false));
    let watched = EndWatch {
        bytes,
        end_seen: end_seen.clone(),
    };
    let reader = OggOpusReader::new(watched).map_err(|error| fault(error, &end_seen))?;
    let head = reader.head();
    let channels = u16::from(head.channel_count);
    let rate = decoding_rate(head.input_sample_rate);
    let unsupported = |error: opus_pure::Error| {
        Fault::Unsupported(format!("Opus with {channels} channels ({error})"))
    };
    let decoder = head.decoder(rate).map_err(unsupported)?;
    let trim = Trim::new(head, rate, usize::from(channels)).map_err(unsupported)?;
    Ok(Box::new(OggOpus {
        reader,
        decoder,
        trim,
        shape: Shape {
            rate: rate.unsigned_abs(),
            channels,
        },
        packet: OggPacket::default(),
        block: vec![0.0; MAX_PACKET_SAMPLES * usize::from(channels)],
        end_seen,
        last_seen: false,
    }))
}

/// Opus decodes to any of its rates; the lowest that keeps all of the original recording saves resampling.
fn decoding_rate(recorded: u32) -> i32 {
    match recorded {
        1..=8_000 => 8_000,
        8_001..=12_000 => 12_000,
        12_001..=16_000 => 16_000,
        16_001..=24_000 => 24_000,
        _ => 48_000,
    }
}

struct OggOpus {
    reader: OggOpusReader<EndWatch>,
    decoder: OpusDecoder,
    trim: Trim,
    shape: Shape,
    packet: OggPacket,
    block: Vec<f32>,
    end_seen: Arc<AtomicBool>,
    /// The packet that says it is the last has been read.
    last_seen: bool,
}

impl Decode for OggOpus {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn decode(&mut self, interleaved: &mut Vec<f32>) -> Result<bool, Fault> {
        if self.last_seen {
            return Ok(false);
        }
        match self.reader.read_packet_into(&mut self.packet) {
            Ok(true) => {}
            Ok(false) => return self.end_without_last_packet(),
            Err(error) => return Err(fault(error, &self.end_seen)),
        }
        self.last_seen = self.packet.end_of_stream;
        let frames = self
            .decoder
            .decode(&self.packet.data, MAX_PACKET_SAMPLES, &mut self.block)
            .map_err(|error| Fault::Damaged(error.to_string()))?;
        let decoded = &self.block[..frames * usize::from(self.shape.channels)];
        interleaved.extend_from_slice(self.trim.keep(&self.packet, decoded));
        Ok(true)
    }
}

impl OggOpus {
    /// The end-of-stream mark may stand on a page of its own, without a packet; otherwise pages are missing.
    fn end_without_last_packet(&mut self) -> Result<bool, Fault> {
        self.last_seen = true;
        if self.end_seen.load(Relaxed) {
            Err(Fault::BrokenOff { expected: None })
        } else {
            Ok(false)
        }
    }
}

fn fault(error: opus_pure::Error, end_seen: &AtomicBool) -> Fault {
    match error {
        opus_pure::Error::Io(error) => Fault::Read(error),
        _ if end_seen.load(Relaxed) => Fault::BrokenOff { expected: None },
        error => Fault::Damaged(error.to_string()),
    }
}

/// Notices when somebody asks for more bytes than there are.
struct EndWatch {
    bytes: Box<dyn Bytes>,
    end_seen: Arc<AtomicBool>,
}

impl Read for EndWatch {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.end_seen
            .fetch_or(read == 0 && !buffer.is_empty(), Relaxed);
        Ok(read)
    }
}
