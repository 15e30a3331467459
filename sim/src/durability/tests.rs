//! The simulation against what is known of it otherwise: closed forms, the shipped placement, and itself.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::placement::plan;
use tarn_client::quorum::{Placement, is_quorum};
use tarn_proto::{Shape, ShareNumber, StoreId, Window};

use super::closed_form::fewer_than;
use super::files::{ServerIndex, ShareSet};
use super::layout::{ShippedLayout, WindowSampler};
use super::repair::additions;
use super::servers::Stream;
use super::{Options, OptionsError, Report, advise, run};

const FILES: u32 = 5_000;

/// A grid so small and so bad that much happens in a moment.
fn small() -> Options {
    Options {
        servers: 400,
        files: FILES,
        years: 2.0,
        loss_per_year: 0.4,
        absences_per_year: 0.0,
        repair_interval_hours: Some(73.05),
        ..Options::default()
    }
}

fn shape(k: u32, happy: u32, n: u32) -> Shape {
    Shape::new(k, happy, n).unwrap()
}

fn report(options: &Options) -> Report {
    run(options).unwrap()
}

/// Whether a count is within what chance explains of `expected`: files share servers, so their counts vary more than if
/// each were drawn for itself; `slack` is how much of the expectation that may be.
#[track_caller]
fn assert_near(count: u64, expected: f64, slack: f64) {
    let tolerance = 5.0 * expected.sqrt() + slack * expected;
    assert!((count as f64 - expected).abs() < tolerance, "{count} where {expected:.1} is expected");
}

#[test]
fn without_repair_files_are_lost_as_the_binomial_says() {
    let mut lost = 0;
    let survival = (-0.4_f64 * 2.0).exp();
    for seed in 0..5 {
        let options = Options { repair_interval_hours: None, seed, ..small() };
        let report = report(&options);
        lost += report.files_lost();
        let chain = report.lost_by_chain();
        assert!((chain / fewer_than(3, 10, survival) - 1.0).abs() < 1e-9, "{chain}");
    }
    assert_near(lost, 5.0 * f64::from(FILES) * fewer_than(3, 10, survival), 0.08);
}

#[test]
fn windows_lose_their_quorum_as_the_binomial_says_whatever_is_repaired() {
    for weibull_shape in [1.0, 3.0] {
        let (mut gone, mut expected) = (0, 0.0);
        for seed in 0..5 {
            let report = report(&Options { seed, weibull_shape, ..small() });
            gone += report.files_stuck() + report.files_lost();
            expected += report.stuck_by(2.0) * f64::from(FILES);
        }
        assert!(expected > 1_000.0, "{expected}");
        assert_near(gone, expected, 0.08);
    }
}

#[test]
fn with_repair_files_are_lost_as_the_chain_says() {
    // Checks once a month, so that losses between two checks matter.
    let (mut lost, mut expected) = (0, 0.0);
    for seed in 0..8 {
        let options = Options {
            shape: shape(3, 4, 6),
            repair_interval_hours: Some(730.5),
            repair_threshold: Some(6),
            loss_per_year: 1.0,
            seed,
            ..small()
        };
        let report = report(&options);
        lost += report.files_lost();
        expected += report.lost_by_chain() * f64::from(FILES);
    }
    assert!(expected > 500.0, "{expected}");
    assert_near(lost, expected, 0.1);
}

#[test]
fn copies_on_all_servers_of_a_window_cannot_be_repaired() {
    // 1 of 3 on a window of 3: nowhere to put a copy, so all three must be lost, repaired or not.
    let gone = 1.0 - (-0.8_f64).exp();
    for repair_interval_hours in [None, Some(24.0)] {
        let options = Options { shape: shape(1, 2, 3), repair_interval_hours, ..small() };
        assert_near(report(&options).files_lost(), f64::from(FILES) * gone.powi(3), 0.15);
    }
}

#[test]
fn absences_take_the_quorum_away_as_the_binomial_says() {
    let options = Options {
        loss_per_year: 0.0,
        absences_per_year: 100.0,
        absence_mean_hours: 24.0,
        years: 1.0,
        ..small()
    };
    let report = report(&options);
    let (got, expected) = (report.unwritable_fraction(), report.unwritable_when_new());
    assert!(expected > 1e-3 && (got / expected - 1.0).abs() < 0.1, "{got} {expected}");
    assert!(report.unreadable_fraction() > 0.0);
    assert_eq!((report.files_lost(), report.files_stuck()), (0, 0));
}

