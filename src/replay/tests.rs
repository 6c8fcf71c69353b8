//! Lines of series, and the rules on them.

use super::csv::{Reader, RowError};
use super::*;

/// The instants of rows, as minutes after the first; rows that are left out are `None`.
fn minutes(zone: &str, times: &[&str]) -> Vec<Option<i64>> {
    let mut reader = Reader::new("time_iso,temperature_c", zone).unwrap();
    let rows: Vec<_> = times.iter().map(|time| reader.row(&format!("{time},4.0")).ok()).collect();
    let first = rows[0].expect("a first row").unix_ms;
    rows.iter().map(|row| row.map(|row| (row.unix_ms - first) / 60_000)).collect()
}

#[test]
fn an_hour_that_comes_twice_does_not_go_back_and_one_that_is_missing_moves_on() {
    // Clocks went back at 03:00 on 2026-10-25.
    let times = [
        "2026-10-25T01:45",
        "2026-10-25 02:00:00",
        "2026-10-25T02:30:00",
        "2026-10-25T02:00:00",
        "2026-10-25T02:30",
        "2026-10-25T03:00",
    ];
    let want = [0, 15, 45, 75, 105, 135].map(Some);
    assert_eq!(minutes("Europe/Berlin", &times), want);
    // Times with an offset need no zone.
    let times = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T01:15:00Z"];
    assert_eq!(minutes("Europe/Berlin", &times), [0, 30, 45].map(Some));
    // 02:00 to 03:00 did not exist on 2026-03-29; a logger that wrote it goes on when the clock has caught up.
    let times =
        ["2026-03-29T01:30", "2026-03-29T02:30", "2026-03-29T03:00", "2026-03-29T03:30", "2026-03-29T04:00"];
    assert_eq!(minutes("Europe/Berlin", &times), [Some(0), Some(60), None, Some(60), Some(90)]);
}

#[test]
fn cells() {
    let mut reader = Reader::new(" Door , Temperature_C,TIME_ISO,defrost", "UTC").unwrap();
    let mut row = |door: &str, temperature: &str, defrost: &str| {
        let row = reader.row(&format!("{door}, {temperature} ,2026-05-01T10:00:00Z,{defrost}"))?;
        Ok((row.is_open, row.temperature.map(|temperature| temperature.hundredths), row.is_defrosting))
    };
    assert_eq!(row("open", "-18.456", "1"), Ok((Some(true), Some(-1846), Some(true))));
    assert_eq!(row("Closed", "1e1", "0"), Ok((Some(false), Some(1000), Some(false))));
    assert_eq!(row("", "nan", ""), Ok((None, None, None)));
    assert_eq!(row("0", "inf", ""), Err(RowError::Temperature("inf".into())));
    assert_eq!(row("ajar", "4", ""), Err(RowError::Switch("ajar".into())));
    assert_eq!(row("0", "4 C", ""), Err(RowError::Temperature("4 C".into())));
    assert_eq!(reader.row("1,4"), Err(RowError::Short));
    assert_eq!(reader.row("0,4,10 o'clock,0"), Err(RowError::Time("10 o'clock".into())));
}

#[test]
fn the_rules_judge_a_series_as_they_judge_a_hub() {
    let unit = ReplayUnit {
        unit_type: UnitType::Fridge,
        scale: Scale::F,
        temp_min: 330,
        temp_max: 410,
        delay_min: Some(20),
        constants: Constants::default(),
    };
    let mut player = Player::new(&unit, 0);
    for minute in 0..60 {
        let hundredths = if (10..40).contains(&minute) { 800 } else { 300 };
        let temperature = Some(Temperature { hundredths, scale: Scale::C });
        player.play(&Row { unix_ms: minute * 60_000, temperature, is_open: None, is_defrosting: None });
    }
    let (stories, graces) = player.finish();
    let [story] = &stories[..] else { panic!("{stories:?}") };
    let at = |minute: i64| Some(Tick(minute * 60_000));
    assert_eq!((Some(story.opened), story.confirmed, story.resolved), (at(10), at(30), at(40)));
    assert_eq!((story.trigger, story.severity, graces), (Some(4640), Severity::Critical, 0));
}
