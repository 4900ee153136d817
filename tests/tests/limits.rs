//! Programs on the bus that ask for too much: what they get, what others get meanwhile, and what it costs.

use futures_util::future::join_all;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use vocar_daemon::bus::{NAME, PATH, VoiceAssistant1Proxy};
use vocar_tests::{Bus, Service, caller, refusal};
use zbus::message::Flags;
use zbus::{Message, Variant};

/// A service that needs no speech bundle.
const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";
/// Calls that a flooding program has open at a time: more than the bus allows.
const FLOOD: usize = 200;
/// How long it floods.
const LENGTH: Duration = Duration::from_secs(4);

fn quiet() -> HashMap<&'static str, Variant<'static>> {
    HashMap::from([("announce", false.into())])
}

async fn counted(service: &VoiceAssistant1Proxy<'_>, counter: &str) -> u64 {
    let metrics = service.metrics().await.unwrap();
    u64::try_from(metrics[counter].clone()).unwrap()
}

/// Processor time that a process has taken, in seconds.
fn spent(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // What is counted begins behind the name, which stands in brackets: user and system time are the 12th and 13th.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .map(|text| text.parse().unwrap())
        .collect();
    // SAFETY: sysconf has no preconditions.
    let second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks.iter().sum::<f64>() / second as f64
}

/// What a flood brought.
struct Flood {
    admitted: usize,
    too_many: usize,
    /// Refused by the bus itself, which allows a program so many open calls.
    by_the_bus: usize,
}