#[test]
fn a_window_that_moves_keeps_its_quorum() {
    let staying = report(&small());
    let moving = report(&Options { move_windows: true, ..small() });
    assert!(staying.files_stuck() > 500, "{}", staying.files_stuck());
    assert_eq!((moving.files_stuck(), moving.files_lost()), (0, 0));
}

#[test]
fn repair_that_has_no_patience_stores_copies() {
    let hasty = Options { absences_per_year: 24.0, absence_grace_hours: 0.0, ..small() };
    let patient = Options { absence_grace_hours: 96.0, ..hasty };
    let (hasty, patient) = (report(&hasty), report(&patient));
    assert!(hasty.overhead_at_end() > 1.1 * patient.overhead_at_end());
    assert!(hasty.repair_mib_per_server_day() > patient.repair_mib_per_server_day());
}

#[test]
fn scarce_bandwidth_makes_repair_late() {
    let ample = report(&small());
    let scarce = report(&Options { bandwidth_mib: 0.001, share_kib: 1 << 20, ..small() });
    assert!(scarce.files_lost() > ample.files_lost());
}

#[test]
fn a_zone_takes_its_servers_with_it() {
    let calm = Options { loss_per_year: 0.0, zones: 4, zone_absences_per_year: 50.0, ..small() };
    // Four zones of a window of 13: any two of them take at least six servers, and often seven.
    let report = report(&calm);
    assert!(report.unwritable_fraction() > 0.0 && report.servers_lost() == 0);
    let lost = Options { zone_loss_per_year: 1.0, ..calm };
    assert!(run(&lost).unwrap().servers_lost() >= 100);
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let options = Options {
        zones: 7,
        zone_loss_per_year: 0.2,
        absences_per_year: 20.0,
        move_windows: true,
        ..small()
    };
    let (one, other) = (report(&options), report(&options));
    assert_eq!(one.to_string(), other.to_string());
    assert_eq!(one.svg(), other.svg());
    let third = report(&Options { seed: 2, ..options });
    assert_ne!(one.to_string(), third.to_string());
}

#[test]
fn shares_are_spread_evenly() {
    let text = report(&Options { years: 0.01, ..small() }).to_string();
    let line = text.lines().find(|line| line.starts_with("at the start")).unwrap();
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [least, .., most, mean] = numbers[..] else { panic!("{line}") };
    // 10 shares of 5,000 files on 400 servers; five standard deviations of a binomial are 56.
    assert_eq!(mean, 125.0);
    assert!(least > 69.0 && most < 181.0, "{line}");
}

#[test]
fn the_sampler_draws_windows_as_the_shipped_rule_does() {
    // Every window of 3 (in order) of 5 servers, without zones and with three uneven ones: a chi-square test of two samples.
    const DRAWS: u32 = 30_000;
    for zones in [0, 3] {
        let options = Options { servers: 5, zones, ..Options::default() };
        let shipped = ShippedLayout::new(&options);
        let mut rng = Stream::Layout.rng(1);
        let mut sampler = WindowSampler::new(5, zones);
        let mut counts: BTreeMap<Vec<ServerIndex>, [f64; 2]> = BTreeMap::new();
        let mut window = Vec::new();
        for file in 0..DRAWS {
            sampler.draw(3, &mut rng, &mut window);
            counts.entry(window.clone()).or_default()[0] += 1.0;
            let drawn = shipped.window(file, shape(1, 2, 3));
            counts.entry(drawn).or_default()[1] += 1.0;
        }
        let chi: f64 = counts.values().map(|[a, b]| (a - b).powi(2) / (a + b)).sum();
        let degrees = (counts.len() - 1) as f64;
        assert!(degrees > 20.0 && chi < degrees + 4.0 * (2.0 * degrees).sqrt(), "{chi} {degrees}");
    }
}

