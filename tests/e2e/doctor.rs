//! `doctor` on real hubs: one at work, one whose surroundings fail, one that is stopped.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use crate::central::{Central, SITE};
use crate::support::{Hub, Mosquitto, Pty, Receiver, Scratch};

/// Depends on where the tests run: memory or a layer of a container.
const SURROUNDINGS: [&str; 2] = ["file system", "disk space"];

struct Kitchen {
    hub: Hub,
    receiver: Receiver,
    broker: Mosquitto,
    radio: Pty,
    _desk: Scratch,
}

impl Kitchen {
    /// Enrolled, with a sensor that is heard.
    fn open(central: &Central) -> Self {
        let desk = Scratch::new("doctor");
        let broker = Mosquitto::start();
        let receiver = Receiver::start(central.url());
        let mut radio = Pty::new(desk.join("radio"));
        let mut hub = Hub::new(&format!(
            "[store]\nwindow_ms = 100\n\
             [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
             [[mqtt]]\nname = 'broker'\nurl = 'mqtt://127.0.0.1:{}'\nkind = 'chirpstack-v4'\nclient_id = 'doctor-e2e'\n\
             [uplink]\nurl = '{}'\ninterval_s = 1\npoll_s = 10\n",
            radio.path().display(),
            broker.port(),
            receiver.url(),
        ));
        hub.start();
        hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
        hub.command(&[
            "devices", "add", "probe-1", "--source", "serial", "--port", "radio", "--unit", "Fridge",
        ]);
        let code = receiver.add_hub(SITE);
        hub.command_with_input(&["enroll", "--code-file", "-", "--create-units"], &code);
        radio
            .write(b"{\"id\":\"probe-1\",\"temperature_c\":4.5,\"counter\":1}\n")
            .expect("the radio takes a line");
        hub.wait_status("a reading in central, a trusted clock and both sources", |status| {
            let is_up = |name: &str| status["sources"][name] == "up";
            let is_sent = status["readings"]["stored"] == 1 && status["sync"]["unsent_readings"] == 0;
            (status["clock"]["trusted"] == true && is_sent && is_up("radio") && is_up("broker")).then_some(())
        });
        Self { hub, receiver, broker, radio, _desk: desk }
    }
}

/// Lines by their check, those that are not ok; the exit code must say the same.
#[track_caller]
fn complaints(hub: &Hub) -> BTreeMap<String, (String, String)> {
    let output = hub.try_command(&["doctor", "--json"], "");
    let report: Value = serde_json::from_slice(&output.stdout).expect("doctor answers in JSON");
    let lines = report["lines"].as_array().expect("lines");
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let bad: BTreeMap<_, _> = lines
        .iter()
        .filter(|line| line["verdict"] != "ok")
        .map(|line| {
            assert_ne!(text(line, "todo"), "", "{line}");
            (text(line, "check"), (text(line, "verdict"), text(line, "found")))
        })
        .collect();
    let code = match report["verdict"].as_str() {
        Some("ok") => 0,
        Some("warning") => 3,
        _ => 1,
    };
    assert_eq!(output.status.code(), Some(code), "{report:#}");
    let worst = if bad.values().any(|(verdict, _)| verdict == "failure") { "failure" } else { "warning" };
    assert!(bad.is_empty() || report["verdict"] == worst, "{report:#}");
    bad.into_iter().filter(|(check, _)| !SURROUNDINGS.contains(&check.as_str())).collect()
}

#[track_caller]
fn check(complaints: &BTreeMap<String, (String, String)>, name: &str, verdict: &str, part: &str) {
    let found = complaints.get(name).unwrap_or_else(|| panic!("{name} is missing in {complaints:#?}"));
    assert!(found.0 == verdict && found.1.contains(part), "{name}: {found:?}, wanted {verdict} {part}");
}

