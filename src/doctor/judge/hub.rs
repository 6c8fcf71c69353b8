//! What the running hub says: sources, gateways, sensors, how people are told.

use super::super::Line;
use super::super::facts::{Database, Found, Hub, Power, Running, Sensor};
use super::age;

/// A gateway sends its statistics every 30 s or so; one that is silent for this long is away.
const GATEWAY_SILENT_S: i64 = 600;
/// Percent at which most sensors are about to stop.
const BATTERY_LOW: i64 = 10;
/// dBm: at the edge of what LoRa receives.
const RSSI_WEAK: i64 = -115;
/// Below, text messages often do not go out.
const MODEM_WEAK_DBM: i64 = -105;
/// Silent sensors named one by one; their number is always whole.
const NAMED_MAX: usize = 32;

pub fn running(hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "hub";
    match hub {
        Hub::Running(running) if running.storage == "ok" => {
            lines.push(Line::ok(
                CHECK,
                format!("version {} runs as process {}", running.version, running.pid),
            ));
        }
        Hub::Running(running) => lines.push(Line::failure(
            CHECK,
            format!("it runs and cannot store: {}", running.storage),
            "see the lines about the disk; readings are judged and kept in memory meanwhile",
        )),
        Hub::Stopped => lines.push(Line::failure(
            CHECK,
            "it does not run: nothing is heard and nobody is called",
            "`systemctl start frostguard-hub`; `journalctl -u frostguard-hub -n 50` says why it stopped",
        )),
        Hub::Mute(why) => lines.push(Line::failure(
            CHECK,
            format!("it does not answer: {why}"),
            "run this as root or as the hub's user; if it hangs, `systemctl restart frostguard-hub`",
        )),
    }
}

pub fn sources(hub: &Hub, lines: &mut Vec<Line>) {
    let Hub::Running(running) = hub else { return };
    for (name, down) in &running.sources {
        let check = format!("source {name}");
        lines.push(match down {
            None => Line::ok(&check, "up"),
            Some(why) => Line::failure(
                &check,
                format!("down: {why}"),
                match running.sections.get(name) {
                    Some(section) => {
                        format!("see its section {section} in hub.toml; the hub tries again by itself")
                    }
                    None => "see the line of its port or broker; the hub tries again by itself".to_owned(),
                },
            ),
        });
    }
}

/// No complaint: it is so in the packaged service, and only takes longer.
pub fn onewire(hub: &Hub, lines: &mut Vec<Line>) {
    if matches!(hub, Hub::Running(running) if running.is_onewire_slow) {
        let found =
            "sensors convert one after the other, since only root may let all of a line convert at once";
        lines.push(Line::ok("1-Wire", found));
    }
}

pub fn gateways(hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "gateways";
    let Hub::Running(running) = hub else { return };
    let Some(gateways) = &running.gateways else { return };
    if gateways.is_empty() {
        lines.push(Line::warning(
            CHECK,
            "no gateway is listed, so no LoRaWAN frame is taken",
            "`frostguard-hub gateways add EUI`; its forwarder must send to the hub's address",
        ));
    }
    for gateway in gateways {
        let check = format!("gateway {}", gateway.name);
        lines.push(match gateway.heard_age_s {
            Some(seconds) if seconds <= GATEWAY_SILENT_S => {
                Line::ok(&check, format!("heard {} ago", age(seconds)))
            }
            heard => Line::failure(
                &check,
                heard.map_or("never heard".to_owned(), |seconds| format!("silent for {}", age(seconds))),
                "see that it has power and network, and that its forwarder sends to the hub's address and port",
            ),
        });
    }
}

pub fn sensors(hub: &Hub, database: &Found<Database>, lines: &mut Vec<Line>) {
    const CHECK: &str = "sensors";
    let Hub::Running(running) = hub else {
        if let Ok(database) = database
            && database.exists
        {
            let found = format!(
                "{} are paired; whether they are heard shows only while the hub runs",
                database.sensors
            );
            lines.push(Line::ok(CHECK, found));
        }
        return;
    };
    if running.sensors.is_empty() {
        lines.push(Line::warning(
            CHECK,
            "none is paired",
            "`frostguard-hub devices strangers` lists who is heard; `frostguard-hub devices add EUI` or \
             `frostguard-hub pair open` pairs",
        ));
        return;
    }
    let of = |state: &str| running.sensors.iter().filter(|sensor| sensor.state == state).count();
    let silent: Vec<&Sensor> = running.sensors.iter().filter(|sensor| sensor.state == "silent").collect();
    let astray = running.sensors.iter().filter_map(|sensor| Some((sensor, sensor.astray.as_ref()?)));
    let counts = format!(
        "{} of {} are heard, {} silent, {} not heard yet since the start, {} without a unit",
        of("reporting"),
        running.sensors.len(),
        silent.len(),
        of("awaited"),
        of("unassigned")
    );
    lines.push(if silent.is_empty() {
        Line::ok(CHECK, counts)
    } else {
        Line::failure(CHECK, counts, "see the lines of the silent ones")
    });
    for (sensor, (found, todo)) in astray.take(NAMED_MAX) {
        let check = format!("sensor {}", sensor.name);
        // Its unit is offline by now, and says so itself.
        let is_late = sensor.state == "silent";
        let line = if is_late { Line::failure } else { Line::warning };
        lines.push(line(&check, found, todo));
    }
    for sensor in silent.iter().filter(|sensor| sensor.astray.is_none()).take(NAMED_MAX) {
        let (why, todo) = why_silent(sensor, running);
        let since = sensor.seen_age_s.map_or("never heard since the start".to_owned(), |seconds| {
            format!("silent for {}", age(seconds))
        });
        lines.push(Line::failure(&format!("sensor {}", sensor.name), format!("{since}: {why}"), todo));
    }
}

