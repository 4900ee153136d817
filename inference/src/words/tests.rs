use super::*;
use crate::network::Network;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn shipped() -> std::path::PathBuf {
    folder("models/nlu-en/encoder-mixed.onnx")
}

/// A small network in floats.
fn small() -> WordNetwork {
    let file = folder("nlu/testdata/encoder/encoder-f32.onnx");
    WordNetwork::load(&file, 33).expect("a sound network")
}

fn wave(count: usize, pace: f32) -> Vec<f32> {
    (0..count).map(|n| (n as f32 * pace).sin()).collect()
}

fn furthest(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let apart = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f32::max)
}

fn run(network: &WordNetwork, rows: &[f32], overlay: Option<&Overlay>) -> Vec<f32> {
    let mut session = network.session();
    let states = network.run(&mut session, rows, overlay);
    states.expect("a run").to_vec()
}

/// Something to add to each layer whose name ends in one of these.
fn overlay(network: &WordNetwork, ends: &[&str], pace: f32) -> Overlay {
    let wanted = |name: &str| ends.iter().any(|end| name.ends_with(end));
    let layers = network.layers().filter(|(name, ..)| wanted(name));
    let low = |(name, inputs, outputs): (&str, usize, usize)| {
        let (a, b) = (wave(3 * inputs, pace), wave(3 * outputs, 0.7 * pace));
        let low = LowRank::new(&a, &b, 3, 0.05).expect("finite");
        (name.to_owned(), low)
    };
    let layers: BTreeMap<String, LowRank> = layers.map(low).collect();
    assert!(!layers.is_empty(), "{ends:?}");
    network.overlay(layers).expect("an overlay that fits")
}

/// The shipped network with its attention in tract: what is a result of the graph cannot be fused away.
fn with_attention_in_tract(length: usize) -> Network {
    let mut proto = parse(&shipped()).expect("a file");
    fix_length(&mut proto, length);
    let graph = proto.graph.as_mut().expect("a graph");
    let softmaxes = graph.node.iter().filter(|node| node.op_type == "Softmax");
    let more: Vec<ValueInfoProto> = softmaxes
        .map(|node| ValueInfoProto {
            name: node.output[0].clone(),
            ..ValueInfoProto::default()
        })
        .collect();
    assert_eq!(more.len(), 4);
    graph.output.extend(more);
    let network = Network::new(proto, "encoder-mixed.onnx", Operators::Fused).expect("a network");
    assert!(!network.is_program());
    network
}

#[test]
fn the_shipped_network_gives_what_tract_gives_at_every_length() {
    let network = WordNetwork::load(&shipped(), 33).expect("a sound network");
    let mut session = network.session();
    for length in [1, 2, 5, 8, 17, 33] {
        let rows = wave(length * network.row(), 0.37);
        let mut tract = with_attention_in_tract(length);
        let wanted = tract
            .run(&[rows.clone(), vec![0.0; length]])
            .expect("a run");
        let found = network.run(&mut session, &rows, None).expect("a run");
        let apart = furthest(found, &wanted[0]);
        // A rounding that falls the other way moves a value by a step of int8.
        assert!(apart < 0.05, "{length} words: {apart}");
    }
}

#[test]
fn empty_places_behind_a_sentence_change_nothing() {
    let network = small();
    let mut proto = parse(&folder("nlu/testdata/encoder/encoder-f32.onnx")).expect("a file");
    fix_length(&mut proto, 9);
    let mut padded = Network::new(proto, "encoder-f32.onnx", Operators::Fused).expect("a network");
    assert!(padded.is_program());
    let mut rows = wave(5 * network.row(), 0.9);
    let wanted = run(&network, &rows, None);
    rows.resize(9 * network.row(), 3.0);
    let mut mask = vec![0.0; 5];
    mask.resize(9, -10_000.0);
    let found = padded.run(&[rows, mask]).expect("a run");
    let apart = furthest(&found[0][..wanted.len()], &wanted);
    assert!(apart < 1e-5, "{apart}");
}

