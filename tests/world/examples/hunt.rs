//! Lives through scenarios from seed 0 on until one breaks a rule, and says on one line how many that took.
//!
//!     cargo run -p floatip-world --example hunt -- 20000

use floatip_world::Search;

fn main() {
    let scenarios = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::panic::set_hook(Box::new(|_| {}));
    match (Search { seeds: 0..scenarios, threads }).run().1 {
        Some(violation) => println!("{} {}", violation.seed + 1, violation.broken.join("; ")),
        None => println!("- not caught by {scenarios} scenarios"),
    }
}