#[test]
fn the_plan_by_places_is_the_plan_by_store_ids() {
    // The same window under store ids in another order: what is brought does not depend on them.
    let held = [0b11, 0b100, 0, 0b1100, 0b10000, 0].map(ShareSet);
    let shape = shape(2, 4, 7);
    let by_place = additions(shape, 4, &held);
    let store = |slot: usize| StoreId::new([[90, 3, 77, 12, 50, 41][slot]; 16]);
    let servers: Vec<StoreId> = (0..6).map(store).collect();
    let numbers = |shares: ShareSet| -> BTreeSet<ShareNumber> {
        shares.numbers().filter_map(ShareNumber::new).collect()
    };
    let before: Placement = (0..6).map(|slot| (store(slot), numbers(held[slot]))).collect();
    let goal = plan(shape, &servers, &before, 4);
    for slot in 0..6 {
        let wanted = goal.get(&store(slot)).cloned().unwrap_or_default();
        let brought: BTreeSet<_> = wanted.difference(&before[&store(slot)]).copied().collect();
        assert_eq!(brought, numbers(by_place[slot]), "place {slot}");
    }
    assert!(by_place.iter().any(|shares| !shares.is_empty()));
}

#[test]
fn a_quorum_can_be_written_exactly_when_so_many_servers_are_up() {
    for shape in [shape(1, 1, 1), shape(1, 2, 3), shape(3, 7, 10), shape(5, 7, 8), shape(1, 6, 6)] {
        let options = Options { shape, ..Options::default() };
        let terms = options.check().unwrap();
        let store = |i: usize| StoreId::new([u8::try_from(i).unwrap(); 16]);
        let window = Window::new((0..terms.window).map(store).collect()).unwrap();
        assert_eq!(window.quorum(shape), terms.quorum);
        for up in 0..=terms.window {
            let placed = plan(shape, &window.stores()[..up], &Placement::new(), terms.quorum);
            let counted = tarn_client::quorum::Terms { shape, window: &window, joint: None };
            assert_eq!(is_quorum(counted, &placed), up >= terms.quorum, "{shape}, {up} up");
        }
    }
}

#[test]
fn shapes_are_compared_by_files_of_one_size() {
    let options = Options { files: 2_000, years: 0.5, ..small() };
    let shapes = [shape(1, 2, 3), shape(3, 7, 10)];
    let advice = advise(&options, &shapes).unwrap();
    let overheads: Vec<f64> = advice.rows().iter().map(|(_, r)| r.overhead()).collect();
    assert_eq!(overheads, [3.0, 10.0 / 3.0]);
    assert!(advice.to_string().contains("1-of-3, happy 2"));
    assert_well_formed(&advice.svg());
    assert_eq!(advise(&options, &[]).err(), Some(OptionsError::NoShapes));
}

#[test]
fn a_report_is_drawn_as_well_formed_svg() {
    let options = Options { files: 2_000, absences_per_year: 30.0, ..small() };
    assert_well_formed(&report(&options).svg());
    let nothing = Options { files: 1, servers: 1, loss_per_year: 0.0, ..options };
    assert_well_formed(&report(&nothing).svg());
}

/// Every element is closed in order, attributes are quoted, and no number is infinite or none.
#[track_caller]
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>'), "{text}");
        let (tag, next) = after.split_once('>').unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_matches('/').split_whitespace().next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = next;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
    assert!(svg.starts_with("<svg xmlns=") && !svg.contains("NaN") && !svg.contains("inf\""));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |options: Options| run(&options).err().unwrap();
    assert_eq!(refused(Options { servers: 0, ..small() }), OptionsError::Servers(0));
    assert_eq!(refused(Options { files: 0, ..small() }), OptionsError::NoFiles);
    assert_eq!(refused(Options { shape: shape(3, 7, 65), ..small() }), OptionsError::Shares(65));
    let threshold = Options { repair_threshold: Some(11), ..small() };
    assert_eq!(refused(threshold), OptionsError::Threshold { n: 10, got: 11 });
    let zones = OptionsError::Zones { zones: 401, servers: 400 };
    assert_eq!(refused(Options { zones: 401, ..small() }), zones);
    for years in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e5] {
        assert!(matches!(refused(Options { years, ..small() }), OptionsError::Number { .. }));
    }
    assert!(matches!(
        refused(Options { loss_per_year: -0.1, ..small() }),
        OptionsError::Number { name: "losses per year", .. }
    ));
    assert!(matches!(
        refused(Options { files: u32::MAX, ..small() }),
        OptionsError::Memory { window: 13, .. }
    ));
}
