use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn recording(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name]
        .iter()
        .collect()
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(recording(name)).unwrap()
}

fn from_bytes(bytes: Vec<u8>, format: InputFormat) -> Result<AudioSource, SourceError> {
    AudioSource::from_reader("test".into(), Cursor::new(bytes), format)
}

/// Reads to the end or the first fault; the samples before it, and the fault.
fn drain(source: &mut AudioSource) -> (Vec<f32>, Option<SourceError>) {
    let mut samples = Vec::new();
    loop {
        match source.next_chunk() {
            Ok(Some(chunk)) => samples.extend_from_slice(chunk),
            Ok(None) => return (samples, None),
            Err(error) => return (samples, Some(error)),
        }
    }
}

fn detect_all(bytes: Vec<u8>) -> (Vec<f32>, Option<SourceError>) {
    match from_bytes(bytes, InputFormat::Detect) {
        Ok(mut source) => drain(&mut source),
        Err(error) => (Vec::new(), Some(error)),
    }
}

fn wav<S: hound::Sample + Copy>(rate: u32, channels: u16, bits: u16, samples: &[S]) -> Vec<u8> {
    let sample_format = if bits == 32 {
        hound::SampleFormat::Float
    } else {
        hound::SampleFormat::Int
    };
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: bits,
        sample_format,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for &sample in samples {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn tone(rate: u32, hertz: f64, level: f64, len: usize) -> Vec<f32> {
    let turn = std::f64::consts::TAU * hertz / f64::from(rate);
    (0..len)
        .map(|n| (level * (turn * n as f64).sin()) as f32)
        .collect()
}

fn rms_difference(a: &[f32], b: &[f32]) -> f32 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
}

#[test]
fn wav_of_every_usual_depth_comes_out_as_it_went_in() {
    let samples = [0.0, 0.5, -0.5, -1.0, 0.25, 0.75];
    let scaled = |full: f32| samples.map(|s: f32| (s * full) as i32);
    for (depth, bytes) in [
        (8, wav(16_000, 1, 8, &scaled(128.0))),
        (16, wav(16_000, 1, 16, &scaled(32_768.0))),
        (24, wav(16_000, 1, 24, &scaled(8_388_608.0))),
        (32, wav(16_000, 1, 32, &samples)),
    ] {
        let mut source = from_bytes(bytes, InputFormat::Detect).unwrap();
        assert_eq!((source.rate(), source.channels()), (16_000, 1));
        let (read, error) = drain(&mut source);
        assert!(error.is_none(), "{depth} bit: {error:?}");
        assert_eq!(read, samples, "{depth} bit");
    }
}

#[test]
fn the_rates_of_telephones_and_studios_are_read_whole() {
    for rate in [8_000, 96_000] {
        let samples = tone(rate, 300.0, 0.5, rate as usize);
        let mut source = from_bytes(wav(rate, 1, 32, &samples), InputFormat::Detect).unwrap();
        assert_eq!(source.rate(), rate);
        let (read, error) = drain(&mut source);
        assert!(error.is_none());
        assert_eq!(read, samples);
        assert_eq!(source.seconds(), 1.0);
    }
}

#[test]
fn channels_are_mixed_or_chosen() {
    let bytes = wav(48_000, 2, 32, &[0.5f32, 0.25, -0.5, 0.75]);
    let read = |pick| {
        let source = from_bytes(bytes.clone(), InputFormat::Detect).unwrap();
        drain(&mut source.listen_to(pick).unwrap()).0
    };
    assert_eq!(read(ChannelPick::Mix), [0.375, 0.125]);
    assert_eq!(read(ChannelPick::One(1)), [0.25, 0.75]);
    let refused = from_bytes(bytes.clone(), InputFormat::Detect)
        .unwrap()
        .listen_to(ChannelPick::One(2));
    assert!(matches!(
        refused.err(),
        Some(SourceError::Channel { channels: 2, .. })
    ));
}

#[test]
fn flac_is_read() {
    let mut source = AudioSource::open(&recording("tone-22050-stereo.flac")).unwrap();
    assert_eq!((source.rate(), source.channels()), (22_050, 2));
    let (read, error) = drain(&mut source);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(read.len(), 11_025);
    let mut want = tone(22_050, 440.0, 0.25, 11_025);
    want.iter_mut()
        .zip(tone(22_050, 880.0, 0.25, 11_025))
        .for_each(|(left, right)| *left += right);
    assert!(
        rms_difference(&read, &want) < 1e-3,
        "off by {}",
        rms_difference(&read, &want)
    );
}

#[test]
fn opus_by_another_encoder_is_read_in_place_and_length() {
    let mut source = AudioSource::open(&recording("tone-48000.opus")).unwrap();
    assert_eq!((source.rate(), source.channels()), (48_000, 1));
    let (read, error) = drain(&mut source);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(read.len(), 24_000);
    let inside = 2_400..21_600;
    let difference = rms_difference(
        &read[inside.clone()],
        &tone(48_000, 440.0, 0.5, 24_000)[inside],
    );
    assert!(difference < 0.02, "off by {difference}");
}

#[test]
fn opus_recorded_at_16_khz_needs_no_resampling() {
    let mut source = AudioSource::open(&recording("spoken.opus")).unwrap();
    assert_eq!(source.rate(), crate::resample::RATE);
    assert_eq!(drain(&mut source).0.len(), 60_880);
}

#[test]
fn raw_samples_are_read_in_either_format() {
    let stereo = |rate| RawShape {
        rate: std::num::NonZero::new(rate).unwrap(),
        channels: 2.try_into().unwrap(),
    };
    let s16 = [0i16, 16_384, -32_768, 0].map(i16::to_le_bytes).concat();
    let mut source = from_bytes(s16, InputFormat::S16Le(stereo(44_100))).unwrap();
    assert_eq!((source.rate(), source.channels()), (44_100, 2));
    assert_eq!(drain(&mut source).0, [0.25, -0.5]);
    let f32s = [0.5f32, -0.25].map(f32::to_le_bytes).concat();
    let mut source = from_bytes(f32s, InputFormat::F32Le(RawShape::default())).unwrap();
    assert_eq!(drain(&mut source).0, [0.5, -0.25]);
}

/// A pipe that hands over one byte at a time.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn a_pipe_may_hand_over_any_number_of_bytes() {
    let samples = tone(16_000, 200.0, 0.5, 300);
    let raw: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    for (bytes, format) in [
        (raw, InputFormat::F32Le(RawShape::default())),
        (wav(16_000, 1, 32, &samples), InputFormat::Detect),
    ] {
        let mut source =
            AudioSource::from_reader("pipe".into(), Trickle(Cursor::new(bytes)), format).unwrap();
        let (read, error) = drain(&mut source);
        assert!(error.is_none(), "{format}: {error:?}");
        assert_eq!(read, samples);
    }
}

