use std::collections::BTreeMap;
use std::path::Path;

use super::report::{Point, Reason, Report, Span, UnitReport, Verdict, Watched, report, told, unit_line};
use super::watch::{Configured, Reader, supplies};
use super::*;
use crate::domain::{Scale, Temperature, UnitNo};

const MINUTE: i64 = 60_000;
/// 2026-11-24 22:00 in Berlin.
const LOST: i64 = 1_795_554_000_000;

/// Looks a second apart: `M` mains, `B` battery, `-` a minute in which nothing could be read, a digit the battery's tens of percent from then on. Wanted: each event
/// with its second.
#[track_caller]
fn check(looks: &str, want: &str) {
    let mut power = Power::new(3_000, 20);
    let (mut battery, mut told, mut second) = (None, Vec::new(), 0);
    for look in looks.chars() {
        if let Some(tens) = look.to_digit(10) {
            battery = Some(tens as u8 * 10);
            continue;
        }
        if look == '-' {
            second += 60;
            continue;
        }
        let supply = if look == 'M' { Supply::Mains } else { Supply::Battery };
        for event in power.see(Seen { supply, battery }, MonoMs(second * 1_000)) {
            told.push(match event {
                PowerEvent::Lost { since, battery: None } => format!("{second}:lost@{}", since.0 / 1_000),
                PowerEvent::Lost { since, battery: Some(percent) } => {
                    format!("{second}:lost@{}/{percent}", since.0 / 1_000)
                }
                PowerEvent::Back { since } => format!("{second}:back@{}", since.0 / 1_000),
                PowerEvent::BatteryLow { percent } => format!("{second}:low/{percent}"),
            });
        }
        second += 1;
    }
    assert_eq!(told.join(" "), want, "{looks}");
}

#[test]
fn a_change_counts_once_it_has_lasted_and_then_from_its_beginning() {
    check("MMMM", "");
    check("MBBBB", "4:lost@1");
    check("MBBMBBBM", "");
    check("MBBMBBBBB", "7:lost@4");
    check("BBBBBMMMMM", "3:lost@0 8:back@5");
    check("BBBBMBMBMMMM", "3:lost@0 11:back@8");
    // What was not looked at lasted for nobody.
    check("MB-BBBB", "65:lost@62");
    check("MBBBBM-MMMM", "4:lost@1 69:back@66");
    check("MB-M", "");
    // Once per loss, and not on mains.
    check("1MMBBBB0BB", "5:lost@2/10 5:low/10");
    check("9BBBB1BBB", "3:lost@0/90 4:low/10");
    check("9BBBB1BMMMMBBBB", "3:lost@0/90 4:low/10 8:back@5 12:lost@9/10 12:low/10");
}

fn watched(scale: Scale) -> Watched {
    let (temp_min, temp_max) = if scale == Scale::C { (0, 50) } else { (330, 410) };
    Watched {
        unit: UnitNo(1),
        name: "Walk-in".into(),
        scale,
        temp_min,
        temp_max,
        hysteresis: 50,
        good_readings: 2,
    }
}

/// `minute:tenths` of degrees since the loss at minute 0; the mains are back at `back`, it is `until` now.
fn made(scale: Scale, readings: &str, back: i64, until: i64) -> Report {
    let points = readings
        .split_whitespace()
        .map(|reading| {
            let (minute, tenths) = reading.split_once(':').unwrap();
            Point {
                at_ms: LOST + minute.parse::<i64>().unwrap() * MINUTE,
                temperature: Temperature { hundredths: tenths.parse::<i32>().unwrap() * 10, scale },
            }
        })
        .collect();
    let readings = BTreeMap::from([(UnitNo(1), points)]);
    let power = Span { from_ms: LOST, to_ms: LOST + back * MINUTE };
    report(Reason::Mains, power, true, LOST + until * MINUTE, &[watched(scale)], &readings)
}

/// Verdict, minutes above, highest tenths at its minute, minutes to recover, gaps.
#[track_caller]
fn check_report(scale: Scale, readings: &str, (back, until): (i64, i64), want: &str) -> UnitReport {
    let report = made(scale, readings, back, until);
    let unit = &report.units[0];
    let highest = unit.highest.map(|(high, at)| format!("{}@{}", high / 10, (at - LOST) / MINUTE));
    let recovered = unit.recovered_ms.map(|ms| (ms / MINUTE).to_string());
    let gaps: Vec<String> = unit
        .gaps
        .iter()
        .map(|gap| format!("{}-{}", (gap.from_ms - LOST) / MINUTE, (gap.to_ms - LOST) / MINUTE))
        .collect();
    let got = format!(
        "{:?} {} {} {} [{}]",
        unit.verdict,
        unit.above_ms / MINUTE,
        highest.unwrap_or("-".into()),
        recovered.unwrap_or("-".into()),
        gaps.join(" ")
    );
    assert_eq!(got, want, "{readings}");
    assert_eq!(report.is_complete(), matches!(unit.verdict, Verdict::Fine | Verdict::Recovered));
    unit.clone()
}

