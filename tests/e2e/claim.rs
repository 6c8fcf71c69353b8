//! Who has the database: a hub that starts and commands beside it wait for one another, and none is turned away.

use std::process::Stdio;

use frostguard_hub::store::StateLock;

use crate::support::{Hub, Running, Scratch, wait_for};

const SETTINGS: &str = "[uplink]\nenabled = false\n";

fn units(hub: &Hub) -> Vec<String> {
    let list = hub.json(&["units", "list", "--json"]);
    let rows = list["units"].as_array().expect("a list");
    let mut names: Vec<String> =
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_hub_that_starts_and_a_command_wait_for_who_has_the_database() {
    let desk = Scratch::new("claim");
    let mut hub = Hub::new(SETTINGS);
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    hub.kill();
    assert!(hub.socket().exists(), "who is killed leaves its socket");
    // With nobody there a command does it itself.
    hub.command(&["units", "add", "Freezer", "--type", "freezer"]);

    // As another command would hold it.
    let lock = StateLock::take(&hub.state_dir()).expect("nobody has it");
    let said = desk.join("said");
    let mut command = hub.command_line();
    command.args(["units", "add", "Display", "--type", "display_case"]).stdout(Stdio::null());
    let mut adding = Running::start("units add", &mut command, &said);
    adding.wait_until("the command to say that it waits", || {
        std::fs::read_to_string(&said).ok().filter(|text| text.contains("has the database: waiting"))
    });
    hub.launch();
    wait_for("the hub to say that it waits", || {
        Some(hub.log_text()).filter(|text| text.contains("has the database: waiting"))
    });
    drop(lock);
    assert!(adding.wait_until_ended().success(), "{}", adding.log_text());
    hub.wait_until_it_listens();
    assert_eq!(units(&hub), ["Display", "Freezer", "Fridge"]);

    // A second one does not wait for the first to end.
    let second = hub.try_command(&["run"], "");
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && error.contains("another hub listens"), "{error}");
    assert_eq!(units(&hub).len(), 3, "the first still listens");
    assert!(hub.stop().success());
}

#[test]
fn a_hub_that_waits_can_be_stopped() {
    let mut hub = Hub::new(SETTINGS);
    let lock = StateLock::take(&hub.state_dir()).expect("nobody has it");
    hub.launch();
    wait_for("the hub to say that it waits", || {
        Some(hub.log_text()).filter(|text| text.contains("has the database: waiting"))
    });
    assert!(hub.stop().success());
    assert!(!hub.socket().exists() && !hub.state_dir().join("hub.db").exists());
    drop(lock);
}
