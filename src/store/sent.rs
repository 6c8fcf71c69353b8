//! `hub_sent`: acknowledged intervals of each epoch's counter, merged. Everything else in log and history is unsent.

use rusqlite::{Connection, params};

use super::batches::Interval;
use super::error::Result;
use crate::domain::Seq;

/// Adds an interval and merges it with those it overlaps or touches.
pub fn add(connection: &Connection, interval: Interval) -> Result<()> {
    let Interval { epoch_no, lo, hi } = interval;
    let (lo, hi) = (lo.0 as i64, hi.0 as i64);
    let (lo, hi) = connection
        .prepare_cached(
            "SELECT min(?2, coalesce(min(seq_lo), ?2)), max(?3, coalesce(max(seq_hi), ?3)) FROM hub_sent
             WHERE epoch_no = ?1 AND seq_lo <= ?3 + 1 AND seq_hi >= ?2 - 1",
        )?
        .query_row(params![epoch_no, lo, hi], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    connection
        .prepare_cached("DELETE FROM hub_sent WHERE epoch_no = ?1 AND seq_lo BETWEEN ?2 AND ?3")?
        .execute(params![epoch_no, lo, hi])?;
    connection
        .prepare_cached("INSERT INTO hub_sent (epoch_no, seq_lo, seq_hi) VALUES (?1, ?2, ?3)")?
        .execute(params![epoch_no, lo, hi])?;
    Ok(())
}

/// The acknowledged intervals of an epoch, in order.
pub fn intervals(connection: &Connection, epoch_no: u32) -> Result<Vec<(Seq, Seq)>> {
    let mut statement = connection
        .prepare_cached("SELECT seq_lo, seq_hi FROM hub_sent WHERE epoch_no = ?1 ORDER BY seq_lo")?;
    let rows = statement
        .query_map([epoch_no], |row| {
            Ok((Seq(row.get::<_, i64>(0)? as u64), Seq(row.get::<_, i64>(1)? as u64)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// What of `1..=top` none of `taken` covers, in order. `taken` may be in any order and overlap.
pub fn gaps(taken: &[(Seq, Seq)], top: Seq) -> Vec<(Seq, Seq)> {
    let mut taken = taken.to_vec();
    taken.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = 1;
    for (lo, hi) in taken {
        if lo.0 > next && next <= top.0 {
            gaps.push((Seq(next), Seq((lo.0 - 1).min(top.0))));
        }
        next = next.max(hi.0.saturating_add(1));
    }
    if next <= top.0 {
        gaps.push((Seq(next), top));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_left() {
        let check = |taken: &[(u64, u64)], top, want: &[(u64, u64)]| {
            let pairs =
                |list: &[(u64, u64)]| -> Vec<_> { list.iter().map(|&(lo, hi)| (Seq(lo), Seq(hi))).collect() };
            assert_eq!(gaps(&pairs(taken), Seq(top)), pairs(want), "{taken:?} of 1 to {top}");
        };
        check(&[], 0, &[]);
        check(&[], 5, &[(1, 5)]);
        check(&[(1, 5)], 5, &[]);
        check(&[(1, 9)], 5, &[]);
        check(&[(2, 3)], 5, &[(1, 1), (4, 5)]);
        check(&[(4, 5), (1, 2)], 5, &[(3, 3)]);
        check(&[(1, 3), (2, 4)], 6, &[(5, 6)]);
        check(&[(3, u64::MAX)], 6, &[(1, 2)]);
        check(&[(8, 9)], 6, &[(1, 6)]);
    }
}
