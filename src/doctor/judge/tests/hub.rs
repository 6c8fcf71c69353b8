//! What the running hub says: sources, sensors, queues.

use super::*;

#[test]
fn a_slow_line_is_told_and_no_fault() {
    let told = |is_slow: bool| {
        let mut facts = healthy();
        of_hub(|hub| hub.is_onewire_slow = is_slow)(&mut facts);
        judge(&facts).iter().any(|line| line.check == "1-Wire" && line.found.contains("one after the other"))
    };
    assert_eq!((told(true), told(false)), (true, false));
    check(of_hub(|hub| hub.is_onewire_slow = true), &[]);
}

#[test]
fn gateways_and_sensors() {
    let heard = |age| of_hub(move |hub| hub.gateways.as_mut().unwrap()[0].heard_age_s = age);
    check(heard(None), &[("gateway roof", Failure, "never heard")]);
    check(heard(Some(700)), &[("gateway roof", Failure, "silent for 11 min")]);
    check(of_hub(|hub| hub.gateways = Some(Vec::new())), &[("gateways", Warning, "gateways add")]);
    check(of_hub(|hub| hub.gateways = None), &[]);
    check(of_hub(|hub| hub.sensors.clear()), &[("sensors", Warning, "none is paired")]);
    let all = |state: &'static str| of_hub(move |hub| hub.sensors = vec![sensor("one", state)]);
    check(all("awaited"), &[]);
    check(all("unassigned"), &[]);

    let silent = |change: fn(&mut Running), want: &str| {
        let change = |hub: &mut Running| {
            hub.sensors = vec![sensor("one", "silent"), sensor("two", "reporting")];
            change(hub);
        };
        let mut facts = healthy();
        of_hub(change)(&mut facts);
        let lines = judge(&facts);
        let line = lines.iter().find(|line| line.check == "sensor one").unwrap();
        assert!(line.found.contains(want), "{want}: {line:?}");
        assert!(lines.iter().any(|line| line.check == "sensors" && line.verdict == Failure), "{lines:?}");
    };
    silent(|_| {}, "silent for 2 h: it sends nothing");
    silent(|hub| hub.sources[0].1 = Some("unplugged".into()), "its source radio is down");
    silent(|hub| hub.sensors[0].battery = Some(4), "4 %");
    silent(|hub| hub.sensors[0].rssi = Some(-121), "-121 dBm");
    silent(|hub| hub.sensors[1].state = "silent".into(), "as all others over radio");
    silent(
        |hub| {
            hub.sensors[0].source = "lorawan".into();
            hub.gateways.as_mut().unwrap()[0].heard_age_s = Some(9_000);
        },
        "no gateway is heard",
    );
    silent(|hub| hub.sensors[0].seen_age_s = None, "never heard since the start");
}

#[test]
fn a_source_that_is_down_names_where_to_look() {
    let down = |sections: &'static [(&'static str, &'static str)]| {
        of_hub(move |hub| {
            hub.sources[0].1 = Some("no adapter".into());
            hub.sections = sections.iter().map(|(name, section)| ((*name).to_owned(), *section)).collect();
        })
    };
    check(down(&[]), &[("source radio", Failure, "down: no adapter | see the line of its port or broker")]);
    check(down(&[("radio", "[ble]")]), &[("source radio", Failure, "see its section [ble] in hub.toml")]);
}

#[test]
fn whoever_is_to_be_called_can_be() {
    let people = |channels: &'static str, counts: (u64, u64, u64)| {
        of_hub(move |hub| {
            hub.channels = channels.into();
            (hub.contacts, hub.with_phone, hub.with_email) = counts;
        })
    };
    let warned = |part: &'static str| [("calling people", Warning, part)];
    check(people("buzzer, sms", (1, 1, 0)), &[]);
    check(people("sms, email", (2, 1, 1)), &[]);
    // What hangs on a line or is a machine needs no contact.
    check(people("buzzer, pager", (0, 0, 0)), &[]);
    check(people("buzzer, sms", (0, 0, 0)), &warned("contacts add"));
    check(people("email", (0, 0, 0)), &warned("nobody gets a message"));
    check(people("sms, email", (1, 0, 1)), &warned("none of them with a number"));
    check(people("sms, email", (1, 1, 0)), &warned("--email"));
    check(people("none: nobody is called", (0, 0, 0)), &warned("no channel"));
    check(of_hub(|hub| hub.last_call_failure = Some("sms to +4: refused".into())), &warned("refused"));
}

#[test]
fn a_dead_buzzer_or_button_is_a_failure() {
    let dead = |at: usize| of_hub(move |hub| hub.lines[at].1 = Some("take line 4: dnsmasq holds it".into()));
    check(dead(0), &[("signal buzzer", Failure, "dead: take line 4: dnsmasq holds it")]);
    check(dead(0), &[("signal buzzer", Failure, "[[notify.signal]]")]);
    check(dead(1), &[("button", Failure, "[notify.button]")]);
}

#[test]
fn a_sensor_that_sends_nothing_of_its_probe_is_told_from_a_silent_one() {
    let astray = |state: &'static str| {
        of_hub(move |hub| {
            let sends = "is heard, and nothing it sends measures a unit (it sends: internal)";
            let todo = "`frostguard-hub devices assign ..`";
            hub.sensors = vec![sensor("one", state), sensor("two", "reporting")];
            hub.sensors[0].astray = Some((sends.into(), todo.into()));
        })
    };
    check(astray("reporting"), &[("sensor one", Warning, "(it sends: internal) | `frostguard-hub devices")]);
    let late = [("sensors", Failure, "1 silent"), ("sensor one", Failure, "(it sends: internal)")];
    check(astray("silent"), &late);
}

#[test]
fn what_feeds_the_hub() {
    let power = |power: Power| of_hub(move |hub| hub.power = power);
    check(power(Power::Mains), &[]);
    let battery = power(Power::Battery("BATTERY since 2030-01-01 10:00:00".into()));
    check(battery, &[("power supply", Warning, "BATTERY since 2030")]);
    let unknown = power(Power::Unknown("line 17 is taken".into()));
    check(unknown, &[("power supply", Failure, "unknown, so that nobody is told of a power cut: line 17")]);
    // Nothing is said of what nobody watches.
    let mut facts = healthy();
    let has_line = |facts: &Facts| judge(facts).iter().any(|line| line.check == "power supply");
    assert!(!has_line(&facts));
    power(Power::Mains)(&mut facts);
    assert!(has_line(&facts));
}

#[test]
fn queues() {
    let waits = |age_s: i64| {
        of_database(move |database| {
            let figures = database.figures.as_mut().unwrap();
            (figures.unsent, figures.oldest_unsent) = (40, Some(UnixMs(NOW - age_s * 1_000)));
        })
    };
    check(waits(60), &[]);
    check(waits(7_300), &[("queue", Warning, "40 readings")]);
    check(
        |facts| {
            waits(7_300)(facts);
            of_hub(|hub| hub.clock_trusted = false)(facts);
        },
        &[("clock", Warning, ""), ("queue", Warning, "trusted clock")],
    );
    check(
        |facts| {
            waits(7_300)(facts);
            facts.net.goal = Goal::Off;
        },
        &[],
    );
    check(
        of_database(|database| database.figures.as_mut().unwrap().refused = 3),
        &[("refused rows", Warning, "dead-letters")],
    );
}