/// Many calls at a time, each as soon as there is an answer to the one before.
async fn flood(bus: &Bus) -> Flood {
    let (_connection, service) = caller(bus).await;
    let begin = Instant::now();
    let one = async || {
        let mut flood = Flood {
            admitted: 0,
            too_many: 0,
            by_the_bus: 0,
        };
        while begin.elapsed() < LENGTH {
            match service
                .interpret_text("open the driver window", quiet())
                .await
            {
                Ok(_) => flood.admitted += 1,
                Err(zbus::Error::MethodError(name, ..))
                    if name == "org.vocar.Error.TooManyCalls" =>
                {
                    flood.too_many += 1;
                }
                Err(zbus::Error::MethodError(name, text, _))
                    if name.as_str().starts_with("org.vocar.") =>
                {
                    panic!("{name}: {text:?}: a burst must wait, not fail");
                }
                Err(_) => {
                    flood.by_the_bus += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        flood
    };
    let all = join_all((0..FLOOD).map(|_| one())).await;
    all.into_iter()
        .reduce(|sum, one| Flood {
            admitted: sum.admitted + one.admitted,
            too_many: sum.too_many + one.too_many,
            by_the_bus: sum.by_the_bus + one.by_the_bus,
        })
        .unwrap()
}

/// Calls nicely until `end`; gives the answers' longest time.
async fn converse(bus: &Bus, end: Instant) -> Duration {
    let (_connection, service) = caller(bus).await;
    let mut longest = Duration::ZERO;
    while Instant::now() < end {
        let begin = Instant::now();
        let readings = service
            .interpret_text("turn on the radio", quiet())
            .await
            .unwrap();
        longest = longest.max(begin.elapsed());
        assert!(!readings.is_empty());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_is_refused_and_everybody_else_is_served() {
    let bus = Bus::start();
    let vocard = Service::start(&bus, NO_MODEL);
    let before = spent(vocard.pid());
    let begin = Instant::now();
    let (flood, longest) = tokio::join!(flood(&bus), converse(&bus, begin + LENGTH));
    let (cost, time) = (spent(vocard.pid()) - before, begin.elapsed().as_secs_f64());
    eprintln!(
        "{} admitted, {} refused, {} by the bus; longest answer to another {longest:?}; {cost:.2} s of processor in {time:.1} s",
        flood.admitted, flood.too_many, flood.by_the_bus
    );
    let share = 100.0 + 20.0 * time;
    assert!(
        flood.admitted as f64 <= share + 1.0,
        "{} of {share}",
        flood.admitted
    );
    assert!(
        flood.admitted >= 100,
        "a burst is admitted: {}",
        flood.admitted
    );
    assert!(flood.too_many > 0);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert!(cost < 0.5 * time, "{cost:.2} s of processor in {time:.1} s");
    let (_connection, service) = caller(&bus).await;
    assert!(counted(&service, "refused_calls").await >= flood.too_many as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_want_no_answer_are_bounded_too() {
    let bus = Bus::start();
    let vocard = Service::start(&bus, NO_MODEL);
    let (flooding, _) = caller(&bus).await;
    let before = spent(vocard.pid());
    let begin = Instant::now();
    let flood = async {
        let mut sent = 0;
        while begin.elapsed() < LENGTH {
            let call = Message::method_call(PATH, "InterpretText");
            let call = call.destination(NAME).interface(NAME);
            let call = call.with_flags(Flags::NO_REPLY_EXPECTED);
            let body = (
                "open the driver window",
                HashMap::<&str, Variant<'_>>::new(),
            );
            flooding.send(&call.build(&body).unwrap()).await.unwrap();
            sent += 1;
        }
        sent
    };
    let (sent, longest) = tokio::join!(flood, converse(&bus, begin + LENGTH));
    let (cost, time) = (spent(vocard.pid()) - before, begin.elapsed().as_secs_f64());
    let (_connection, service) = caller(&bus).await;
    let intents = counted(&service, "intents").await;
    eprintln!(
        "{sent} sent, {intents} understood; longest answer to another {longest:?}; {cost:.2} s of processor in {time:.1} s"
    );
    assert!(
        (100..=101 + (20.0 * time) as u64).contains(&intents),
        "{intents}"
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(vocard.resident() < 256 << 20, "{} bytes", vocard.resident());
}

#[tokio::test]
async fn a_refusal_says_how_long_to_wait_and_is_over_then() {
    let bus = Bus::start();
    let limits = "[bus.limits]\nheavy = { burst = 2, per_second = 2 }\nlight = { burst = 3, per_second = 0.1 }\n";
    let vocard = Service::start(&bus, &format!("{NO_MODEL}{limits}"));
    let (_connection, service) = caller(&bus).await;
    let set = || service.set_entities("contact", &[("1", &["anna"])]);
    set().await.unwrap();
    set().await.unwrap();
    let (name, text) = refusal(set().await);
    assert_eq!(name, "org.vocar.Error.TooManyCalls");
    assert!(text.contains("bus.limits.heavy"), "{text}");
    let wait = text
        .split("wait ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let wait: f64 = wait.unwrap().parse().unwrap();
    assert!(wait > 0.0 && wait <= 0.5, "{text}");
    tokio::time::sleep(Duration::from_secs_f64(wait + 0.01)).await;
    set().await.unwrap();
    // Another program, and another kind of call, is not concerned.
    let (_connection, another) = caller(&bus).await;
    another.set_entities("contact", &[]).await.unwrap();
    service
        .interpret_text("turn on the radio", quiet())
        .await
        .unwrap();

    // A long list costs as much as several calls.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let names: Vec<String> = (0..1500).map(|n| format!("name {n}")).collect();
    let says: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let values: Vec<(&str, &[&str])> = names
        .iter()
        .zip(&says)
        .map(|(id, says)| (id.as_str(), &says[..]))
        .collect();
    service.set_entities("contact", &values).await.unwrap();
    assert_eq!(refusal(set().await).0, "org.vocar.Error.TooManyCalls");

    for _ in 0..3 {
        service.set_privacy_mode(true).await.unwrap();
    }
    let refused = service
        .set_privacy_mode(false)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("bus.limits.light"), "{refused}");
    assert!(service.privacy_mode().await.unwrap());
    assert_eq!(counted(&service, "refused_calls").await, 3);

    // Other limits count from the next call on.
    vocard.configure(NO_MODEL);
    another.reload().await.unwrap();
    set().await.unwrap();
    service.set_privacy_mode(false).await.unwrap();
}
