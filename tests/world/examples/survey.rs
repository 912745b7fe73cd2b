//! Says of every scenario that breaks a rule what it breaks, one a line.
//!
//!     cargo run --release -p floatip-world --example survey -- 100000              of the first 100 000
//!     cargo run --release -p floatip-world --example survey -- 100000 500000       of 100 000 from seed 500 000 on

use floatip_world::Search;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let (scenarios, first) = (numbers.next().unwrap_or(100_000), numbers.next().unwrap_or(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::panic::set_hook(Box::new(|_| {}));
    let search = Search { seeds: first..first + scenarios, threads };
    let mut broken = 0;
    let tally = search.survey(|violation| {
        broken += 1;
        let what: String = violation.broken.join("; ").chars().take(160).collect();
        println!("{} {what}", violation.seed);
    });
    println!("{broken} of {} scenarios", tally.scenarios);
}