#[test]
fn an_overlay_does_what_it_does_merged_into_the_weights() {
    let network = small();
    let rows = wave(6 * network.row(), 0.9);
    let plain = run(&network, &rows, None);
    for ends in [
        &["qkv"][..],
        &["out"],
        &["up"],
        &["down"],
        &["qkv", "up", "down"],
    ] {
        let overlay = overlay(&network, ends, 0.31);
        let apart = run(&network, &rows, Some(&overlay));
        let merged = network.merged(&overlay).expect("floats can be merged");
        let difference = furthest(&run(&merged, &rows, None), &apart);
        assert!(difference < 1e-4, "{ends:?}: {difference}");
        assert!(furthest(&plain, &apart) > 0.05, "{ends:?} changes nothing");
        assert_eq!(
            run(&network, &rows, None),
            plain,
            "the weights are as they were"
        );
        assert!(merged.bytes_beside(&network) > 0 && network.bytes_beside(&network) == 0);
    }
}

#[test]
fn an_overlay_in_mixed_precision_is_near_to_itself_merged() {
    let network = WordNetwork::load(&shipped(), 33).expect("a sound network");
    let rows = wave(7 * network.row(), 0.2);
    let overlay = overlay(&network, &["qkv", "out", "up", "down"], 0.31);
    let merged = network
        .merged(&overlay)
        .expect("int8 and int4 can be merged");
    let plain = run(&network, &rows, None);
    let (apart, within) = (
        run(&network, &rows, Some(&overlay)),
        run(&merged, &rows, None),
    );
    let mean = |one: &[f32], other: &[f32]| {
        let apart = one.iter().zip(other).map(|(a, b)| (a - b).abs());
        apart.sum::<f32>() / one.len() as f32
    };
    let (noise, effect) = (mean(&apart, &within), mean(&apart, &plain));
    assert!(noise < 0.1 * effect, "{noise} beside an effect of {effect}");
}

#[test]
fn two_sessions_with_two_overlays_do_not_disturb_each_other() {
    let network = small();
    let overlays = [
        overlay(&network, &["qkv", "up"], 0.31),
        overlay(&network, &["out", "down"], 0.17),
    ];
    let rows = wave(6 * network.row(), 0.9);
    let wanted: Vec<Vec<f32>> = overlays
        .iter()
        .map(|overlay| run(&network, &rows, Some(overlay)))
        .collect();
    assert_ne!(wanted[0], wanted[1]);
    std::thread::scope(|scope| {
        for (overlay, wanted) in overlays.iter().zip(&wanted) {
            let (network, rows) = (&network, &rows);
            scope.spawn(move || {
                let mut session = network.session();
                for _ in 0..200 {
                    let found = network.run(&mut session, rows, Some(overlay));
                    assert_eq!(found.expect("a run"), wanted);
                }
            });
        }
    });
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let network = small();
    let low = |inputs, outputs| LowRank::new(&wave(inputs, 0.1), &wave(outputs, 0.1), 1, 1.0);
    let named = |name: &str, low| network.overlay(BTreeMap::from([(name.to_owned(), low)]));
    let error = named("block9.up", low(32, 64).unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("block9.up") && error.to_string().contains("block0.qkv"),
        "{error}"
    );
    let error = named("block0.up", low(32, 63).unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("block0.up") && error.to_string().contains("64"),
        "{error}"
    );
    assert!(LowRank::new(&[f32::NAN], &[1.0], 1, 1.0).is_err());
    assert!(LowRank::new(&[1.0], &[1.0], 1, f32::INFINITY).is_err());
    assert!(LowRank::new(&[1.0; 3], &[1.0; 2], 2, 1.0).is_err() && low(0, 0).is_ok());
    assert!(LowRank::new(&[1.0], &[1.0], 0, 1.0).is_err());
}

#[test]
fn what_belongs_to_another_network_is_refused() {
    let (network, other) = (small(), small());
    let rows = wave(2 * network.row(), 0.9);
    let overlay = overlay(&other, &["qkv"], 0.3);
    let mut session = network.session();
    assert!(network.run(&mut session, &rows, Some(&overlay)).is_err());
    assert_eq!(network.merged(&overlay).unwrap_err(), OverlayError::Foreign);
    let shipped = WordNetwork::load(&shipped(), 9).expect("a sound network");
    assert!(network.run(&mut shipped.session(), &rows, None).is_err());
    for wrong in [0, 1, 34 * network.row()] {
        let error = network.run(&mut session, &wave(wrong, 0.3), None);
        assert!(matches!(error, Err(EngineError::Length { .. })), "{wrong}");
    }
}
