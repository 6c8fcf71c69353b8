//! A recorded series, as `rules replay --csv` plays it: a byte for the unit and the zone, then the file.

use std::collections::BTreeMap;

use frostguard_hub::domain::{AlertType, Scale, UnitType};
use frostguard_hub::replay::csv::Reader;
use frostguard_hub::replay::{Player, ReplayUnit, Story};
use frostguard_hub::rules::Constants;

use super::Script;

const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"];
/// A file has no limit; a fuzzer must come to its end.
const ROWS_MAX: usize = 500;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let kind = script.byte();
    let text = String::from_utf8_lossy(script.rest());
    let mut lines = text.lines();
    let zone = ZONES[usize::from(kind & 3)];
    let Ok(mut reader) = Reader::new(lines.next().unwrap_or_default(), zone) else { return };
    let scale = if kind & 4 == 0 { Scale::C } else { Scale::F };
    let unit = ReplayUnit {
        unit_type: UnitType::ALL[usize::from(kind >> 3) % UnitType::ALL.len()],
        scale,
        temp_min: if scale == Scale::C { 0 } else { 320 },
        temp_max: if scale == Scale::C { 50 } else { 410 },
        delay_min: (kind & 0x80 != 0).then_some(15),
        constants: Constants::default(),
    };

    let mut player: Option<Player> = None;
    let mut newest_ms = i64::MIN;
    for line in lines.take(ROWS_MAX) {
        let Ok(row) = reader.row(line) else { continue };
        assert!(row.unix_ms >= newest_ms, "rows go forward");
        newest_ms = row.unix_ms;
        assert!(row.temperature.is_none_or(|temperature| temperature.hundredths.abs() <= 100_000));
        player.get_or_insert_with(|| Player::new(&unit, row.unix_ms)).play(&row);
    }
    if let Some(player) = player {
        is_told_well(&player.finish().0);
    }
}

/// One alert of a type is open at a time, and nothing ends before it began.
fn is_told_well(stories: &[Story]) {
    assert!(stories.windows(2).all(|pair| pair[0].opened <= pair[1].opened), "in the order of their opening");
    let mut last: BTreeMap<AlertType, &Story> = BTreeMap::new();
    for story in stories {
        let later = [story.confirmed, story.critical, story.resolved];
        assert!(later.into_iter().flatten().all(|tick| tick >= story.opened), "{story:?}");
        let before = last.insert(story.alert_type, story).filter(|_| !story.alert_type.is_per_device());
        let is_over = |before: &Story| before.resolved.is_some_and(|resolved| resolved <= story.opened);
        assert!(before.is_none_or(is_over), "{before:?} is open when {story:?} opens");
    }
}
