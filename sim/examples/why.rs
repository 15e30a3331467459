#![allow(clippy::all, missing_docs, clippy::print_stdout)]
use tarn_sim::world::World;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seed: u64 = args[1].parse().unwrap();
    let server: u8 = args[2].parse().unwrap();
    let bug = args.get(3).and_then(|n| tarn_sim::bugs::by_name(n));
    let mut o = tarn_sim::options::Options::draw(seed);
    if let Some(b) = bug { (b.tune)(&mut o); }
    println!("{o}");
    let np = std::env::var("NOPLANT").is_ok(); let plant = || if np { None } else { bug.map(|b| (b.plant)()) }; let report = tarn_sim::schedule::Run::new(o.clone(), plant()).run();
    let mut w = World::new(report.trace.setup.clone(), plant());
    let n = report.trace.events.len();
    let tail: usize = args.get(4).map_or(400, |t| t.parse().unwrap());
    for (i, t) in report.trace.events.iter().enumerate() {
        let desc = if let tarn_sim::event::Event::Delivered { envelope } = &t.event {
            w.envelope(*envelope).map(|e| match &e.body {
                tarn_sim::world::Body::Request { server, request } => format!("-> {server} {:?} {:?}", request.kind(), request.conversation()),
                tarn_sim::world::Body::Answer { server, request, reply } => format!("<- {server} {:?} {:?} {:?}", request.kind(), tarn_sim::world::Said::from(reply.as_ref()), request.conversation()),
                b => format!("{b:?}"),
            })
        } else { None };
        w.apply(t);
        let line = format!("{i} {} {:?} {}", t.at, t.event, desc.unwrap_or_default());
        let facts = format!("{:?}", w.facts());
        let s = format!("s{server} "); 
        let f = format!("ServerId({server})");
        if (server == 255 || line.contains(&s) || line.contains(&f) || facts.contains(&format!("Served {{ server: {f}"))) && i + tail > n {
            println!("{line}");
            for x in w.facts() { let x = format!("{x:?}"); if !x.starts_with("Sent") && !x.starts_with("Stepped") { println!("      {x}"); } }
            if server != 255 { if let Some(sv) = w.server(tarn_sim::ids::ServerId(server)) {
              println!("        streams {:?} gens {:?} sealed {:?} floor {:?}", sv.streams().map(|c| hex(c.as_bytes())).collect::<Vec<_>>(), sv.disk().generations.iter().map(|g| (hex(g.header.version().as_bytes()), g.header.header().sequence_number.get(), g.shares.len())).collect::<Vec<_>>(), sv.disk().sealed, sv.disk().floor.as_ref().map(|f| f.header().sequence_number.get()));
            } }
        }
    }
    if let Some(b) = report.broken { println!("{b}"); }
}
fn hex(b: &[u8]) -> String { b[..4].iter().map(|x| format!("{x:02x}")).collect() }
