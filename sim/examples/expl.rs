#![allow(clippy::all, missing_docs, clippy::print_stdout)]
use tarn_sim::explore::explore_planted;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let scope = tarn_sim::explore::named().into_iter().find(|n| n.name == a[1]).unwrap();
    for b in &a[2..] {
        let at = std::time::Instant::now();
        let bug = tarn_sim::bugs::by_name(b).unwrap();
        let mut e = explore_planted(&scope.scope, (bug.plant)().as_ref());
        let mut s = format!("{e:?}");
        s.truncate(600);
        println!("{b} in {}: {:.1}s {s}", a[1], at.elapsed().as_secs_f64());
        let _ = &mut e;
    }
}
