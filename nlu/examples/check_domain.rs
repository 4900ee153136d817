//! Prints what a domain amounts to, and sentences of it that are understood as something else.
//!
//! `cargo run --release -p vocar-nlu --example check_domain [DIR [ENTITIES.toml]]`; without a folder, the built-in car
//! domain with its demonstration entities.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use vocar_nlu::domain::{car_demo_entities, read_entities};
use vocar_nlu::{Context, Domain, Entities, Understander, check, sample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let began = Instant::now();
    let (domain, entities) = match arguments.next() {
        Some(folder) => {
            let entities = arguments
                .next()
                .map(|file| read_entities(Path::new(&file)))
                .transpose()?;
            (
                Arc::new(Domain::load(Path::new(&folder))?),
                entities.unwrap_or_default(),
            )
        }
        None => (Domain::car()?, car_demo_entities()),
    };
    println!("loaded in {:?}", began.elapsed());
    let mut report = check(&domain, &entities, 1, 20_000);
    for conflict in report.conflicts.iter().take(40) {
        let got = conflict
            .understood
            .as_ref()
            .map(|s| format!("{} {:?}", s.intent, s.slots));
        println!(
            "CONFLICT {:?}\n  meant {} {:?}\n  got   {got:?}",
            conflict.meant.text, conflict.meant.intent, conflict.meant.slots
        );
    }
    println!("{} conflicts", report.conflicts.len());
    report.conflicts.clear();
    println!("{}", serde_json::to_string(&report)?);
    time(&domain, &entities)?;
    Ok(())
}

fn time(domain: &Arc<Domain>, entities: &Entities) -> Result<(), Box<dyn std::error::Error>> {
    let mut understander = Understander::new(vec![domain.clone()]);
    let began = Instant::now();
    let empty = understander.graph(&Context::addressed());
    println!(
        "graph with empty lists: {} arcs in {:?}",
        empty.arcs.len(),
        began.elapsed()
    );
    for (list, values) in entities {
        understander.set_entities(list, values)?;
    }
    let full = understander.graph(&Context::addressed());
    println!(
        "graph with entities: {} nodes, {} arcs",
        full.nodes,
        full.arcs.len()
    );
    let samples = sample(domain, entities, 7, 2000);
    let began = Instant::now();
    let understood = samples
        .iter()
        .filter(|s| {
            !understander
                .understand(&s.text, &Context::addressed())
                .is_empty()
        })
        .count();
    println!(
        "{understood} of {} understood, {:?} each",
        samples.len(),
        began.elapsed() / samples.len() as u32
    );
    Ok(())
}
