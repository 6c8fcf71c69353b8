//! A hub process with sensors on a serial line. Each reading has a number of its own, told as its humidity in hundredths
//! of a percent, so that what was lost and what is double can be named.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::central::Row;
use crate::support::{Hub, Pty, Scratch};

/// What each sensor measures: sensor `n` is in unit `n`.
pub const UNITS: [(&str, &str); 2] = [("Fridge", "fridge"), ("Cold room", "walk_in_cooler")];
/// Of the limits 0.0 to 5.0 °C that units made on a hub have.
pub const COLD: i32 = 300;
pub const WARM: i32 = 950;
/// Lines written at once: the kernel keeps 4 KiB for a reader that is late.
const LINES_AT_ONCE: usize = 20;

pub struct Kitchen {
    pub hub: Hub,
    line: Pty,
    // After what uses its files: fields drop in order.
    _scratch: Scratch,
}

impl Kitchen {
    /// Not started.
    pub fn new() -> Self {
        Self::with("")
    }

    /// Not started; `settings`: more sections of the configuration.
    pub fn with(settings: &str) -> Self {
        let scratch = Scratch::new("line");
        let line = Pty::new(scratch.join("radio"));
        let hub = Hub::new(&format!(
            "[clock]\nuse_rtc = false\n[store]\nwindow_ms = 100\n[uplink]\ninterval_s = 1\npoll_s = 10\n\
             [[serial]]\nname = \"{LINE}\"\npath = '{}'\npreset = \"json\"\n{settings}",
            line.path().display()
        ));
        Self { hub, line, _scratch: scratch }
    }

    /// With units and sensors, running.
    #[track_caller]
    pub fn furnished() -> Self {
        Self::new().furnish()
    }

    /// Starts it, and adds units and sensors.
    #[track_caller]
    pub fn furnish(self) -> Self {
        let mut kitchen = self;
        kitchen.start();
        for (sensor, (name, unit_type)) in UNITS.iter().enumerate() {
            kitchen.hub.command(&["units", "add", name, "--type", unit_type]);
            kitchen.hub.command(&["devices", "add", &eui(sensor), "--unit", name]);
        }
        kitchen
    }

    /// Starts the hub and waits until it hears its line.
    #[track_caller]
    pub fn start(&mut self) {
        self.hub.start();
        self.hub.wait_status("the line to be open", |status| (status["sources"][LINE] == "up").then_some(()));
    }

    #[track_caller]
    pub fn stop(&mut self) {
        let status = self.hub.stop();
        assert!(status.success(), "the hub ended with {status}:\n{}", self.hub.log_text());
    }

    /// Enrols with what `hub add` printed; gives what the command said.
    #[track_caller]
    pub fn enrol(&self, url: &str, code: &str, more: &[&str]) -> String {
        self.hub.command_with_input(&[&["enroll", url, "--code-file", "-"], more].concat(), code)
    }

    /// Plays readings (number, sensor, hundredths of a degree Celsius) and waits until they are stored.
    #[track_caller]
    pub fn hear(&mut self, readings: &[(u32, usize, i32)]) {
        let stored = |status: &Value| status["readings"]["stored"].as_u64().expect("status counts readings");
        let mut want = stored(&self.hub.status());
        for chunk in readings.chunks(LINES_AT_ONCE) {
            let lines: String =
                chunk.iter().map(|&(number, sensor, celsius)| line(number, sensor, celsius)).collect();
            self.line.write(lines.as_bytes()).expect("write to the line");
            want += chunk.len() as u64;
            self.hub.wait_status("readings to be stored", |status| (stored(status) >= want).then_some(()));
        }
    }

    /// Readings of one temperature, from the sensors in turn.
    #[track_caller]
    pub fn hear_both(&mut self, numbers: std::ops::Range<u32>, celsius: i32) {
        let readings: Vec<_> =
            numbers.map(|number| (number, number as usize % UNITS.len(), celsius)).collect();
        self.hear(&readings);
    }