#[test]
fn it_finds_what_fails_and_nothing_else() {
    let central = Central::start();
    let mut kitchen = Kitchen::open(&central);
    let own = std::process::id().to_string();
    // The test holds the line's far end open too, and the kitchen has no channel to people.
    let usual = ["calling people", "serial radio"];
    let well = complaints(&kitchen.hub);
    assert_eq!(well.keys().map(String::as_str).collect::<Vec<_>>(), usual, "{well:#?}");
    check(&well, "serial radio", "warning", &own);
    check(&well, "calling people", "warning", "nobody is called");

    let database = kitchen.hub.state_dir().join("hub.db");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).expect("open the database to others");
    kitchen.broker.stop();
    kitchen.radio.unplug();
    kitchen.hub.wait_status("both sources to be down", |status| {
        let is_down =
            |name: &str| status["sources"][name].as_str().is_some_and(|state| state.contains("down"));
        (is_down("radio") && is_down("broker")).then_some(())
    });
    let ill = complaints(&kitchen.hub);
    check(&ill, "permissions", "failure", "hub.db has mode 0644");
    check(&ill, "broker broker", "failure", "refused");
    check(&ill, "source broker", "failure", "down");
    check(&ill, "source radio", "failure", "down");
    check(&ill, "serial radio", "failure", "there is no");
    for well in ["credential", "internet: TCP", "database", "hub"] {
        assert!(!ill.contains_key(well), "{ill:#?}");
    }

    let hubs: Value = serde_json::from_str(&kitchen.receiver.command(&["hub", "list", "--json"]))
        .expect("hub list answers in JSON");
    let id =
        hubs.as_array().or(hubs["hubs"].as_array()).expect("a list")[0]["hub_id"].as_str().expect("an id");
    kitchen.receiver.command(&["hub", "revoke", id]);
    check(&complaints(&kitchen.hub), "credential", "failure", "401");
    kitchen.receiver.kill();
    let ill = complaints(&kitchen.hub);
    check(&ill, "internet: TCP", "failure", "refused");
    assert!(!ill.contains_key("credential"), "what comes after a step that failed is not tried: {ill:#?}");

    assert!(kitchen.hub.stop().success(), "the hub stops in order");
    let before = listing(&kitchen.hub.state_dir());
    let ill = complaints(&kitchen.hub);
    check(&ill, "hub", "failure", "does not run");
    assert!(!ill.contains_key("database"), "{ill:#?}");
    assert_eq!(listing(&kitchen.hub.state_dir()), before, "who looks changes nothing");

    fs::write(&database, "no database").expect("break the database");
    check(&complaints(&kitchen.hub), "database", "failure", "");
}

#[test]
fn a_wrong_password_is_named() {
    let desk = Scratch::new("password");
    let broker = Mosquitto::start_with("allow_anonymous false\n");
    let password = desk.write("password", "wrong\n");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("close the file");
    let hub = Hub::new(&format!(
        "[uplink]\nenabled = false\n[[mqtt]]\nname = 'broker'\nurl = 'mqtt://127.0.0.1:{}'\nkind = 'ttn-v3'\n\
         username = 'kitchen'\npassword_file = '{}'\n",
        broker.port(),
        password.display()
    ));
    check(&complaints(&hub), "broker broker", "failure", "refuses the user or the password");
}

#[test]
fn a_credential_of_the_service_is_not_called_wrong() {
    let broker = Mosquitto::start_with("allow_anonymous false\n");
    let hub = Hub::new(&format!(
        "[uplink]\nenabled = false\n[[mqtt]]\nname = 'broker'\nurl = 'mqtt://127.0.0.1:{}'\nkind = 'ttn-v3'\n\
         username = 'kitchen'\npassword_file = 'no-such-credential-of-a-test'\n",
        broker.port()
    ));
    check(&complaints(&hub), "broker broker", "warning", "a credential of the service's");
}

#[test]
fn who_calls_nobody_and_measures_nothing_is_named() {
    let desk = Scratch::new("installed");
    let mut radio = Pty::new(desk.join("radio"));
    let mut hub = Hub::new(&format!(
        "[uplink]\nenabled = false\n[power]\nline = {{ chip = '/dev/no-such-chip', line = 4 }}\n\
         [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
         [notify.smtp]\nhost = '127.0.0.1'\nport = 9\nsecurity = 'none'\nfrom = 'hub@kitchen.example'\n\
         [[notify.signal]]\nname = 'buzzer'\nrole = 'buzzer'\nchip = '/dev/no-such-chip'\nline = 5\n\
         [notify.button]\nchip = '/dev/no-such-chip'\nline = 6\n",
        radio.path().display(),
    ));
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    let add = ["devices", "add", "probe-1", "--source", "serial", "--port", "radio", "--unit", "Fridge"];
    hub.command(&[&add[..], &["--probe", "external"]].concat());
    radio
        .write(b"{\"id\":\"probe-1\",\"temperature_c\":4.5,\"counter\":1}\n")
        .expect("the radio takes a line");
    hub.wait_status("what hangs on lines to be tried, and the sensor to be heard", |status| {
        let is = |value: &Value, part: &str| value.as_str().is_some_and(|text| text.contains(part));
        let lines = &status["people"]["lines"];
        let are_dead = is(&lines["signal buzzer"], "dead") && is(&lines["button"], "dead");
        let is_heard = status["counters"]["frames.unassigned{radio}"] == 1;
        (are_dead && is_heard && is(&status["power"]["supply"], "unknown: read line 4")).then_some(())
    });
    let ill = complaints(&hub);
    check(&ill, "calling people", "warning", "nobody gets a message");
    check(&ill, "signal buzzer", "failure", "/dev/no-such-chip");
    check(&ill, "button", "failure", "/dev/no-such-chip");
    check(&ill, "power supply", "failure", "/dev/no-such-chip");
    check(&ill, "sensor probe-1", "warning", "it sends: internal");
    let table = hub.command(&["status"]);
    assert!(table.lines().any(|line| line.starts_with("Fridge") && line.contains("no reading")), "{table}");
}

/// Names, lengths and owners of the files in a folder.
fn listing(folder: &Path) -> Vec<(String, u64, u32)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .expect("look into the folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let found = entry.metadata().expect("its metadata");
            (entry.file_name().to_string_lossy().into_owned(), found.len(), found.uid())
        })
        .collect();
    all.sort();
    all
}
