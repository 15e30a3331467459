use super::*;

#[test]
#[ignore = "by hand"]
fn probe() {
    let wanted = std::env::var("SCOPE").unwrap_or_default();
    let limit = std::env::var("LIMIT").ok().and_then(|l| l.parse().ok()).unwrap_or(20_000);
    for Named { name, scope, .. } in named() {
        if !wanted.is_empty() && !wanted.split(',').any(|w| w == name) {
            continue;
        }
        let order = if std::env::var("DEPTH").is_ok() { Order::Depth } else { scope.order };
        let scope = Scope { limit, order, ..scope };
        #[expect(clippy::disallowed_methods, reason = "a probe")]
        let start = std::time::Instant::now();
        let found = explore(&scope);
        println!(
            "{name}: {} states {} transitions complete {} deepest {} {:?} {:?}",
            found.states, found.transitions, found.complete, found.deepest, found.told, start.elapsed()
        );
        if let Some((trace, broken)) = &found.violation {
            println!("{broken}\n{}", serde_json::to_string_pretty(&trace.events.len()).unwrap());
        }
    }
}
