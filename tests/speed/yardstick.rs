//! The program that the tests of speed measure: the same work as the benches, without criterion.
//!
//! ```text
//! yardstick payload EVENTS NOW       prints a batch of SQS records whose times are around NOW (milliseconds)
//! yardstick costs EVENTS ROUNDS      prints the cost of the floor, of the whole way in process, and of its stages: medians of
//!                                    ROUNDS rounds, in nanoseconds for each event
//! yardstick floor EVENTS ROUNDS      runs ROUNDS rounds of the floor, for callgrind
//! yardstick whole EVENTS ROUNDS      runs ROUNDS rounds of the whole way
//! yardstick otlp FILE ROUNDS         runs ROUNDS rounds of an OTLP request in protobuf to signed requests
//! yardstick aggregate COUNT ROUNDS   runs ROUNDS rounds of adding up COUNT increments of 50 counters
//! yardstick increments COUNT ROUNDS  prints the median cost of such an increment in nanoseconds
//! ```

#[path = "../benches/workload.rs"]
mod workload;

mod increments;

use increments::{aggregate, cost_of_increments, increments};
use std::io::Write as _;
use std::process::ExitCode;
use workload::{Accepts, Function, NOW, costs, floor, payload};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["payload", events, now] => {
            std::io::stdout().write_all(&payload(number(events), number(now))).expect("a reader of standard output");
        }
        ["costs", events, rounds] => {
            for (part, cost) in costs(number(events), number(rounds)) {
                println!("{part} {cost:.3}");
            }
        }
        ["floor", events, rounds] => {
            let payload = payload(number(events), NOW);
            measured(number(rounds), || floor(&payload));
        }
        ["whole", events, rounds] => {
            let payload = payload(number(events), NOW);
            let function = Function::new(Accepts);
            // The first run fills caches.
            function.whole(payload.clone());
            measured(number(rounds), || function.whole(payload.clone()).summary.delivered);
        }
        ["otlp", file, rounds] => {
            let body = std::fs::read(file).expect("the request");
            let function = Function::new(Accepts);
            function.otlp(&body);
            measured(number(rounds), || function.otlp(&body));
        }
        ["aggregate", count, rounds] => {
            let increments = increments(number(count));
            measured(number(rounds), || aggregate(&increments));
        }
        ["increments", count, rounds] => println!("{:.1}", cost_of_increments(number(count), number(rounds))),
        _ => {
            eprintln!(
                "yardstick payload EVENTS NOW | costs|floor|whole EVENTS ROUNDS | otlp FILE ROUNDS | aggregate|increments COUNT ROUNDS"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number that fits"))
}

/// The function whose instructions callgrind counts.
#[inline(never)]
fn measured(rounds: usize, mut round: impl FnMut() -> u64) {
    for _ in 0..rounds {
        std::hint::black_box(round());
    }
}