#[test]
fn a_report_says_what_became_of_a_unit() {
    let (c, at) = (Scale::C, (60, 120));
    check_report(c, "10:40 30:45 50:50 70:42 90:40 110:40", at, "Fine 0 50@50 - []");
    check_report(c, "10:40 30:60 50:80 70:60 90:42 110:40", at, "Recovered 60 80@50 30 []");
    // In any order: a sensor brings its history later.
    check_report(c, "110:40 30:60 70:60 50:80 90:42 10:40", at, "Recovered 60 80@50 30 []");
    // Between band and limit neither counts nor breaks the row; above does.
    check_report(c, "10:60 30:42 50:48 70:42 90:48", at, "Recovered 20 60@10 0 []");
    check_report(c, "10:60 70:42 80:60 90:42 100:42", at, "Recovered 10 60@10 30 [10-70]");
    check_report(c, "10:60 30:48 50:48 70:48 90:48", at, "NotYet 20 60@10 - []");
    check_report(c, "10:60 30:70 50:70 70:70 90:42", at, "NotYet 80 70@30 - []");
    // Too cold is no warming up, and not good either.
    check_report(c, "70:60 80:-10 90:-20 100:-10 110:-10", at, "NotYet 10 60@70 - [0-70]");
    // A gap between two readings above counts; after the last one nobody knows.
    check_report(c, "10:60 100:70 110:42 120:42", at, "Recovered 100 70@100 50 [10-100]");
    check_report(c, "10:60 20:60", (60, 200), "NotYet 10 60@10 - [20-200]");
    check_report(c, "10:40 20:40", (60, 200), "NotSeen 0 40@10 - [20-200]");
    check_report(c, "", (60, 200), "NotSeen 0 - - [0-200]");
    // Read every two hours as ever: no gap.
    check_report(c, "0:40 120:40 240:40 360:40", (200, 400), "Fine 0 40@0 - []");
}

#[test]
fn the_text_is_in_the_units_scale_and_the_sites_zone() {
    let zone = "Europe/Berlin";
    let unit = check_report(
        Scale::F,
        "10:400 30:425 50:461 70:420 90:400 110:398",
        (60, 120),
        "Recovered 60 461@50 30 []",
    );
    assert_eq!(
        unit_line(&unit, zone),
        "Walk-in: above 41.0 °F for 1 h 0 min, highest 46.1 °F at 2026-11-24 22:50; back inside 30 min after the power"
    );
    let gap = made(Scale::C, "10:60 20:60", 60, 200);
    assert_eq!(
        unit_line(&gap.units[0], zone),
        "Walk-in: above 5.0 °C for 10 min, highest 6.0 °C at 2026-11-24 22:10; NOT back inside yet; \
         no readings from 2026-11-24 22:20 to 2026-11-25 01:20"
    );
    let notice = told(&made(Scale::C, "10:40 50:40 70:40 90:40", 133, 135), "Bistro", zone);
    assert_eq!(notice.subject, "Bistro: report of the power cut of 2 h 13 min");
    assert!(notice.text.starts_with("There was no mains power from 2026-11-24 22:00 to 2026-11-25 00:13.\n"));
    assert!(notice.text.contains("Walk-in: NOT read since"), "{}", notice.text);
    let unclean = Report { reason: Reason::Unclean, is_time_known: false, ..made(Scale::C, "", 10, 20) };
    let text = told(&unclean, "Bistro", "No/Zone").text;
    assert!(text.contains("probably by a power cut") && text.contains("clock was not set"), "{text}");
}

fn supply(folder: &Path, name: &str, attributes: &[(&str, &str)]) {
    let path = folder.join(name);
    std::fs::create_dir_all(&path).unwrap();
    for (attribute, value) in attributes {
        std::fs::write(path.join(attribute), format!("{value}\n")).unwrap();
    }
}

#[test]
fn the_kernels_supplies_are_read() {
    let ac = |online| ("AC", vec![("type", "Mains"), ("online", online)]);
    let usb = |online| ("usb", vec![("type", "USB"), ("online", online)]);
    let battery =
        |status, capacity| ("BAT", vec![("type", "Battery"), ("status", status), ("capacity", capacity)]);
    let mouse =
        ("hid", vec![("type", "Battery"), ("scope", "Device"), ("status", "Discharging"), ("capacity", "3")]);
    for (supplies_there, want) in [
        (vec![], (None, None)),
        (vec![ac("1")], (Some(Supply::Mains), None)),
        (vec![ac("0")], (Some(Supply::Battery), None)),
        (vec![ac("0"), usb("1"), battery("Charging", "80")], (Some(Supply::Mains), Some(80))),
        (vec![ac("0"), battery("Discharging", "55")], (Some(Supply::Battery), Some(55))),
        (vec![usb("0"), battery("Full", "100")], (Some(Supply::Mains), Some(100))),
        (vec![battery("Discharging", "400")], (Some(Supply::Battery), None)),
        (vec![battery("Not charging", "99")], (Some(Supply::Mains), Some(99))),
        (vec![battery("Unknown", "x")], (None, None)),
        (vec![ac("1"), mouse.clone()], (Some(Supply::Mains), None)),
        (vec![mouse], (None, None)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, attributes) in &supplies_there {
            supply(folder.path(), name, attributes);
        }
        assert_eq!(supplies(folder.path()).unwrap(), want, "{supplies_there:?}");
    }
    assert!(supplies(Path::new("/no/such/folder")).is_err());
}

