//! What the tests of speed measure with: the same work as the benches, without criterion around it.
//!
//! ```text
//! yardstick payload EVENTS NOW       prints a batch of SQS records whose times are around NOW (milliseconds)
//! yardstick floor EVENTS ROUNDS      prints the nanoseconds an event of the floor, the median of so many rounds
//! yardstick whole EVENTS ROUNDS      the same of the whole way in process
//! ```

#[path = "../benches/workload.rs"]
mod workload;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;
use workload::{Accepts, Function, NOW, floor, payload};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["payload", events, now] => {
            std::io::stdout().write_all(&payload(number(events), number(now))).expect("a reader of standard output");
        }
        ["floor", events, rounds] => {
            let payload = payload(number(events), NOW);
            report(number(events), number(rounds), || floor(&payload));
        }
        ["whole", events, rounds] => {
            let payload = payload(number(events), NOW);
            let function = Function::new(Accepts);
            report(number(events), number(rounds), || function.whole(payload.clone()).metrics.delivered);
        }
        _ => {
            eprintln!("yardstick payload EVENTS NOW | floor EVENTS ROUNDS | whole EVENTS ROUNDS");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number that fits"))
}

/// The first round fills caches and is not counted.
fn report(events: u32, rounds: usize, mut round: impl FnMut() -> u64) {
    assert_eq!(round(), u64::from(events));
    let mut times = measured(rounds, &mut round);
    times.sort_by(f64::total_cmp);
    if let Some(median) = times.get(times.len() / 2) {
        println!("{:.1}", median / f64::from(events));
    }
}

/// The function whose instructions callgrind counts.
#[inline(never)]
fn measured(rounds: usize, round: &mut impl FnMut() -> u64) -> Vec<f64> {
    let nanoseconds = |start: Instant| start.elapsed().as_secs_f64() * 1e9;
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            round();
            nanoseconds(start)
        })
        .collect()
}
