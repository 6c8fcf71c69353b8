//! Scripts: a site in a line, then events in lines, each with the decisions it must make. The language is told at
//! `check`.

#![allow(clippy::format_push_string, clippy::format_collect, reason = "scripts are short and read better so")]

mod calls;
mod contact;
mod door;
mod properties;
mod rules;
mod sense;
mod temperature;

use std::fmt::Write as _;

use super::*;
use crate::domain::{AlertType, Scale, Severity, UnitStatus, UnitType};

const EPOCH: Epoch = Epoch([7; 16]);
const UNIT: UnitNo = UnitNo(1);

/// Plays a script against one unit and compares all decisions.
///
/// The site: `fridge|freezer|walk_in|blast LOW..HIGH` in degrees, then any of `F` (scale), `every=SECONDS` (check-in),
/// `probes=N` (device 1 to N, external), `rule=LEVEL/MIN/MAX/DELAY[/SCHEDULE]` (LEVEL `unit`, `site`, `org`; `-` for
/// none; `contact/SEVERITY` and `door/SEVERITY/DELAY` for the other alerts), `zone=NAME`, `good=N`, `hysteresis=HUNDREDTHS`, and any constant's
/// name `=` value.
///
/// A line: `MINUTES[:SECONDS] EVENT => DECISION; DECISION`. Events: `8.0` (reading of device 1), `d2 8.0`, `late 8.0`,
/// `fault`, `manual 8.0`, `resolve alarm|contact|door [by nobody]`, `start known|least MINUTES` (the hub was away that long
/// until now), `site ...` (another configuration), `placed TIME`, `unplaced`, `open|close [DEVICE]`, `defrost on|off`, `source`, `tick`.
///
/// Decisions as `tell` spells them; one of a deadline before the line's instant begins with `@MINUTES[:SECONDS]`.
#[track_caller]
fn check(site: &str, script: &str) {
    let mut player = Player::new(site);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, want) = line.split_once("=>").unwrap_or((line, ""));
        let got = player.play(event.trim());
        assert_eq!(got, want.trim(), "decisions of the line `{line}`");
    }
}

/// The same with the calls to people shown.
#[track_caller]
fn check_calls(site: &str, script: &str) {
    let mut player = Player { shows_calls: true, ..Player::new(site) };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, want) = line.split_once("=>").unwrap_or((line, ""));
        let got = player.play(event.trim());
        assert_eq!(got, want.trim(), "decisions of the line `{line}`");
    }
}

struct Player {
    state: State,
    seq: u64,
    shows_calls: bool,
}

impl Player {
    fn new(site: &str) -> Self {
        let mut player = Self { state: State::new(), seq: 0, shows_calls: false };
        let mut out = Vec::new();
        step(&mut player.state, &Event::Configured(Box::new(parse_site(site))), at(0, 0), &mut out);
        assert_eq!(out, vec![]);
        player
    }

