//! Lives through scenarios from seed 0 on, and then those that have failed once, until one breaks a rule; says on one line
//! which scenario that was, counted from 1.
//!
//!     cargo run -p floatip-world --example hunt -- 20000

use floatip_world::{Search, regressions};

fn main() {
    let scenarios = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::panic::set_hook(Box::new(|_| {}));
    let of = |seeds, threads| Search { seeds, threads }.run().1;
    match of(0..scenarios, threads).or_else(|| regressions().find_map(|seed| of(seed..seed + 1, 1))) {
        Some(violation) => println!("{} {}", violation.seed + 1, violation.broken.join("; ")),
        None => println!("- not caught by {scenarios} scenarios and what has failed once"),
    }
}
