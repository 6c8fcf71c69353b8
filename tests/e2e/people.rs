//! Commands of people on a hub process: entries, a power cut, and the audit chain with its exit codes.

use std::fs;

use crate::support::{Hub, Scratch, wait_for};

/// A hub that watches a folder made to look like the kernel's supplies.
fn hub_with_supply(scratch: &Scratch) -> Hub {
    fs::create_dir(scratch.join("AC")).expect("make a supply");
    scratch.write("AC/type", "Mains\n");
    scratch.write("AC/online", "1\n");
    let supply = scratch.path().display();
    Hub::new(&format!("[uplink]\nenabled = false\n[power]\nsupply = '{supply}'\ndebounce_s = 0\n"))
}

#[test]
fn people_enter_what_they_see_and_the_chain_keeps_it() {
    let scratch = Scratch::new("supply");
    let mut hub = hub_with_supply(&scratch);
    let code = |hub: &Hub, arguments: &[&str]| hub.try_command(arguments, "").status.code();
    assert_eq!(code(&hub, &["audit", "verify"]), Some(2), "there is nothing to look at");
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    assert_eq!(code(&hub, &["log", "Fridge", "99"]), Some(1), "asked again");
    hub.command(&["log", "Fridge", "9,5", "--by", "Ana", "--notes", "door was open"]);
    hub.command(&["alerts", "ack", "Fridge", "--by", "Ana"]);
    hub.command(&["alerts", "resolve", "Fridge", "--by", "Ana", "--action", "moved the food"]);
    assert_eq!(hub.json(&["alerts", "list", "--all", "--json"])["alerts"][0]["status"], "resolved");
    hub.command(&["contacts", "add", "Ana", "--phone", "+49 151 23456789"]);
    assert!(hub.command(&["contacts", "list"]).contains("+4915123456789"));

    scratch.write("AC/online", "0\n");
    let supply = |hub: &Hub| hub.status()["power"]["supply"].as_str().unwrap_or_default().to_owned();
    wait_for("the loss to be seen", || supply(&hub).starts_with("BATTERY").then_some(()));
    scratch.write("AC/online", "1\n");
    wait_for("the return to be seen", || (supply(&hub) == "mains").then_some(()));
    hub.command(&["power", "report"]);

    // Running or stopped, here or as a copy.
    let report = hub.json(&["audit", "verify", "--json"]);
    assert_eq!(report["is_good"], true);
    let head = report["report"]["epochs"][0]["head"].as_str().expect("an epoch has a head").to_owned();
    assert!(hub.stop().success());
    hub.command(&["audit", "verify", "--head", &head]);
    let export = scratch.join("export.jsonl");
    let path = export.to_str().expect("a plain path");
    hub.command(&["audit", "export", "--out", path]);
    assert_eq!(code(&hub, &["audit", "export", "--out", path]), Some(1), "nothing is written over");
    hub.command(&["audit", "verify", "--export", path]);
    let text = fs::read_to_string(&export).expect("read the export");
    for event_type in
        ["manual_log_recorded", "alert_acknowledged", "corrective_action_recorded", "power_lost"]
    {
        assert!(text.contains(event_type), "{event_type}");
    }
    scratch.write("changed.jsonl", &text.replace("\"hundredths\":950", "\"hundredths\":450"));
    let changed = scratch.join("changed.jsonl");
    let changed = changed.to_str().expect("a plain path");
    assert_eq!(code(&hub, &["audit", "verify", "--export", changed]), Some(1));
    assert_eq!(code(&hub, &["audit", "verify", "--database", "/no/such/file"]), Some(2));
}
