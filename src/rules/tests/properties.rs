//! What must hold for any sequence of events.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

/// An event that a generator can make without knowing the state.
#[derive(Clone, Debug)]
enum Op {
    Event(Event),
    /// Resolves the nth open alert.
    Resolve(usize),
    /// Acknowledges the nth open alert.
    Acknowledge(usize),
    /// A start after the hub did nothing for the whole time since the event before, or for a part of it.
    Start {
        is_known: bool,
        percent: i64,
    },
}

/// Milliseconds since the event before, then what happens.
type Script = Vec<(i64, Op)>;

fn scripts() -> impl Strategy<Value = Script> {
    prop::collection::vec((waits(), ops()), 1..60)
}

fn waits() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(60_000i64), 4 => 0..20 * MINUTE_MS, 1 => 0..4 * 60 * MINUTE_MS]
}

fn ops() -> impl Strategy<Value = Op> {
    let unit = 1u32..4;
    let hundredths = prop_oneof![Just(400), Just(460), Just(800), Just(-100), -3000..4000i32];
    let scale = prop_oneof![9 => Just(Scale::C), 1 => Just(Scale::F)];
    let temperature = (hundredths, scale).prop_map(|(hundredths, scale)| Temperature { hundredths, scale });
    let reading = (unit.clone(), 1u32..4, temperature.clone(), prop::bool::weighted(0.05)).prop_map(
        |(unit, device, temperature, is_late)| {
            Op::Event(Event::Reading(ReadingEvent {
                unit: UnitNo(unit),
                device: DeviceNo(device),
                probe: Probe::EXTERNAL,
                temperature,
                is_late,
                measured_ms: is_late.then_some(i64::from(temperature.hundredths) * 1_000),
            }))
        },
    );
    let manual = (unit, temperature)
        .prop_map(|(unit, temperature)| Op::Event(Event::ManualLog { unit: UnitNo(unit), temperature }));
    prop_oneof![
        30 => reading,
        2 => manual,
        3 => (1u32..4, 8u32..10, any::<bool>()).prop_map(|(unit, device, is_open)| {
            Op::Event(Event::Door { unit: UnitNo(unit), device: DeviceNo(device), is_open })
        }),
        1 => (1u32..4, any::<bool>())
            .prop_map(|(unit, is_on)| Op::Event(Event::Defrost { unit: UnitNo(unit), is_on })),
        2 => (0usize..3).prop_map(Op::Resolve),
        1 => (any::<bool>(), 0i64..=100).prop_map(|(is_known, percent)| Op::Start { is_known, percent }),
        2 => configs().prop_map(|config| Op::Event(Event::Configured(Box::new(config)))),
        1 => prop::option::of(0i64..2_000_000_000_000).prop_map(|offset_ms| Op::Event(Event::Placed { offset_ms })),
        1 => Just(Op::Event(Event::Tick)),
        1 => Just(Op::Event(Event::Faulty { unit: UNIT, device: DeviceNo(1), probe: Probe::EXTERNAL })),
        1 => (1u32..4, 0u8..=100).prop_map(|(device, percent)| {
            Op::Event(Event::Battery { unit: UNIT, device: DeviceNo(device), percent })
        }),
        1 => any::<bool>().prop_map(|are_two| Op::Event(Event::Senders { unit: UNIT, device: DeviceNo(1), are_two })),
        1 => (0usize..3).prop_map(Op::Acknowledge),
    ]
}