    fn play(&mut self, line: &str) -> String {
        let (when, what) = line.split_once(' ').expect("time and event");
        let tick = parse_ms(when);
        let event = self.parse_event(what.trim());
        let mut out = Vec::new();
        step(&mut self.state, &event, at(tick, self.seq), &mut out);
        self.seq += 1;
        out.iter()
            .filter(|decision| self.shows_calls || !matches!(decision.what, What::Called { .. }))
            .map(|decision| tell(decision, tick))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn parse_event(&self, text: &str) -> Event {
        let words: Vec<&str> = text.split_whitespace().collect();
        let alert = |name: &str| {
            let alert_type = match name {
                "alarm" => AlertType::AlarmActive,
                "contact" => AlertType::MonitoringInterrupted,
                "door" => AlertType::DoorOpen,
                other => AlertType::parse(other).expect("an alert type"),
            };
            self.state.open_alerts().find(|open| open.alert_type == alert_type).map(|open| open.id)
        };
        match words[..] {
            ["tick"] => Event::Tick,
            ["fault"] => Event::Faulty { unit: UNIT, device: DeviceNo(1), probe: Probe::EXTERNAL },
            ["open"] => Event::Door { unit: UNIT, device: DeviceNo(9), is_open: true },
            ["close"] => Event::Door { unit: UNIT, device: DeviceNo(9), is_open: false },
            ["open", door] => {
                Event::Door { unit: UNIT, device: DeviceNo(door.parse().expect("device")), is_open: true }
            }
            ["close", door] => {
                Event::Door { unit: UNIT, device: DeviceNo(door.parse().expect("device")), is_open: false }
            }
            ["defrost", word] => Event::Defrost { unit: UNIT, is_on: word == "on" },
            ["source"] => Event::SourceDown { name: "usb".into() },
            ["manual", value] => Event::ManualLog { unit: UNIT, temperature: self.degrees(value) },
            ["ack", name] => Event::Acknowledged { alert: alert(name).expect("open alert") },
            ["battery", percent] => {
                Event::Battery { unit: UNIT, device: DeviceNo(1), percent: percent.parse().expect("percent") }
            }
            ["senders", "two"] => Event::Senders { unit: UNIT, device: DeviceNo(1), are_two: true },
            ["senders", "one"] => Event::Senders { unit: UNIT, device: DeviceNo(1), are_two: false },
            ["d2", "fault"] => Event::Faulty { unit: UNIT, device: DeviceNo(2), probe: Probe::EXTERNAL },
            ["resolve", name] => {
                Event::Resolved { alert: alert(name).expect("open alert"), by: Some(Uuid::from_u128(5)) }
            }
            ["resolve", name, "by", "nobody"] => {
                Event::Resolved { alert: alert(name).unwrap_or_default(), by: None }
            }
            ["start", "known", minutes] => Event::Started { gap: Gap::Known { ms: parse_ms(minutes) } },
            ["start", "least", minutes] => Event::Started { gap: Gap::AtLeast { ms: parse_ms(minutes) } },
            ["placed", time] => {
                let unix_ms = time.parse::<jiff::Timestamp>().expect("time").as_millisecond();
                Event::Placed { offset_ms: Some(unix_ms) }
            }
            ["unplaced"] => Event::Placed { offset_ms: None },
            ["site", ..] => {
                Event::Configured(Box::new(parse_site(text.strip_prefix("site ").expect("site"))))
            }
            ["late", value] => self.reading(1, value, true),
            ["late", value, "of", minutes] => match self.reading(1, value, true) {
                Event::Reading(reading) => {
                    Event::Reading(ReadingEvent { measured_ms: Some(parse_ms(minutes)), ..reading })
                }
                other => other,
            },
            [value] => self.reading(1, value, false),
            [device, value] => self.reading(device[1..].parse().expect("d and a number"), value, false),
            _ => panic!("no such event: {text}"),
        }
    }

    fn reading(&self, device: u32, value: &str, is_late: bool) -> Event {
        Event::Reading(ReadingEvent {
            unit: UNIT,
            device: DeviceNo(device),
            probe: Probe::EXTERNAL,
            temperature: self.degrees(value),
            is_late,
            measured_ms: None,
        })
    }

    /// In the unit's scale; with a letter in that one.
    fn degrees(&self, text: &str) -> Temperature {
        let (text, scale) = match text.strip_suffix('F') {
            Some(text) => (text, Scale::F),
            None => (text, self.state.units[0].config.scale),
        };
        let degrees: f64 = text.parse().expect("degrees");
        Temperature { hundredths: (degrees * 100.0).round() as i32, scale }
    }
}

fn at(tick: i64, after: u64) -> At {
    At { tick: Tick(tick), epoch: EPOCH, after: Seq(after) }
}

/// `open alarm warning max 8.00`, `raise alarm critical REASON`, `resolve alarm [since MINUTES] [by person]`,
/// `FROM>TO REASON` of the temperature, `contact FROM>TO REASON`; `shows STATUS` where that is not TO.
fn tell(decision: &Decision, now: i64) -> String {
    let mut text = String::new();
    if decision.tick.0 != now {
        write!(text, "@{} ", show_ms(decision.tick.0)).unwrap();
    }
    let name = |alert_type| match alert_type {
        AlertType::AlarmActive => "alarm",
        AlertType::MonitoringInterrupted => "contact",
        AlertType::DoorOpen => "door",
        other => other.as_str(),
    };
    match &decision.what {
        What::Opened { alert_type, severity, trigger, violated, .. } => {
            write!(text, "open {} {severity}", name(*alert_type)).unwrap();
            if let (Some(trigger), Some(violated)) = (trigger, violated) {
                let side = if *violated == Violated::Max { "max" } else { "min" };
                write!(text, " {side} {:.2}", f64::from(trigger.hundredths) / 100.0).unwrap();
            }
        }
        What::Raised { alert_type, severity, reason, estimate, .. } => {
            write!(text, "raise {} {severity} {}", name(*alert_type), reason.as_str()).unwrap();
            match estimate {
                Some(Estimate::OutFor { minutes, usual }) => write!(text, " out {minutes}/{usual}").unwrap(),
                Some(Estimate::CrossesIn { minutes }) => write!(text, " crosses in {minutes}").unwrap(),
                Some(Estimate::NotColdFor { minutes, usual }) => {
                    write!(text, " not cold {minutes}/{usual}").unwrap();
                }
                None => {}
            }
        }
        What::Held { cause, until, .. } => {
            write!(text, "hold {} until {}", cause.as_str(), show_ms(until.0)).unwrap();
        }
        What::HoldEnded { cause, since, end, .. } => {
            write!(text, "held {} since {} {}", cause.as_str(), show_ms(since.0), end.as_str()).unwrap();
        }
        What::Resolved { alert_type, at, by, .. } => {
            write!(text, "resolve {}", name(*alert_type)).unwrap();
            if at.0 != decision.tick.0 {
                write!(text, " since {}", show_ms(at.0)).unwrap();
            }
            if by.is_some() {
                text.push_str(" by person");
            }
        }
        What::Status { machine, from, to, shown, reason } => {
            let machine = if *machine == Machine::Contact { "contact " } else { "" };
            write!(text, "{machine}{from}>{to} {}", reason.as_str()).unwrap();
            if shown != to {
                write!(text, " shows {shown}").unwrap();
            }
        }
        What::Called { alert_type, severity, level, cause, .. } => {
            write!(text, "call {} {severity} {level} {}", name(*alert_type), cause.as_str()).unwrap();
        }
        What::LateGrew { trigger, from_ms, to_ms, .. } => {
            let worst = f64::from(trigger.hundredths) / 100.0;
            write!(text, "late grew {worst:.2} {} to {}", show_ms(*from_ms), show_ms(*to_ms)).unwrap();
        }
        What::Late { severity, trigger, violated, from_ms, to_ms, .. } => {
            let side = if *violated == Violated::Max { "max" } else { "min" };
            let worst = f64::from(trigger.hundredths) / 100.0;
            write!(text, "late {severity} {side} {worst:.2} {} to {}", show_ms(*from_ms), show_ms(*to_ms))
                .unwrap();
        }
    }
    text
}

fn parse_ms(text: &str) -> i64 {
    let (minutes, seconds) = text.split_once(':').unwrap_or((text, "0"));
    minutes.parse::<i64>().expect("minutes") * 60_000 + seconds.parse::<i64>().expect("seconds") * 1_000
}

fn show_ms(ms: i64) -> String {
    match (ms / 60_000, ms % 60_000 / 1_000) {
        (minutes, 0) => minutes.to_string(),
        (minutes, seconds) => format!("{minutes}:{seconds:02}"),
    }
}

fn parse_site(text: &str) -> RuleConfig {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words == ["nothing"] {
        return RuleConfig::default();
    }
    let (min, max) = words[1].split_once("..").expect("limits");
    let mut config = RuleConfig { zone: "UTC".into(), ..RuleConfig::default() };
    let mut unit = UnitConfig {
        unit: UNIT,
        name: "unit".into(),
        unit_type: match words[0] {
            "fridge" => UnitType::Fridge,
            "freezer" => UnitType::Freezer,
            "blast" => UnitType::BlastChiller,
            "walk_in" => UnitType::WalkInFreezer,
            other => panic!("no such unit: {other}"),
        },
        scale: Scale::C,
        temp_min: parse_tenths(min).expect("min"),
        temp_max: parse_tenths(max).expect("max"),
        manual_required: false,
        manual_interval_min: None,
    };
    let (mut probes, mut every, mut expires) = (1, None, None);
    for word in &words[2..] {
        match word.split_once('=') {
            None if *word == "F" => unit.scale = Scale::F,
            Some(("every", seconds)) => every = Some(seconds.parse().expect("seconds")),
            Some(("probes", count)) => probes = count.parse().expect("count"),
            None if *word == "manual" => unit.manual_required = true,
            Some(("manual", minutes)) => unit.manual_interval_min = Some(minutes.parse().expect("minutes")),
            Some(("expires", minutes)) => expires = Some(parse_ms(minutes)),
            Some(("zone", name)) => config.zone = name.into(),
            Some(("rule", rule)) => config.rules.push(parse_rule(rule, config.rules.len())),
            Some((name, value)) => set_constant(&mut config.constants, name, value.parse().expect("number")),
            _ => panic!("no such setting: {word}"),
        }
    }
    config.units.push(unit);
    let probe =
        |no| ProbeConfig { device: DeviceNo(no), probe: Probe::EXTERNAL, unit: UNIT, check_in_s: every };
    config.probes.extend((1..=probes).map(probe));
    config.devices.extend((1..=probes).map(|no| DeviceConfig {
        device: DeviceNo(no),
        unit: UNIT,
        calibration_expires_ms: expires,
    }));
    config
}

fn parse_rule(text: &str, index: usize) -> Rule {
    let mut rule = Rule {
        id: Uuid::from_u128(index as u128),
        unit: None,
        is_site: false,
        alert_type: AlertType::AlarmActive,
        severity: Severity::Critical,
        temp_min: None,
        temp_max: None,
        delay_min: 0,
        schedule: None,
    };
    let (level, rest) = text.split_once('/').expect("level");
    match level {
        "unit" => rule.unit = Some(UNIT),
        "other" => rule.unit = Some(UnitNo(77)),
        "site" => rule.is_site = true,
        "org" => {}
        "door" => {
            let (severity, delay_min) = rest.split_once('/').expect("severity and delay");
            rule.alert_type = AlertType::DoorOpen;
            rule.severity = Severity::parse(severity).expect("severity");
            rule.delay_min = delay_min.parse().expect("minutes");
            return rule;
        }
        "contact" => {
            rule.alert_type = AlertType::MonitoringInterrupted;
            rule.severity = Severity::parse(rest).expect("severity");
            return rule;
        }
        other if AlertType::parse(other).is_some() => {
            rule.alert_type = AlertType::parse(other).expect("an alert type");
            rule.severity = Severity::parse(rest).expect("severity");
            return rule;
        }
        other => panic!("no such level: {other}"),
    }
    let mut parts = rest.splitn(4, '/');
    rule.temp_min = parse_tenths(parts.next().expect("min"));
    rule.temp_max = parse_tenths(parts.next().expect("max"));
    rule.delay_min = parts.next().expect("delay").parse().expect("minutes");
    rule.schedule = parts.next().and_then(|text| Schedule::parse(text).expect("schedule"));
    rule
}

fn parse_tenths(text: &str) -> Option<i32> {
    (text != "-").then(|| (text.parse::<f64>().expect("degrees") * 10.0).round() as i32)
}

/// Constants by the names the configuration file gives them.
fn set_constant(constants: &mut Constants, name: &str, value: u32) {
    let name = match name {
        "good" => "good_readings",
        "hysteresis" => "hysteresis_hundredths",
        name => name,
    };
    let mut table = serde_json::to_value(&*constants).unwrap();
    assert!(table.get(name).is_some(), "no such constant: {name}");
    table[name] = value.into();
    *constants = serde_json::from_value(table).unwrap();
}