#[test]
fn a_wav_written_into_a_pipe_has_no_length_and_still_ends_well() {
    let samples = tone(16_000, 200.0, 0.5, 300);
    for length in [u32::MAX, 0x7fff_ffff, 0x7fff_f000] {
        let mut bytes = wav(16_000, 1, 32, &samples);
        let data = bytes.windows(4).position(|w| w == b"data").unwrap();
        bytes[4..8].copy_from_slice(&length.saturating_add(data as u32).to_le_bytes());
        bytes[data + 4..data + 8].copy_from_slice(&length.to_le_bytes());
        let (read, error) = detect_all(bytes);
        assert!(error.is_none(), "length {length:#x}: {error:?}");
        assert_eq!(read, samples, "length {length:#x}");
    }
}

#[test]
fn what_is_no_number_is_replaced_and_counted() {
    let samples = [
        0.5f32,
        f32::NAN,
        -0.5,
        f32::INFINITY,
        f32::NEG_INFINITY,
        3.0,
    ];
    let mut source = from_bytes(wav(16_000, 1, 32, &samples), InputFormat::Detect).unwrap();
    assert_eq!(drain(&mut source).0, [0.5, 0.0, -0.5, 0.0, 0.0, 1.0]);
    assert_eq!(source.replaced(), 3);
    let raw = samples.map(f32::to_le_bytes).concat();
    let mut source = from_bytes(raw, InputFormat::F32Le(RawShape::default())).unwrap();
    assert_eq!(drain(&mut source).0, [0.5, 0.0, -0.5, 0.0, 0.0, 1.0]);
    assert_eq!(source.replaced(), 3);
}

