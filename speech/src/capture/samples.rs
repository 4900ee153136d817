//! The bytes a device delivers, as samples.

use cpal::SampleFormat;

/// Turns whole samples in the machine's byte order into floats of full scale ±1, appended to the vector.
pub(super) type Decode = fn(&[u8], &mut Vec<f32>);

/// How to decode `format`; nothing for formats that are no pulse code (DSD).
pub(super) fn decoder(format: SampleFormat) -> Option<Decode> {
    Some(match format {
        SampleFormat::I8 => {
            |bytes, out| decode(bytes, out, |[b]: [u8; 1]| f32::from(b as i8) / 128.0)
        }
        SampleFormat::U8 => {
            |bytes, out| decode(bytes, out, |[b]: [u8; 1]| (f32::from(b) - 128.0) / 128.0)
        }
        SampleFormat::I16 => {
            |bytes, out| decode(bytes, out, |b| f32::from(i16::from_ne_bytes(b)) / 32_768.0)
        }
        SampleFormat::U16 => |bytes, out| {
            decode(bytes, out, |b| {
                (f32::from(u16::from_ne_bytes(b)) - 32_768.0) / 32_768.0
            })
        },
        // Three of the four bytes count; what a device leaves in the fourth is its own affair.
        SampleFormat::I24 => |bytes, out| {
            decode(bytes, out, |b| {
                (i32::from_ne_bytes(b) << 8) as f32 / FULL_32
            })
        },
        SampleFormat::U24 => |bytes, out| {
            decode(bytes, out, |b| {
                centred(u32::from_ne_bytes(b) << 8) as f32 / FULL_32
            })
        },
        SampleFormat::I32 => {
            |bytes, out| decode(bytes, out, |b| i32::from_ne_bytes(b) as f32 / FULL_32)
        }
        SampleFormat::U32 => |bytes, out| {
            decode(bytes, out, |b| {
                centred(u32::from_ne_bytes(b)) as f32 / FULL_32
            })
        },
        SampleFormat::I64 => |bytes, out| {
            decode(bytes, out, |b| {
                (i64::from_ne_bytes(b) >> 32) as f32 / FULL_32
            })
        },
        SampleFormat::U64 => |bytes, out| {
            decode(bytes, out, |b| {
                centred((u64::from_ne_bytes(b) >> 32) as u32) as f32 / FULL_32
            })
        },
        SampleFormat::F32 => |bytes, out| decode(bytes, out, f32::from_ne_bytes),
        SampleFormat::F64 => |bytes, out| decode(bytes, out, |b| f64::from_ne_bytes(b) as f32),
        _ => return None,
    })
}

const FULL_32: f32 = 2_147_483_648.0;

/// An unsigned sample, whose silence is the middle of its range, as a signed one.
fn centred(sample: u32) -> i32 {
    (sample ^ 0x8000_0000) as i32
}

fn decode<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, convert: impl Fn([u8; N]) -> f32) {
    let (samples, torn) = bytes.as_chunks::<N>();
    debug_assert!(torn.is_empty());
    out.extend(samples.iter().map(|&sample| convert(sample)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<const N: usize>(format: SampleFormat, samples: &[[u8; N]]) -> Vec<f32> {
        assert_eq!(format.sample_size(), N);
        let mut out = Vec::new();
        decoder(format).unwrap()(samples.as_flattened(), &mut out);
        out
    }

    /// Silence, half of full scale up, and full scale down.
    const WANT: [f32; 3] = [0.0, 0.5, -1.0];

    #[test]
    fn every_signed_format_has_silence_at_zero_and_full_scale_at_one() {
        assert_eq!(
            decoded(SampleFormat::I8, &[0i8, 64, -128].map(i8::to_ne_bytes)),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::I16,
                &[0i16, 16_384, -32_768].map(i16::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::I24,
                &[0i32, 1 << 22, -(1 << 23)].map(i32::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::I32,
                &[0i32, 1 << 30, i32::MIN].map(i32::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::I64,
                &[0i64, 1 << 62, i64::MIN].map(i64::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(SampleFormat::F32, &WANT.map(f32::to_ne_bytes)),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::F64,
                &[0.0f64, 0.5, -1.0].map(f64::to_ne_bytes)
            ),
            WANT
        );
    }

    #[test]
    fn every_unsigned_format_has_silence_in_the_middle() {
        assert_eq!(
            decoded(SampleFormat::U8, &[128u8, 192, 0].map(u8::to_ne_bytes)),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::U16,
                &[32_768u16, 49_152, 0].map(u16::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::U24,
                &[1u32 << 23, 3 << 22, 0].map(u32::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::U32,
                &[1u32 << 31, 3 << 30, 0].map(u32::to_ne_bytes)
            ),
            WANT
        );
        assert_eq!(
            decoded(
                SampleFormat::U64,
                &[1u64 << 63, 3 << 62, 0].map(u64::to_ne_bytes)
            ),
            WANT
        );
    }

    #[test]
    fn the_fourth_byte_of_24_bits_is_ignored() {
        assert_eq!(
            decoded(
                SampleFormat::I24,
                &[(0x7f << 24 | 1i32 << 22).to_ne_bytes()]
            ),
            [0.5]
        );
        assert_eq!(
            decoded(
                SampleFormat::U24,
                &[(0x55 << 24 | 3u32 << 22).to_ne_bytes()]
            ),
            [0.5]
        );
    }

    #[test]
    fn one_bit_streams_are_not_decoded() {
        assert!(decoder(SampleFormat::DsdU8).is_none());
    }
}