#[test]
fn a_contact_that_is_open_is_held_and_a_chip_found_by_its_label() {
    use gpiocdev::line::Bias;
    assert_eq!(
        [crate::gpio::bias(true), crate::gpio::bias(false)],
        [Bias::PullUp, Bias::PullDown],
        "away from what means battery"
    );
    let line = |text: &str| toml::from_str::<crate::config::PowerLine>(text).unwrap();
    let opens = line("chip = 'a'\nline = 1\npull = 'up'");
    assert_eq!(opens.pull.map(crate::gpio::bias_of), Some(Bias::PullUp), "to ground, and opens on battery");
    assert_eq!(line("chip = 'a'\nline = 1").pull, None);
    let line =
        crate::config::PowerLine { chip: "no-such-label".into(), line: 17, active_low: true, pull: None };
    let section = crate::config::PowerSection { line: Some(line), ..crate::config::PowerSection::default() };
    let error = Configured::new(&section).read(std::time::Duration::ZERO).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("find a GPIO chip with the label \"no-such-label\""), "{text}");
}

#[tokio::test]
async fn a_folder_is_watched_until_told_to_stop() {
    use std::sync::{Arc, Mutex};
    let folder = tempfile::tempdir().unwrap();
    supply(folder.path(), "AC", &[("type", "Mains"), ("online", "0")]);
    let section = crate::config::PowerSection {
        supply: Some(folder.path().to_owned()),
        ..crate::config::PowerSection::default()
    };
    let mut reader = Configured::new(&section);
    let seen = reader.read(std::time::Duration::ZERO).unwrap();
    assert_eq!(seen, Some(Seen { supply: Supply::Battery, battery: None }));

    let clock = Arc::new(crate::clock::TestClock::new(MonoMs(7), crate::domain::UnixMs(LOST)));
    let (stop, shutdown) = tokio::sync::watch::channel(false);
    let (told, sees) = (Arc::new(Mutex::new(Vec::new())), Arc::new(stop));
    let (list, stop) = (told.clone(), sees.clone());
    watch::run(reader, Power::new(0, 20), clock, shutdown, move |news| {
        list.lock().unwrap().push(news.clone());
        if matches!(news, News::Event(_)) {
            stop.send(true).unwrap();
        }
        async { Ok(()) }
    })
    .await
    .unwrap();
    let lost = PowerEvent::Lost { since: MonoMs(7), battery: None };
    assert_eq!(*told.lock().unwrap(), [News::Known, News::Event(lost)]);
}

/// Always on battery; a second passes with each look.
struct OnBattery(std::sync::Arc<crate::clock::TestClock>);

impl Reader for OnBattery {
    fn read(&mut self, _wait: std::time::Duration) -> anyhow::Result<Option<Seen>> {
        self.0.advance(1_000);
        Ok(Some(Seen { supply: Supply::Battery, battery: None }))
    }
}

#[tokio::test]
async fn a_hub_that_starts_on_battery_never_claims_mains() {
    use std::sync::{Arc, Mutex};

    use crate::clock::Clock as _;
    let clock = Arc::new(crate::clock::TestClock::new(MonoMs(0), crate::domain::UnixMs(LOST)));
    let (stop, shutdown) = tokio::sync::watch::channel(false);
    let (told, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(stop));
    let (list, now) = (told.clone(), clock.clone());
    watch::run(OnBattery(clock.clone()), Power::new(3_000, 20), clock, shutdown, move |news| {
        if matches!(news, News::Event(_)) {
            stop.send(true).unwrap();
        }
        list.lock().unwrap().push((now.mono().0, news));
        async { Ok(()) }
    })
    .await
    .unwrap();
    let lost = PowerEvent::Lost { since: MonoMs(1_000), battery: None };
    assert_eq!(*told.lock().unwrap(), [(4_000, News::Known), (4_000, News::Event(lost))]);
}

#[test]
fn what_cannot_be_read_is_told_once_for_each_reason() {
    let mut looks = Looks::default();
    let unknown = |why: &str| Some(News::Unknown(why.into()));
    for (problem, want) in [
        (Some("taken"), unknown("taken")),
        (Some("taken"), None),
        (Some("no chip"), unknown("no chip")),
        (None, Some(News::Known)),
        (None, None),
        (Some("no chip"), unknown("no chip")),
        (None, Some(News::Known)),
    ] {
        assert_eq!(looks.take(problem.map(str::to_owned).as_ref()), want, "{problem:?}");
    }
    assert_eq!(Looks::default().take(None), Some(News::Known));
}

#[test]
fn a_board_without_supplies_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let section = crate::config::PowerSection {
        supply: Some(folder.path().to_owned()),
        ..crate::config::PowerSection::default()
    };
    assert_eq!(Configured::new(&section).read(std::time::Duration::ZERO).unwrap(), None);
}
