//! The TOML that is proposed for a result.

use super::*;

/// What is proposed for a script that gives `data`, as lines "path = quantity unit probe", and that it can be used.
#[track_caller]
fn check(data: &str, measuring: &str, want: &[&str]) {
    let source = format!("function decodeUplink() {{ return {{data: {data}}}; }}");
    let clock = still();
    let toml = suggest("maker", &source, (2, &[1]), None, &mut |call| run(call, &clock)).unwrap();
    let manifest = Manifest::parse("maker", &toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    let got: Vec<String> = manifest
        .map
        .iter()
        .map(|map| {
            format!("{} = {:?} {}", map.text, map.kind, map.probe)
                .replace("Battery(", "")
                .replace("Temperature(", "")
                .replace(')', "")
        })
        .map(|line| {
            line.split(" = Door").next().map_or(line.clone(), |path| {
                if path == line { line.clone() } else { format!("{path} = Door") }
            })
        })
        .collect();
    assert_eq!(got, want, "{toml}");
    assert_eq!(manifest.measuring.to_string(), measuring, "{toml}");
}

#[test]
fn usual_names_are_known() {
    check(
        "{BatV: 3.012, Bat_status: 3, TempC_SHT: '21.00', Hum_SHT: '40.0', TempC_DS: 4.1, Ext_sensor: 'DS18B20'}",
        "external",
        &[
            "BatV = Volts internal",
            "Hum_SHT = Humidity internal",
            "TempC_DS = C external",
            "TempC_SHT = C internal",
        ],
    );
    check(
        "{Temperature: 4, humidity: 50, battery: 97, temperature_alarm: 0}",
        "internal",
        &["Temperature = C internal", "battery = Percent internal", "humidity = Humidity internal"],
    );
    check(
        "{temperature_1: 4, temperature_2: 5, battery_mv: 3000}",
        "1",
        &["battery_mv = Millivolts internal", "temperature_1 = C 1", "temperature_2 = C 2"],
    );
    check(
        "{tempC: 4, ext_temperature: 5, rh: 40}",
        "external",
        &["ext_temperature = C external", "rh = Humidity internal", "tempC = C internal"],
    );
    check("{temp: {value: 4, unit: 'C'}, tempF: 39}", "internal", &["temp = C internal", "tempF = F 1"]);
    check("{TempC1: 4.5, door_open: true, doorCount: 5}", "1", &["TempC1 = C 1", "door_open = Door"]);
    check(
        "{log: [{time: 1790000000, temp: 4}, {time: 1790000060, temp: 5}], probes: [{temperature: 1}, {temperature: 2}]}",
        "external",
        &["log[].temp = C internal", "probes[0].temperature = C external", "probes[1].temperature = C 1"],
    );
    check(
        "{contact: 'closed', 'odd.key temperature': 4}",
        "internal",
        &["contact = Door", "[\"odd.key temperature\"] = C internal"],
    );
}

#[test]
fn what_is_not_known_is_shown() {
    let clock = still();
    let source = "function decodeUplink() { return {data: {t: 4, co2: 400, note: 'a\\nb'}}; }";
    let toml = suggest("maker", source, (7, &[1]), None, &mut |call| run(call, &clock)).unwrap();
    assert!(
        toml.contains("ports = [7]") && toml.contains("#   co2 = 400\n") && toml.contains("#   note = a b\n"),
        "{toml}"
    );
    let error = suggest("maker", "for (;;);", (7, &[1]), None, &mut |call| run(call, &clock)).unwrap_err();
    assert!(error.to_string().contains("did not end"));
}