/// Up to two units with up to two probes each, sometimes on one device, and a few rules.
fn configs() -> impl Strategy<Value = RuleConfig> {
    let probe = prop::option::weighted(0.8, (1u32..4, prop::option::of(60u32..3600)));
    let manual = (any::<bool>(), prop::option::of(10i32..300), prop::option::of(0i64..100 * 86_400_000));
    let unit = (any::<bool>(), any::<bool>(), -5i32..5, 5i32..100, [probe.clone(), probe], manual);
    let rule = (
        any::<bool>(),
        any::<bool>(),
        prop::option::of(20i32..90),
        0i32..30,
        any::<bool>(),
        0u8..25,
        0u8..25,
    );
    let rules = prop::collection::vec(rule, 0..3);
    (prop::collection::vec(unit, 0..3), rules, 1u32..4).prop_map(|(units, rules, good_readings)| {
        let mut config = RuleConfig { zone: "Europe/Zagreb".into(), ..RuleConfig::default() };
        config.constants.good_readings = good_readings;
        for (no, (is_freezer, is_fahrenheit, temp_min, span, probes, manual)) in (1..).zip(units) {
            let (manual_required, manual_interval_min, calibration_expires_ms) = manual;
            config.units.push(UnitConfig {
                unit: UnitNo(no),
                name: String::new(),
                unit_type: if is_freezer { UnitType::Freezer } else { UnitType::Fridge },
                scale: if is_fahrenheit { Scale::F } else { Scale::C },
                temp_min,
                temp_max: temp_min + span,
                manual_required,
                manual_interval_min,
            });
            for (device, check_in_s) in probes.into_iter().flatten() {
                let (device, unit) = (DeviceNo(device), UnitNo(no));
                config.probes.push(ProbeConfig { device, probe: Probe::EXTERNAL, unit, check_in_s });
                config.devices.push(DeviceConfig { device, unit, calibration_expires_ms });
            }
        }
        let ids = (1u128..).map(Uuid::from_u128);
        for (id, (is_unit, is_site, temp_max, delay_min, is_always, start_hour, end_hour)) in ids.zip(rules) {
            let schedule = (!is_always).then(|| Schedule { days: vec![1, 2, 3], start_hour, end_hour });
            config.rules.push(Rule {
                id,
                unit: is_unit.then_some(UNIT),
                is_site,
                alert_type: AlertType::AlarmActive,
                severity: Severity::Warning,
                temp_min: None,
                temp_max,
                delay_min,
                schedule,
            });
        }
        config
    })
}

/// Two units, one with two probes.
fn starting_config() -> Event {
    let mut config = parse_site("fridge 0.0..5.0 every=300 probes=2");
    let second = UnitConfig { unit: UnitNo(2), unit_type: UnitType::Freezer, ..config.units[0].clone() };
    config.units.push(second);
    config.probes.push(ProbeConfig {
        device: DeviceNo(3),
        probe: Probe::EXTERNAL,
        unit: UnitNo(2),
        check_in_s: None,
    });
    Event::Configured(Box::new(config))
}

/// Plays a script from the start; `between` may do to the state what must change nothing, once before each event:
/// it gets the event's number, the instant of the event before it, and the last one at which the hub ran before it.
fn play(
    script: &Script,
    mut between: impl FnMut(&mut State, usize, Tick, At, &mut Vec<Decision>),
) -> (State, Vec<Decision>) {
    let (mut state, mut out) = (State::new(), Vec::new());
    step(&mut state, &starting_config(), at(0, 0), &mut out);
    let (mut tick, mut seq) = (0, 1);
    for (index, (wait, op)) in script.iter().enumerate() {
        let gap_ms = match op {
            Op::Start { percent, .. } => wait * percent / 100,
            _ => 0,
        };
        let (before, asleep) = (Tick(tick), Tick(tick + wait - gap_ms));
        tick += wait;
        between(&mut state, index, before, At { tick: asleep, ..at(tick, seq) }, &mut out);
        let event = match op {
            Op::Event(event) => event.clone(),
            Op::Resolve(nth) => Event::Resolved { alert: nth_seen(&state, *nth, at(tick, seq)), by: None },
            Op::Acknowledge(nth) => Event::Acknowledged { alert: nth_seen(&state, *nth, at(tick, seq)) },
            Op::Start { is_known: true, .. } => Event::Started { gap: Gap::Known { ms: gap_ms } },
            Op::Start { .. } => Event::Started { gap: Gap::AtLeast { ms: gap_ms } },
        };
        step(&mut state, &event, at(tick, seq), &mut out);
        seq += 1;
    }
    (state, out)
}

