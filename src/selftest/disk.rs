//! The disk: how long a commit takes that survives a power cut.

use anyhow::{Result, bail};

use super::Bench;
use crate::store::trial;

/// Enough for a 99th percentile that is not the single worst.
const COMMITS: usize = 200;
/// A card at its end takes seconds for each commit; nobody waits for all of them then.
const US_MAX: i64 = 30_000_000;
/// A device listens for its acknowledgement 1 s after its frame, and the commit comes before it.
const SLOW_US: i64 = 500_000;
/// The hub commits every 5 s: what takes longer falls behind for ever.
const TOO_SLOW_US: i64 = 5_000_000;

pub fn check(bench: &Bench) -> Result<String> {
    let times = trial::commit_times(bench.dir()?, COMMITS, US_MAX, &|| bench.clock.mono_us())?;
    let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
    let figures = format!("{} commits: p50 {}, p99 {}", times.len(), milliseconds(p50), milliseconds(p99));
    if p99 > TOO_SLOW_US {
        bail!("{figures}; the hub commits every 5 s and would fall behind: replace the card or disk");
    }
    let is_slow = p99 > SLOW_US;
    Ok(if is_slow { format!("{figures}; slow: LoRaWAN acknowledgements may come late") } else { figures })
}

/// Of at least one time.
fn percentile(sorted: &[i64], percent: usize) -> i64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(us: i64) -> String {
    format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (50, 99));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99)), (7, 7));
        assert_eq!((percentile(&[1, 9], 50), percentile(&[1, 9], 99)), (1, 9));
        assert_eq!(milliseconds(1_062), "1.06 ms");
    }
}
