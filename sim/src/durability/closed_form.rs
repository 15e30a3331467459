//! What can be said of a file without simulating it: binomial tails and a small Markov chain. Servers are independent here;
//! there are no zones.

use tarn_proto::Shape;

use super::files::ShareSet;
use super::repair::additions;

/// The probability that fewer than `enough` of `count` independent things are there, each with probability `p`.
pub(super) fn fewer_than(enough: usize, count: usize, p: f64) -> f64 {
    (0..enough.min(count + 1)).map(|there| binomial(count, there, p)).sum()
}

/// The probability that exactly `there` of `count` are there.
pub(super) fn binomial(count: usize, there: usize, p: f64) -> f64 {
    choose(count, there) * power(p, there) * power(1.0 - p, count - there)
}

/// How many subsets of `size` there are of `count`.
pub(super) fn choose(count: usize, size: usize) -> f64 {
    (0..size).map(|i| (count - i) as f64 / (i + 1) as f64).product()
}

fn power(base: f64, exponent: usize) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

/// The probability that a file is lost within `steps` checks, each of which repairs all that is missing at once and on
/// the servers left, when a server is lost between two checks with probability `loss`. A Markov chain over the number
/// of servers left; `window` of them at the start.
pub(super) fn lost_with_repair(
    shape: Shape,
    window: usize,
    quorum: usize,
    loss: f64,
    steps: u64,
) -> f64 {
    // fatal[m][d]: how likely a file whose shares are spread over m servers is lost when any d of them are.
    let fatal: Vec<Vec<f64>> = (0..=window)
        .map(|servers| {
            let spread = additions(shape, quorum, &vec![ShareSet::default(); servers]);
            fatal_losses(&spread, usize::from(shape.k()))
        })
        .collect();
    let mut left = vec![0.0; window + 1];
    left[window] = 1.0;
    let mut lost = 0.0;
    for _ in 0..steps {
        let mut next = vec![0.0; window + 1];
        for (servers, &likely) in left.iter().enumerate().filter(|(_, likely)| **likely > 0.0) {
            for gone in 0..=servers {
                let moved = likely * binomial(servers, gone, loss);
                lost += moved * fatal[servers][gone];
                next[servers - gone] += moved * (1.0 - fatal[servers][gone]);
            }
        }
        left = next;
    }
    lost
}

/// For each number of servers lost, in which part of the ways to choose them fewer than k distinct shares remain.
/// For placements in which a server has several shares, or a share several servers, but not both.
fn fatal_losses(held: &[ShareSet], k: usize) -> Vec<f64> {
    // ways[gone][left]: subsets of the servers, by how many are gone and how many distinct shares are left.
    let mut ways = vec![vec![0.0; 65]; held.len() + 1];
    ways[0][0] = 1.0;
    let mut groups: Vec<(ShareSet, usize)> = Vec::new();
    for &shares in held {
        match groups.iter_mut().find(|(same, _)| *same == shares) {
            Some((_, servers)) => *servers += 1,
            None => groups.push((shares, 1)),
        }
    }
    for (shares, servers) in groups {
        let mut next = vec![vec![0.0; 65]; held.len() + 1];
        for (gone, row) in ways.iter().enumerate() {
            for (left, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0.0) {
                for more in 0..=servers {
                    let kept = if more < servers { shares.count() } else { 0 };
                    next[gone + more][left + kept] += count * choose(servers, more);
                }
            }
        }
        ways = next;
    }
    let fatal =
        |(gone, row): (usize, &Vec<f64>)| row[..k].iter().sum::<f64>() / choose(held.len(), gone);
    ways.iter().enumerate().map(fatal).collect()
}

/// A 95 % confidence interval of the mean of a Poisson distribution that gave `count` (Garwood's, by the Wilson–Hilferty
/// approximation of the χ² quantiles).
pub(super) fn poisson_interval(count: u64) -> (f64, f64) {
    let bound = |degrees: f64, z: f64| {
        let spread = 1.0 / (9.0 * degrees);
        degrees * (1.0 - spread + z * spread.sqrt()).powi(3)
    };
    let low = if count == 0 { 0.0 } else { bound(count as f64, -1.96) };
    (low, bound(count as f64 + 1.0, 1.96))
}

/// The gamma function, for arguments from one upwards (Lanczos).
pub(super) fn gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const COEFFICIENTS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let series: f64 = COEFFICIENTS
        .iter()
        .enumerate()
        .map(|(i, c)| if i == 0 { *c } else { c / (x + i as f64) })
        .sum();
    let t = x + G + 0.5;
    (2.0 * std::f64::consts::PI).sqrt() * t.powf(x + 0.5) * (-t).exp() * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_tails_by_hand() {
        assert!((fewer_than(1, 3, 0.5) - 0.125).abs() < 1e-12);
        assert!((fewer_than(2, 3, 0.9) - 0.028).abs() < 1e-12);
        assert!((fewer_than(9, 3, 0.9) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn gamma_at_known_points() {
        for (x, value) in [(1.0, 1.0), (2.0, 1.0), (5.0, 24.0), (1.5, 0.886_226_925_452_758)] {
            assert!((gamma(x) / value - 1.0).abs() < 1e-10, "{x}");
        }
    }

    #[test]
    fn poisson_intervals_are_near_the_exact_ones() {
        for (count, low, high) in [(0, 0.0, 3.689), (1, 0.025, 5.572), (100, 81.36, 121.63)] {
            let got = poisson_interval(count);
            assert!((got.0 - low).abs() < 0.02 && (got.1 - high).abs() < 0.05, "{got:?}");
        }
    }

    #[test]
    fn fatal_losses_of_one_share_a_server_are_a_threshold() {
        let spread: Vec<ShareSet> = (0..5).map(ShareSet::of).collect();
        assert_eq!(fatal_losses(&spread, 3), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn fatal_losses_count_crowded_servers_and_copies() {
        // Shares 0 and 1 on one server, 2 on another: losing the first of them leaves one share.
        let crowded = [ShareSet(0b011), ShareSet(0b100)];
        assert_eq!(fatal_losses(&crowded, 2), [0.0, 0.5, 1.0]);
        let copies = [ShareSet(1), ShareSet(1), ShareSet(2)];
        assert_eq!(fatal_losses(&copies, 2)[1], 1.0 / 3.0);
    }

    #[test]
    fn copies_on_every_server_are_lost_only_with_all() {
        let shape = Shape::new(1, 1, 3).unwrap();
        let lost = lost_with_repair(shape, 3, 2, 0.1, 10);
        let gone = 1.0 - 0.9_f64.powi(10);
        assert!((lost - gone.powi(3)).abs() < 1e-12, "{lost}");
    }
}