/// The nth open alert as a person sees it at that instant.
fn nth_seen(state: &State, nth: usize, at: At) -> Uuid {
    let mut seen = state.clone();
    step(&mut seen, &Event::Tick, at, &mut Vec::new());
    seen.open_alerts().nth(nth).map_or(Uuid::nil(), |open| open.id)
}

fn play_plainly(script: &Script) -> (State, Vec<Decision>) {
    play(script, |_, _, _, _, _| {})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn at_most_one_alert_is_open_and_every_decision_follows_from_the_one_before(script in scripts()) {
        let (state, decisions) = play_plainly(&script);
        let mut open = BTreeMap::new();
        let mut of_alert = BTreeMap::new();
        let mut status = BTreeMap::new();
        let mut held = BTreeMap::new();
        let mut late = BTreeMap::new();
        let mut ids = HashSet::new();
        let mut tick = Tick(0);
        for decision in &decisions {
            prop_assert!(ids.insert(decision.id), "one id twice: {decision:?}");
            prop_assert!(decision.tick >= tick, "back in time: {decision:?}");
            tick = decision.tick;
            match decision.what {
                What::Opened { alert_type, severity, device, .. } => {
                    let key = (decision.unit, alert_type, device);
                    let before = open.insert(key, (decision.id, severity));
                    prop_assert_eq!(before, None, "opened twice: {:?}", decision);
                    of_alert.insert(decision.id, key);
                }
                What::Raised { alert, severity, .. } => {
                    let (id, before) = open[&of_alert[&alert]];
                    prop_assert_eq!(id, alert);
                    prop_assert!(severity >= before && before < Severity::Critical, "no rise: {decision:?}");
                    open.insert(of_alert[&alert], (id, severity));
                }
                What::Resolved { alert, at, .. } => {
                    prop_assert!(at <= decision.tick);
                    let before = open.remove(&of_alert[&alert]);
                    prop_assert_eq!(before.map(|(id, _)| id), Some(alert));
                }
                What::Status { machine, from, to, .. } => {
                    let before = status.insert((decision.unit, machine == Machine::Contact), to);
                    prop_assert_eq!(before.unwrap_or(UnitStatus::Ok), from);
                    prop_assert!(from != to);
                }
                What::Called { alert, severity, level, .. } => {
                    let (id, now) = open[&of_alert[&alert]];
                    prop_assert_eq!((id, now), (alert, severity), "a call about nothing: {:?}", decision);
                    prop_assert!((1..=3).contains(&level) && severity > Severity::Info, "{decision:?}");
                }
                What::Held { alert, .. } => {
                    let id = alert.and(open.get(&(decision.unit, AlertType::AlarmActive, None))).map(|(id, _)| *id);
                    prop_assert_eq!(alert, id);
                    prop_assert!(held.insert((decision.unit, alert.is_some()), decision.tick).is_none());
                }
                What::HoldEnded { alert, since, .. } => {
                    prop_assert_eq!(held.remove(&(decision.unit, alert.is_some())), Some(since));
                }
                What::Late { from_ms, to_ms, trigger, violated, .. } => {
                    prop_assert!(from_ms <= to_ms);
                    late.insert(decision.id, (from_ms, to_ms, trigger, violated));
                }
                What::LateGrew { alert, from_ms, to_ms, trigger, violated, .. } => {
                    let now = (from_ms, to_ms, trigger, violated);
                    let (from, to, worst, side) = late.insert(alert, now).expect("grows what was told");
                    prop_assert!(side == violated && from_ms <= from && to_ms >= to, "shrank: {decision:?}");
                    prop_assert_eq!(violated.worse(worst, trigger).to(trigger.scale), trigger);
                    prop_assert!((from, to, worst) != (from_ms, to_ms, trigger), "no news: {decision:?}");
                }
            }
        }
        let left: BTreeMap<_, _> =
            state.open_alerts().map(|a| ((a.unit, a.alert_type, a.device), (a.id, a.severity))).collect();
        prop_assert_eq!(left, open);
        for view in state.units() {
            let told = |is_contact| status.get(&(view.unit, is_contact)).copied().unwrap_or(UnitStatus::Ok);
            prop_assert_eq!(view.temperature, told(false));
            prop_assert_eq!(view.contact.unwrap_or(UnitStatus::Ok), told(true));
        }
    }

    #[test]
    fn a_checkpoint_anywhere_changes_nothing(script in scripts(), cut in 0usize..60) {
        let (state, decisions) = play_plainly(&script);
        let (after_cut, decisions_cut) = play(&script, |state, index, _, _, _| {
            if index == cut % script.len() {
                *state = State::decode(&state.encode()).unwrap();
            }
        });
        prop_assert_eq!(decisions, decisions_cut);
        prop_assert_eq!(state.encode(), after_cut.encode());
    }

    #[test]
    fn ticks_anywhere_change_nothing(script in scripts(), parts in 1i64..5) {
        let (state, decisions) = play_plainly(&script);
        let (ticked, decisions_ticked) = play(&script, |state, _, before, asleep, out| {
            for part in 1..=parts {
                let tick = before.plus(asleep.tick.since(before) * part / parts);
                step(state, &Event::Tick, At { tick, ..asleep }, out);
            }
            // And at each deadline, as the timer does.
            while let Some(tick) = state.next_deadline().filter(|tick| *tick <= asleep.tick) {
                step(state, &Event::Tick, At { tick, ..asleep }, out);
            }
        });
        prop_assert_eq!(decisions, decisions_ticked);
        prop_assert_eq!(state.encode(), ticked.encode());
    }

    /// A sensor's memory comes in any order, mixed with what it measures now.
    #[test]
    fn a_late_alarm_is_told_in_whatever_order_its_readings_come(
        warm in 0usize..20, order in Just((0..24usize).collect::<Vec<_>>()).prop_shuffle(), gap_min in 5i64..20,
    ) {
        let (mut state, mut out) = (State::new(), Vec::new());
        let mut config = parse_site("fridge 0.0..5.0 every=36000");
        config.constants.manual_interval_min = 100_000;
        step(&mut state, &Event::Configured(Box::new(config)), at(0, 0), &mut out);
        step(&mut state, &Event::Placed { offset_ms: Some(0) }, at(0, 1), &mut out);
        let now = 24 * 60 * MINUTE_MS;
        let reading = |hundredths: i32, measured_ms: Option<i64>| Event::Reading(ReadingEvent {
            unit: UNIT,
            device: DeviceNo(1),
            probe: Probe::EXTERNAL,
            temperature: Temperature { hundredths, scale: Scale::C },
            is_late: measured_ms.is_some(),
            measured_ms,
        });
        for (seq, &index) in order.iter().enumerate() {
            // Warm from the second reading on, good before and after.
            let is_warm = (2..2 + warm).contains(&index);
            let measured = Some(60 * MINUTE_MS + index as i64 * gap_min * MINUTE_MS);
            let event = reading(if is_warm { 900 } else { 300 }, measured);
            step(&mut state, &event, at(now, 2 + 2 * seq as u64), &mut out);
            step(&mut state, &reading(310, None), at(now, 3 + 2 * seq as u64), &mut out);
        }
        let told = out.iter().filter(|decision| matches!(decision.what, What::Late { .. })).count();
        let is_alarm = warm > 0 && (warm as i64 - 1) * gap_min >= 10;
        prop_assert!(if is_alarm { told >= 1 } else { told == 0 }, "{} warm, {} told", warm, told);
    }

    #[test]
    fn a_replay_decides_the_same(script in scripts()) {
        let (state, decisions) = play_plainly(&script);
        let (again, decisions_again) = play_plainly(&script);
        prop_assert_eq!(decisions, decisions_again);
        prop_assert_eq!(state, again);
    }

    #[test]
    fn nothing_panics_or_hangs_whatever_comes(
        events in prop::collection::vec((any::<i64>(), ops(), extremes()), 0..40),
    ) {
        let (mut state, mut out) = (State::new(), Vec::new());
        for (tick, op, extreme) in events {
            let event = match op {
                Op::Event(event) => event,
                Op::Resolve(_) | Op::Acknowledge(_) => Event::Configured(Box::new(extreme)),
                Op::Start { percent, .. } => Event::Started { gap: Gap::Known { ms: tick.wrapping_mul(percent) } },
            };
            let before = state.tick();
            step(&mut state, &event, at(tick, 0), &mut out);
            prop_assert!(state.tick() >= before);
            prop_assert_eq!(State::decode(&state.encode()).unwrap().encode(), state.encode());
        }
    }

    #[test]
    fn nothing_holds_an_alarm_back_beyond_the_longest_time_above(
        steps in prop::collection::vec((1i64..25, 0usize..5, 0u8..12), 1..200),
        kind in prop_oneof![Just("freezer"), Just("fridge")],
        delay in 0u32..300,
    ) {
        let site = format!("{kind} -30.0..-15.0 rule=unit/-/-/{delay} door_grace_min=240 door_mask_day_min=999");
        let mut player = Player::new(&site);
        let (mut minute, mut sum, mut above, mut last_above) = (0, 0, false, 0);
        for (wait, level, other) in steps {
            minute += wait;
            let is_critical = |player: &Player| {
                let mut open = player.state.open_alerts().filter(|open| open.alert_type == AlertType::AlarmActive);
                open.any(|open| open.severity == Severity::Critical)
            };
            let was_critical = is_critical(&player);
            let decisions = match other {
                0 => player.play(&format!("{minute} open")),
                1 => player.play(&format!("{minute} close")),
                2 => player.play(&format!("{minute} defrost on")),
                _ => String::new(),
            };
            let celsius = ["-22.0", "-16.0", "-15.2", "-14.0", "-5.0"][level];
            let decisions = decisions + &player.play(&format!("{minute} {celsius}"));
            if minute - last_above >= 60 {
                sum = 0;
                above = false;
            }
            sum += if above { wait } else { 0 };
            above = level >= 3;
            last_above = if above { minute } else { last_above };
            // Told, and over: counted anew.
            if decisions.contains("resolve alarm") && (was_critical || decisions.contains("critical")) {
                sum = 0;
            }
            if above && sum >= 120 {
                prop_assert!(is_critical(&player), "at {minute}");
            }
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_or_usable(
        script in scripts(), place in any::<prop::sample::Index>(), value in any::<u8>(), tick in any::<i64>(),
    ) {
        let mut bytes = play_plainly(&script).0.encode();
        let place = place.index(bytes.len());
        bytes[place] = value;
        if let Ok(mut state) = State::decode(&bytes) {
            step(&mut state, &Event::Tick, at(tick, 0), &mut Vec::new());
        }
    }
}

/// Configurations no one checked.
fn extremes() -> impl Strategy<Value = RuleConfig> {
    let any_constants = prop::collection::vec(prop_oneof![Just(0u32), Just(u32::MAX), any::<u32>()], 64);
    (configs(), any_constants, any::<i32>(), any::<i32>(), any::<u32>()).prop_map(
        |(mut config, constants, temp_min, temp_max, check_in_s)| {
            let mut table = serde_json::to_value(Constants::default()).unwrap();
            let numbers = table.as_object_mut().unwrap().values_mut().filter(|slot| slot.is_number());
            for (slot, value) in numbers.zip(constants) {
                *slot = value.into();
            }
            config.constants = serde_json::from_value(table).unwrap();
            for unit in &mut config.units {
                (unit.temp_min, unit.temp_max) = (temp_min, temp_max);
            }
            for probe in &mut config.probes {
                probe.check_in_s = Some(check_in_s);
            }
            for rule in &mut config.rules {
                rule.delay_min = temp_max;
            }
            config
        },
    )
}
