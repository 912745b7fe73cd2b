//! How many scenarios the engine lives through without breaking a rule, and how fast.
//!
//!     cargo bench -p floatip-world                 1 000 000 scenarios
//!     cargo bench -p floatip-world -- 50000        50 000
//!     cargo bench -p floatip-world -- 50000 7000000    50 000 from seed 7 000 000 on
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::process::ExitCode;
use std::time::Instant;

use floatip_world::{Search, replay};

fn main() -> ExitCode {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let scenarios = numbers.next().unwrap_or(1_000_000);
    let first = numbers.next().unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let began = Instant::now();
    let (tally, violation) = Search { seeds: first..first + scenarios, threads }.run();
    let took = began.elapsed().as_secs_f64();
    let hours = tally.lived.as_secs_f64() / 3600.0;
    println!("scenarios                   {:>12}", tally.scenarios);
    println!("moves                       {:>12}", tally.moves);
    println!("inputs to engines           {:>12}", tally.turns);
    println!("simulated hours             {hours:>12.0}");
    println!("seconds                     {took:>12.1}, on {threads} threads");
    println!("simulated hours per second  {:>12.1}", hours / took);
    println!("violations                  {:>12}", u8::from(violation.is_some()));
    let Some(violation) = violation else { return ExitCode::SUCCESS };
    println!("{}\nseed {}: {:#?}", replay(violation.seed).0, violation.seed, violation.broken);
    println!("FLOATIP_WORLD_SEED={} cargo test -p floatip-world", violation.seed);
    ExitCode::FAILURE
}