    /// Waits until nothing is left to go up.
    #[track_caller]
    pub fn wait_sent(&self) {
        self.hub.wait_status("everything to be sent", |status| {
            let left = ["unsent_readings", "dirty_rows", "batches_in_flight", "waiting_for_clock"];
            left.iter().all(|key| status["sync"][key] == 0).then_some(())
        });
    }

    /// Waits until what the uplink last complained of holds `text`.
    #[track_caller]
    pub fn wait_problem(&self, text: &str) {
        self.hub.wait_status(&format!("the problem {text:?}"), |status| {
            status["sync"]["uplink"]["problem"].as_str().filter(|problem| problem.contains(text)).map(drop)
        });
    }

    /// Rows of a query on the hub's database.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let text = self.hub.command(&["sql", "--json", sql]);
        text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
    }

    /// The first column of a query, as text.
    #[track_caller]
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let text = |row: &Value| match row["x"].clone() {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.query(sql).iter().map(text).collect()
    }

    /// All readings, by id.
    #[track_caller]
    pub fn readings(&self) -> Vec<Row> {
        let rows = self.query("SELECT id, unit_id, recorded_at, temperature, humidity FROM sensor_readings");
        let text = |row: &Value, key: &str| row[key].as_str().expect("an id is text").to_owned();
        let int = |row: &Value, key: &str| row[key].as_i64().expect("a number is whole");
        let row = |row: &Value| Row {
            id: text(row, "id"),
            unit: text(row, "unit_id"),
            recorded_ms: int(row, "recorded_at"),
            temperature: int(row, "temperature"),
            number: int(row, "humidity"),
        };
        let mut rows: Vec<Row> = rows.iter().map(row).collect();
        rows.sort();
        rows
    }

    /// Epochs and why each began, oldest first.
    #[track_caller]
    pub fn epochs(&self) -> Vec<String> {
        self.texts("SELECT reason AS x FROM hub_epochs ORDER BY no")
    }

    /// Units as the hub shows them, by name.
    #[track_caller]
    pub fn units(&self) -> BTreeMap<String, Value> {
        let list = self.hub.json(&["units", "list", "--json"]);
        let units = list["units"].as_array().expect("units are listed").iter();
        units
            .map(|unit| (unit["name"].as_str().expect("a unit has a name").to_owned(), unit.clone()))
            .collect()
    }

    /// Copies the state, of which no hub runs, to another folder, in place of what is there.
    pub fn copy_state(&self, to: &Path) {
        copy_folder(&self.hub.state_dir(), to, &[]);
    }

    /// Puts a copy back.
    pub fn restore_state(&self, from: &Path) {
        copy_folder(from, &self.hub.state_dir(), &[]);
    }

    /// Takes another hub's database and nothing else.
    pub fn take_database(&self, from: &Path) {
        copy_folder(from, &self.hub.state_dir(), &[OsStr::new("credentials")]);
    }
}

const LINE: &str = "line";

pub fn eui(sensor: usize) -> String {
    format!("70B3D57ED000{sensor:04X}")
}

/// What a sensor says.
pub fn line(number: u32, sensor: usize, celsius: i32) -> String {
    let hundredths = |value: i64| format!("{}.{:02}", value / 100, value % 100);
    format!(
        "{{\"id\":\"{}\",\"temperature_c\":{},\"humidity\":{},\"counter\":{number}}}\n",
        eui(sensor),
        hundredths(celsius.into()),
        hundredths(number.into())
    )
}

fn copy_folder(from: &Path, to: &Path, without: &[&OsStr]) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("make a folder");
    for entry in fs::read_dir(from).expect("list a folder") {
        let entry = entry.expect("list a folder");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if without.contains(&entry.file_name().as_os_str()) {
        } else if path.is_dir() {
            copy_folder(&path, &target, without);
        } else {
            fs::copy(&path, &target).expect("copy a file");
        }
    }
}
