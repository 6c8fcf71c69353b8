//! Placing the boots that ended before anything vouched for the time: pure, over the rows of `hub_boots`.

use super::trust::{Boot, BootReason, Placement, Quality};

/// Two crystals of a small computer, warm and cold, against each other.
const DRIFT_PPM: i64 = 100;
/// A box that was off for longer than this was being sold, not cut off: such boots lie near the end of what is known.
pub const OUTAGE_MS_MAX: i64 = 24 * 3_600_000;

/// Placements for the unplaced segments among `boots` (all rows of `hub_boots`, by segment) as far as they can be known:
/// - within a boot that was placed later, exactly, because the monotonic clock does not step;
/// - before a boot that is placed, between it and the largest time known before, the outages shared out evenly.
///
/// Segments after the last placed boot stay unplaced.
pub fn estimate(boots: &[Boot]) -> Vec<(u32, Placement)> {
    let mut placed: Vec<(u32, Placement)> = Vec::new();
    let groups: Vec<&[Boot]> = boots.chunk_by(|a, b| a.boot_id == b.boot_id).collect();
    for group in &groups {
        for (index, boot) in group.iter().enumerate().filter(|(_, boot)| boot.placement.is_none()) {
            placed.extend(within_boot(group, index).map(|placement| (boot.segment, placement)));
        }
    }
    let mut first = 0;
    while first < groups.len() {
        let run = groups[first..].iter().take_while(|group| offset_of(group, &placed).is_none()).count();
        if run == 0 {
            first += 1;
            continue;
        }
        if let Some(upper) = groups.get(first + run).and_then(|next| offset_of(next, &placed)) {
            let before = first.checked_sub(1).and_then(|index| end_of(groups[index], &placed));
            placed.extend(between(&groups[first..first + run], before, upper));
        }
        first += run;
    }
    placed.sort_by_key(|(segment, _)| *segment);
    placed
}

/// By another segment of the same boot: a later one, else an earlier one that was not refuted since.
fn within_boot(group: &[Boot], index: usize) -> Option<Placement> {
    let later = group[index..].iter().find_map(|boot| Some((boot, boot.placement?)));
    if let Some((by, placement)) = later {
        let distance_ms = (by.first_mono.0 - group[index].first_mono.0).abs();
        let drift_ms = distance_ms * DRIFT_PPM / 1_000_000;
        return Some(Placement { uncertainty_ms: placement.uncertainty_ms + drift_ms, ..placement });
    }
    let not_refuted =
        group[..=index].iter().rev().take_while(|boot| boot.reason != BootReason::Refuted).count();
    let earlier =
        group[(index - not_refuted.min(index))..index].iter().rev().find_map(|boot| boot.placement)?;
    Some(Placement { quality: Quality::Estimated, ..earlier })
}

/// Boots `run` lie after `before` (and after their own floors), one after the other, and ended before `upper`, when the
/// next boot was switched on (Unix ms).
fn between(run: &[&[Boot]], before: Option<i64>, upper: i64) -> Vec<(u32, Placement)> {
    let floor = run.iter().flat_map(|group| group.iter()).map(|boot| boot.floor.0).max();
    let lower = before.max(floor).unwrap_or(upper);
    let lengths: Vec<i64> = run.iter().map(|group| length_ms(group)).collect();
    let total: i64 = lengths.iter().sum();
    // Negative where the floor is later than it can be: then the boots are packed against the next one.
    let slack = upper - lower - total;
    let outage = slack.clamp(0, OUTAGE_MS_MAX) / (run.len() as i64 + 1);
    let mut placed = Vec::new();
    let mut following: i64 = 0;
    for (index, group) in run.iter().enumerate().rev() {
        following += lengths[index];
        let latest = upper - following;
        let offset_ms = latest - outage * (run.len() - index) as i64;
        let earliest = latest - slack;
        let uncertainty_ms = (offset_ms - earliest).abs().max(latest - offset_ms);
        let placement = Placement { offset_ms, quality: Quality::Estimated, uncertainty_ms };
        placed.extend(
            group.iter().filter(|boot| boot.placement.is_none()).map(|boot| (boot.segment, placement)),
        );
    }
    placed
}

/// How long the boot lasted at least, from its switching on (monotonic 0).
fn length_ms(group: &[Boot]) -> i64 {
    group.iter().map(|boot| boot.last_mono.0).max().unwrap_or(0)
}

fn placement_of(boot: &Boot, placed: &[(u32, Placement)]) -> Option<Placement> {
    let found =
        || placed.iter().find(|(segment, _)| *segment == boot.segment).map(|(_, placement)| *placement);
    boot.placement.or_else(found)
}

/// Unix ms of the boot's monotonic 0, by its first placed segment.
fn offset_of(group: &[Boot], placed: &[(u32, Placement)]) -> Option<i64> {
    group.iter().find_map(|boot| placement_of(boot, placed)).map(|placement| placement.offset_ms)
}

/// Unix ms of the end of a placed boot.
fn end_of(group: &[Boot], placed: &[(u32, Placement)]) -> Option<i64> {
    group.iter().rev().find_map(|boot| placement_of(boot, placed)).map(|it| it.offset_ms + length_ms(group))
}
