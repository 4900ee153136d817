//! Raw samples without any header.

use std::io::ErrorKind;

use super::error::Fault;
use super::{Bytes, Decode, RawShape, Shape};

/// Bytes read at a time; a pipe fed in real time hands over what it has, however little.
const READ: usize = 16 * 1024;

pub(super) fn s16le(bytes: Box<dyn Bytes>, shape: RawShape) -> Box<dyn Decode> {
    Raw::<2>::boxed(bytes, shape, |sample| {
        f32::from(i16::from_le_bytes(sample)) / 32_768.0
    })
}

pub(super) fn f32le(bytes: Box<dyn Bytes>, shape: RawShape) -> Box<dyn Decode> {
    Raw::<4>::boxed(bytes, shape, f32::from_le_bytes)
}

/// Samples of `N` bytes each.
struct Raw<const N: usize> {
    bytes: Box<dyn Bytes>,
    shape: Shape,
    convert: fn([u8; N]) -> f32,
    buffer: Box<[u8]>,
    /// Bytes at the start of `buffer` that are the beginning of an unfinished frame.
    torn: usize,
}

impl<const N: usize> Raw<N> {
    fn boxed(
        bytes: Box<dyn Bytes>,
        shape: RawShape,
        convert: fn([u8; N]) -> f32,
    ) -> Box<dyn Decode> {
        let shape = Shape {
            rate: shape.rate.get(),
            channels: shape.channels.get(),
        };
        let room = READ.max(N * usize::from(shape.channels));
        Box::new(Self {
            bytes,
            shape,
            convert,
            buffer: vec![0; room].into(),
            torn: 0,
        })
    }

    fn read(&mut self) -> Result<usize, Fault> {
        loop {
            match self.bytes.read(&mut self.buffer[self.torn..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(Fault::Read),
            }
        }
    }
}

impl<const N: usize> Decode for Raw<N> {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn decode(&mut self, interleaved: &mut Vec<f32>) -> Result<bool, Fault> {
        let read = self.read()?;
        if read == 0 {
            return if self.torn == 0 {
                Ok(false)
            } else {
                Err(Fault::BrokenOff { expected: None })
            };
        }
        let filled = self.torn + read;
        let whole = filled - filled % (N * usize::from(self.shape.channels));
        let (samples, _) = self.buffer[..whole].as_chunks::<N>();
        interleaved.extend(samples.iter().map(|&sample| (self.convert)(sample)));
        self.buffer.copy_within(whole..filled, 0);
        self.torn = filled - whole;
        Ok(true)
    }
}
