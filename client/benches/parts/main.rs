//! How fast the client's parts are alone, on one core: `cargo bench -p tarn-client`, which takes half a minute once it is
//! built. What they make together is measured by `tarn bench`.

mod coding;
mod machine;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    coding::measure(&mut criterion);
    machine::measure(&mut criterion);
    criterion.final_summary();
}
