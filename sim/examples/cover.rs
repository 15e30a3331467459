#![allow(clippy::all, missing_docs, clippy::print_stdout)]
fn main() { let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
 let mut c = tarn_sim::coverage::Coverage::default();
 for s in a[0]..a[1] { let r = tarn_sim::schedule::run(s); if let Some(b) = &r.broken { println!("seed {s}: {b}"); } c.play(&r.trace); }
 println!("{c}"); }
