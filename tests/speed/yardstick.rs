//! What the tests of speed measure with: the same work as the benches, without criterion around it.
//!
//! ```text
//! yardstick payload EVENTS NOW       prints a batch of SQS records whose times are around NOW (milliseconds)
//! yardstick times EVENTS ROUNDS      the floor and the whole way in process, in turn, and the stages of the whole: medians of
//!                                    so many rounds, in nanoseconds an event
//! yardstick floor EVENTS ROUNDS      only so many rounds of the floor, for callgrind
//! yardstick whole EVENTS ROUNDS      the same of the whole way
//! ```

#[path = "../benches/workload.rs"]
mod workload;

use amp_push_gateway::instrumentation::Stages;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use workload::{Accepts, Function, NOW, floor, payload};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["payload", events, now] => {
            std::io::stdout().write_all(&payload(number(events), number(now))).expect("a reader of standard output");
        }
        ["times", events, rounds] => times(number(events), number(rounds)),
        ["floor", events, rounds] => {
            let payload = payload(number(events), NOW);
            measured(number(rounds), || floor(&payload));
        }
        ["whole", events, rounds] => {
            let payload = payload(number(events), NOW);
            let function = Function::new(Accepts);
            // The first one fills what is filled once.
            function.whole(payload.clone());
            measured(number(rounds), || function.whole(payload.clone()).metrics.delivered);
        }
        _ => {
            eprintln!("yardstick payload EVENTS NOW | times EVENTS ROUNDS | floor EVENTS ROUNDS | whole EVENTS ROUNDS");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number that fits"))
}

/// The function whose instructions callgrind counts.
#[inline(never)]
fn measured(rounds: usize, mut round: impl FnMut() -> u64) {
    for _ in 0..rounds {
        std::hint::black_box(round());
    }
}

/// In turn, so that both meet the same noise.
fn times(events: u32, rounds: usize) {
    let payload = payload(events, NOW);
    let function = Function::new(Accepts);
    let mut rounds: Vec<_> = (0..=rounds)
        .map(|_| {
            let start = Instant::now();
            let parsed = floor(&payload);
            let floor = start.elapsed();
            // A buffer of its own, as each invocation has it.
            let payload = payload.to_vec().into();
            let start = Instant::now();
            let metrics = function.whole(payload).metrics;
            let whole = start.elapsed();
            assert_eq!((parsed, metrics.delivered), (u64::from(events), u64::from(events)));
            (floor, whole, metrics.stages)
        })
        .collect();
    // Caches were cold.
    rounds.remove(0);
    let print = |name: &str, time: &dyn Fn(&Stages) -> Duration| {
        let times = rounds.iter().map(|(_, _, stages)| time(stages).as_secs_f64());
        println!("{name} {:.1}", median(times) * 1e9 / f64::from(events));
    };
    let nanoseconds = |seconds: f64| seconds * 1e9 / f64::from(events);
    println!("floor {:.1}", nanoseconds(median(rounds.iter().map(|(floor, ..)| floor.as_secs_f64()))));
    println!("whole {:.1}", nanoseconds(median(rounds.iter().map(|(_, whole, _)| whole.as_secs_f64()))));
    println!("ratio {:.3}", median(rounds.iter().map(|(floor, whole, _)| whole.as_secs_f64() / floor.as_secs_f64())));
    print("read", &|stages| stages.read);
    print("merge", &|stages| stages.merge);
    print("encode", &|stages| stages.encode);
    print("send", &|stages| stages.send);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().expect("at least one round")
}
