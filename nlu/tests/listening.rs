//! What is listened for is understood: sentences drawn from the graph are commands.

use std::collections::BTreeMap;

use vocar_nlu::domain::car_demo_entities;
use vocar_nlu::{Context, Domain, SentenceArc, SentenceGraph, Understander};

fn understander() -> Understander {
    let mut understander = Understander::new(vec![Domain::car().unwrap()]);
    for (list, values) in &car_demo_entities() {
        understander.set_entities(list, values).unwrap();
    }
    understander
}

/// Numbers from 0 to 1, the same ones for the same seed (G. Marsaglia, "Xorshift RNGs", 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }
}

/// A sentence of the graph; ways out of a node are as likely as their costs say.
fn draw(out: &BTreeMap<u32, Vec<&SentenceArc>>, graph: &SentenceGraph, dice: &mut Dice) -> String {
    let mut node = graph.start;
    let mut said = Vec::new();
    loop {
        let ways = out.get(&node).map_or(&[][..], Vec::as_slice);
        let ends = graph.finals.contains(&node);
        let total: f32 = ways.iter().map(|arc| (-arc.cost).exp()).sum();
        let mut left = dice.roll() * (total + if ends { 1.0 } else { 0.0 });
        let way = ways.iter().find(|arc| {
            left -= (-arc.cost).exp();
            left <= 0.0
        });
        let Some(arc) = way else {
            return said.join(" ");
        };
        said.extend(arc.word.clone());
        node = arc.to;
    }
}

/// Of `count` sentences that may be said in a context, those that are no command.
fn strange(understander: &Understander, context: &Context, count: usize) -> Vec<String> {
    let graph = understander.graph(context);
    let mut out: BTreeMap<u32, Vec<&SentenceArc>> = BTreeMap::new();
    for arc in &graph.arcs {
        out.entry(arc.from).or_default().push(arc);
    }
    let mut dice = Dice(0x1234_5678_9abc);
    (0..count)
        .map(|_| draw(&out, &graph, &mut dice))
        .filter(|text| understander.commands(text, context).is_empty())
        .collect()
}

#[test]
fn every_sentence_of_the_open_microphone_is_a_command() {
    let context = Context::open_microphone();
    assert_eq!(
        strange(&understander(), &context, 3000),
        Vec::<String>::new()
    );
}

/// Several commands can be put together in ways that mean nothing ("... my seat and seats"): they must be rare.
#[test]
fn what_is_put_together_is_nearly_always_several_commands() {
    let strange = strange(&understander(), &Context::addressed(), 3000);
    assert!(strange.len() <= 10, "{}: {strange:#?}", strange.len());
}

#[test]
fn only_a_command_about_a_place_goes_on_with_a_place() {
    let understander = understander();
    let graph = understander.graph(&Context::addressed());
    let listens =
        |text: &str| graph.accepts(&text.split(' ').map(String::from).collect::<Vec<_>>());
    assert!(listens("open the driver window and the passenger window"));
    assert!(listens("open the driver and the passenger window"));
    assert!(listens("help and open the driver window"));
    assert!(!listens("help and the driver window"));
    assert!(!listens("heat the driver seat and the passenger window"));
}