/// The likeliest reason, from what stands between it and the hub to itself.
fn why_silent(sensor: &Sensor, running: &Running) -> (String, &'static str) {
    let port = &sensor.port;
    if let Some((_, Some(_))) = running.sources.iter().find(|(name, _)| name == port) {
        return (format!("its source {port} is down"), "see the line of the source");
    }
    let gateways = running.gateways.as_deref().unwrap_or_default();
    let is_heard = |age_s: Option<i64>| age_s.is_some_and(|seconds| seconds <= GATEWAY_SILENT_S);
    if sensor.source == "lorawan" && !gateways.iter().any(|gateway| is_heard(gateway.heard_age_s)) {
        return ("no gateway is heard".into(), "see the lines of the gateways");
    }
    if let Some(battery) = sensor.battery.filter(|battery| *battery <= BATTERY_LOW) {
        return (format!("its battery said {battery} % last"), "change the battery");
    }
    if let Some(rssi) = sensor.rssi.filter(|rssi| *rssi < RSSI_WEAK) {
        return (
            format!("its signal was weak ({rssi} dBm)"),
            "move the gateway or the sensor's antenna closer, or out of the metal",
        );
    }
    let mut others = running.sensors.iter().filter(|other| other.port == *port && other.name != sensor.name);
    if !port.is_empty() && others.clone().count() > 0 && others.all(|other| other.state == "silent") {
        return (
            format!("as all others over {port}"),
            "look at the radio module, gateway or wire they share, and its antenna",
        );
    }
    ("it sends nothing".into(), "look at the sensor: battery, its button, whether it was taken away")
}

pub fn power(hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "power supply";
    let Hub::Running(running) = hub else { return };
    match &running.power {
        Power::NotWatched => {}
        Power::Mains => lines.push(Line::ok(CHECK, "mains")),
        Power::Battery(since) => lines.push(Line::warning(
            CHECK,
            since,
            "see the fuse, the plug and the adapter; the hub goes off when the battery is empty",
        )),
        Power::Unknown(why) => lines.push(Line::failure(
            CHECK,
            format!("unknown, so that nobody is told of a power cut: {why}"),
            "see [power] in the configuration: `gpioinfo` shows the lines and who holds them, \
             `ls /sys/class/power_supply` the supplies that the kernel knows of (a Raspberry Pi by itself has none)",
        )),
    }
}

pub fn modem(hub: &Hub, has_modem: bool, lines: &mut Vec<Line>) {
    const CHECK: &str = "modem";
    let Hub::Running(running) = hub else { return };
    if !has_modem {
        return;
    }
    let Some(modem) = &running.modem else {
        lines.push(Line::warning(
            CHECK,
            "the running hub has none, though the configuration has",
            "restart the hub, so that it reads its configuration",
        ));
        return;
    };
    let operator = modem.operator.as_deref().unwrap_or("no network");
    let signal = modem.signal_dbm.map_or(String::new(), |dbm| format!(", {dbm} dBm"));
    let found = format!("{operator}{signal}");
    lines.push(match (&modem.problem, modem.is_ready, modem.signal_dbm) {
        (Some(problem), ..) => {
            Line::failure(CHECK, problem, "what it says; `frostguard-hub notify test sms` tries again")
        }
        (None, false, _) => Line::failure(
            CHECK,
            format!("not ready: {found}"),
            "wait a minute after a start; then see the SIM card, its antenna and its PIN",
        ),
        (None, true, Some(dbm)) if dbm < MODEM_WEAK_DBM => {
            Line::warning(CHECK, found, "the signal is weak: move its antenna to a window")
        }
        (None, true, _) => Line::ok(CHECK, found),
    });
}

/// Buzzers, lamps, relays and the button that silences them.
pub fn lines(hub: &Hub, lines: &mut Vec<Line>) {
    let Hub::Running(running) = hub else { return };
    lines.extend(running.lines.iter().map(|(name, dead)| match dead {
        None => Line::ok(name, "its line is the hub's"),
        Some(why) => {
            let section = if name == "button" { "[notify.button]" } else { "[[notify.signal]]" };
            Line::failure(
                name,
                format!("dead: {why}"),
                format!(
                    "see chip and line of {section} (`gpioinfo` lists them); the hub tries again every few seconds"
                ),
            )
        }
    }));
}

pub fn people(hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "calling people";
    let Hub::Running(running) = hub else { return };
    let found = format!("by {}; {} contacts", running.channels, running.contacts);
    let try_it = "`frostguard-hub notify test` tries every channel";
    let add = "`frostguard-hub contacts add NAME --phone +49.. --email a@b.example` adds somebody; an enrolled hub takes \
               its contacts from central";
    let has = |name: &str| running.channels.split(", ").any(|channel| channel == name);
    let reaches_nobody = |channel: &str, count: u64| has(channel) && count == 0;
    lines.push(if running.channels.starts_with("none") {
        Line::warning(
            CHECK,
            "no channel is configured: nobody is called",
            "see [notify] in the configuration",
        )
    } else if running.contacts == 0 && (has("sms") || has("email")) {
        Line::warning(CHECK, format!("{found}: nobody gets a message"), add)
    } else if reaches_nobody("sms", running.with_phone) {
        Line::warning(CHECK, format!("{found}, none of them with a number that an SMS can go to"), add)
    } else if reaches_nobody("email", running.with_email) {
        Line::warning(CHECK, format!("{found}, none of them with an e-mail address"), add)
    } else if let Some(failure) = &running.last_call_failure {
        Line::warning(CHECK, format!("{found}; the last that failed: {failure}"), try_it)
    } else {
        Line::ok(CHECK, found)
    });
}