#[test]
fn a_broken_off_wav_yields_its_beginning_and_says_how_much_is_missing() {
    let samples = tone(16_000, 200.0, 0.5, 16_000);
    let mut bytes = wav(
        16_000,
        1,
        16,
        &samples
            .iter()
            .map(|s| (s * 32_768.0) as i16)
            .collect::<Vec<_>>(),
    );
    bytes.truncate(bytes.len() - 2 * 12_000 - 1);
    let (read, error) = detect_all(bytes);
    assert_eq!(read.len(), 3_999);
    let error = error.expect("a fault");
    assert!(
        matches!(
            error,
            SourceError::Truncated {
                expected: Some(1.0),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "test: breaks off after 0.25 s of 1.00 s: copy or record it again"
    );
}

#[test]
fn broken_off_flac_and_opus_say_so_too() {
    for (name, keep) in [("tone-22050-stereo.flac", 5_000), ("spoken.opus", 4_000)] {
        let mut bytes = bytes_of(name);
        let (whole, _) = detect_all(bytes.clone());
        bytes.truncate(keep);
        let (read, error) = detect_all(bytes);
        assert!(
            !read.is_empty() && read.len() < whole.len(),
            "{name}: {} of {}",
            read.len(),
            whole.len()
        );
        assert_eq!(read, whole[..read.len()], "{name}");
        assert!(
            matches!(error, Some(SourceError::Truncated { .. })),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn opus_cut_between_two_pages_is_noticed() {
    let bytes = bytes_of("spoken.opus");
    let last_page = bytes
        .windows(4)
        .rposition(|window| window == b"OggS")
        .unwrap();
    let (read, error) = detect_all(bytes[..last_page].to_vec());
    assert!(!read.is_empty());
    assert!(
        matches!(error, Some(SourceError::Truncated { .. })),
        "{error:?}"
    );
}

#[test]
fn headers_alone_are_broken_off_or_empty() {
    for name in ["tone-22050-stereo.flac", "spoken.opus"] {
        for keep in [3, 4, 20, 30, 42, 60] {
            let (read, error) = detect_all(bytes_of(name)[..keep].to_vec());
            assert!(read.is_empty());
            let named = matches!(
                error,
                Some(
                    SourceError::Truncated { .. }
                        | SourceError::Empty { .. }
                        | SourceError::NotAudio { .. }
                )
            );
            assert!(named, "{keep} bytes of {name}: {error:?}");
        }
    }
    let (_, error) = detect_all(wav(16_000, 1, 16, &[1i16, 2])[..30].to_vec());
    assert!(
        matches!(error, Some(SourceError::Truncated { .. })),
        "{error:?}"
    );
}

#[test]
fn a_flipped_byte_in_opus_is_damage() {
    let mut bytes = bytes_of("spoken.opus");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let (_, error) = detect_all(bytes);
    assert!(
        matches!(error, Some(SourceError::Damaged { .. })),
        "{error:?}"
    );
}

#[test]
fn nothing_at_all_is_empty_audio() {
    for (bytes, format) in [
        (Vec::new(), InputFormat::Detect),
        (wav::<i16>(16_000, 1, 16, &[]), InputFormat::Detect),
        (Vec::new(), InputFormat::S16Le(RawShape::default())),
    ] {
        let error = match from_bytes(bytes, format) {
            Ok(mut source) => drain(&mut source).1,
            Err(error) => Some(error),
        };
        assert!(
            matches!(error, Some(SourceError::Empty { .. })),
            "{format}: {error:?}"
        );
    }
}

#[test]
fn half_a_sample_at_the_end_is_broken_off() {
    let mut source = from_bytes(vec![0, 64, 1], InputFormat::S16Le(RawShape::default())).unwrap();
    let (read, error) = drain(&mut source);
    assert_eq!(read, [0.5]);
    assert!(
        matches!(error, Some(SourceError::Truncated { .. })),
        "{error:?}"
    );
    assert!(
        matches!(source.next_chunk(), Ok(None)),
        "after a fault the source is at its end"
    );
}

#[test]
fn what_is_no_audio_or_another_kind_is_told_apart() {
    let refused = |bytes: &[u8]| detect_all(bytes.to_vec()).1.expect("a refusal").to_string();
    assert!(refused(b"#!/bin/sh\necho hello\n").contains("is no audio (it begins with \"#!/b\")"));
    assert!(refused(b"%PDF-1.7").contains("is no audio"));
    assert!(refused(b"RIFF\x10\0\0\0AVI LIST").contains("is no audio"));
    let mut vorbis = bytes_of("spoken.opus");
    vorbis[28..36].copy_from_slice(b"\x01vorbis\0");
    assert!(refused(&vorbis).contains("another codec than Opus is not supported"));
    let mut adpcm = wav(16_000, 1, 16, &[1i16, 2, 3]);
    adpcm[20] = 0x11;
    let adpcm = refused(&adpcm);
    assert!(
        adpcm.contains("not supported") || adpcm.contains("damaged"),
        "{adpcm}"
    );
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        folder.path().join("missing.wav"),
        folder.path().to_path_buf(),
    ] {
        let error = AudioSource::open(&path).err().expect("a refusal");
        assert!(matches!(error, SourceError::Open { .. }), "{error:?}");
        assert!(
            error.to_string().starts_with(&path.display().to_string()),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done to a recording, reading it ends, and every sample is a finite number in [-1, 1].
    #[test]
    fn damaged_recordings_never_panic(
        which in 0usize..3,
        keep in 0.0f64..1.0,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = match which {
            0 => bytes_of("spoken.opus"),
            1 => bytes_of("tone-22050-stereo.flac"),
            _ => wav(16_000, 2, 32, &tone(16_000, 100.0, 0.9, 500)),
        };
        bytes.truncate((bytes.len() as f64 * (0.3 + keep)) as usize);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (samples, _) = detect_all(bytes);
        prop_assert!(samples.iter().all(|s| (-1.0..=1.0).contains(s)));
    }
}
