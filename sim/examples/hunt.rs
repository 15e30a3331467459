#![allow(clippy::all, missing_docs, clippy::print_stdout)]
use std::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let start: u64 = args[1].parse().unwrap();
    let most: u64 = args[2].parse().unwrap();
    let jobs: u64 = args[3].parse().unwrap();
    for name in &args[4..] {
        let bug = tarn_sim::bugs::by_name(name).unwrap();
        let at = Instant::now();
        let next = AtomicU64::new(start);
        let best = AtomicU64::new(u64::MAX);
        std::thread::scope(|s| for _ in 0..jobs { s.spawn(|| loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= start + most || seed > best.load(Ordering::Relaxed) { return; }
            let Some(broken) = bug.run(seed).broken else { continue };
            let mut o = tarn_sim::options::Options::draw(seed);
            (bug.tune)(&mut o);
            let clean = tarn_sim::schedule::Run::new(o, None).run();
            if let Some(b) = clean.broken { println!("   {name} {seed} !!! NOT CLEAN: {} {}", b.promise.id, b.detail); continue }
            best.fetch_min(seed, Ordering::Relaxed);
            println!("{name}: seed {seed} after {:.1}s: {} {}", at.elapsed().as_secs_f64(), broken.promise.id, broken.detail);
            return;
        }); });
        if best.load(Ordering::Relaxed) == u64::MAX { println!("{name}: NOT FOUND in {start}+{most}, {:.1}s", at.elapsed().as_secs_f64()); }
    }
}
