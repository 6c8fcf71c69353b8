//! Sensors on wires through the whole hub, by folders that look like the kernel's.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Hub, Scratch, wait_for};

const SENSOR: &str = "28-0316a2795bff";

struct Wires {
    // Before the folders: fields drop in order.
    hub: Hub,
    desk: Scratch,
}

impl Wires {
    fn new() -> Self {
        let desk = Scratch::new("wires");
        fs::create_dir_all(desk.join("w1").join(SENSOR)).expect("make a sensor's folder");
        fs::create_dir_all(desk.join("iio")).expect("make a converter's folder");
        desk.write("iio/in_voltage0_scale", "0.125\n");
        let settings = format!(
            "[uplink]\nenabled = false\n\
             [onewire]\npath = '{}'\ninterval_s = 1\n\
             [[current]]\nname = 'walk-in'\npath = '{}'\nchannel = 0\nshunt_ohm = 100\nat_4_ma = -50\n\
             at_20_ma = 50\ninterval_s = 1\n",
            desk.join("w1").display(),
            desk.join("iio").display()
        );
        Self { hub: Hub::new(&settings), desk }
    }

    fn sensor_file(&self) -> PathBuf {
        self.desk.join("w1").join(SENSOR).join("w1_slave")
    }

    /// Replaced as a whole, as the kernel makes it.
    fn put_current(&self, raw: &str) {
        let new = self.desk.write("iio/new", raw);
        fs::rename(new, self.desk.join("iio/in_voltage0_raw")).expect("show the converter's value");
    }

    fn rows(&self, query: &str) -> Vec<Value> {
        let text = self.hub.command(&["sql", query, "--json"]);
        text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
    }
}

#[test]
fn wires_fill_the_store_and_a_broken_one_is_an_alert() {
    let mut wires = Wires::new();
    let scratchpad = "3f 00 4b 46 7f ff 01 10 47";
    fs::write(wires.sensor_file(), format!("{scratchpad} : crc=47 YES\n{scratchpad} t=3937\n"))
        .expect("write the sensor's file");
    // 912 mV over 100 ohms are 9.12 mA: -18 °C.
    wires.put_current("7296\n");
    wires.hub.start();
    for (unit, address, source, port) in
        [("Fridge", SENSOR, "onewire", "onewire"), ("Walk-in", "0", "current", "walk-in")]
    {
        let kind = if unit == "Fridge" { "fridge" } else { "freezer" };
        wires.hub.command(&["units", "add", unit, "--type", kind]);
        wires.hub.command(&["devices", "add", address, "--source", source, "--port", port, "--unit", unit]);
    }
    let query = "SELECT DISTINCT source, temperature FROM sensor_readings ORDER BY source";
    let rows = wait_for("both wires in the store", || Some(wires.rows(query)).filter(|rows| rows.len() == 2));
    assert_eq!(
        rows,
        [
            json!({ "source": "current", "temperature": -1_800 }),
            json!({ "source": "onewire", "temperature": 394 })
        ]
    );

    wires.put_current("0\n");
    let query =
        "SELECT u.name AS name, a.alert_type AS type FROM alerts AS a JOIN units AS u ON u.id = a.unit_id";
    let rows = wait_for("the alert", || Some(wires.rows(query)).filter(|rows| !rows.is_empty()));
    assert_eq!(rows, [json!({ "name": "Walk-in", "type": "sensor_fault" })]);
    // A broken wire is no temperature: 0 mA would be -75 °C.
    let query = "SELECT DISTINCT temperature FROM sensor_readings WHERE source = 'current'";
    assert_eq!(wires.rows(query), [json!({ "temperature": -1_800 })]);
    assert!(wires.hub.stop().success());
}

#[test]
fn a_driver_that_hangs_does_not_hold_the_stop_up() {
    let mut wires = Wires::new();
    let file = wires.sensor_file();
    let made = Command::new("mkfifo").arg(&file).status().expect("start mkfifo");
    assert!(made.success(), "make {}", file.display());
    wires.hub.start();
    // Opens only when the hub reads it; held open without a word, it never ends the reading.
    let _silent = wait_for("the hub to read the sensor", || {
        File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&file).ok()
    });
    assert!(wires.hub.stop().success());
}
