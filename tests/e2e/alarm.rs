//! An alarm that reaches a person with no network at all: a sensor on a pseudo-terminal goes warm, a modem on another
//! sends SMS, a stand-in for a GPIO line is switched.

use std::fs;
use std::process::Command;

use crate::support::modem::{Behaviour, Modem, Moment};
use crate::support::{Hub, Pty, Scratch, wait_for};

const ANA: &str = "+4915123456789";

/// Not one interface is up in there, not even loopback.
fn without_a_network(hub: Hub) -> Hub {
    let unshare = ["unshare", "--net", "--"];
    let is_allowed =
        Command::new("unshare").args(["--net", "--", "true"]).status().is_ok_and(|it| it.success());
    if is_allowed {
        return hub.within(&unshare);
    }
    let as_user = ["unshare", "--map-current-user", "--net", "--"];
    let is_allowed =
        Command::new(as_user[0]).args(&as_user[1..]).arg("true").status().is_ok_and(|it| it.success());
    if is_allowed {
        return hub.within(&as_user);
    }
    // Its configuration names no host either way.
    eprintln!("this system lets nobody leave its network: the hub runs with one that it does not use");
    hub
}

struct Kitchen {
    hub: Hub,
    radio: Pty,
    modem: Modem,
    desk: Scratch,
    counter: u32,
}

impl Kitchen {
    fn new(behaviour: Behaviour) -> Self {
        let desk = Scratch::new("kitchen");
        let radio = Pty::new(desk.join("radio"));
        let modem = Modem::start(desk.join("modem"), behaviour);
        let line = |name: &str| desk.join(name).display().to_string();
        let signal = |name: &str, role: &str| {
            format!(
                "[[notify.signal]]\nname = '{name}'\nrole = '{role}'\nchip = 'fake:{}'\nline = 1\n",
                line(name)
            )
        };
        let settings = format!(
            "[uplink]\nenabled = false\n[rules]\nconfirm_delay_min = 0\n\
             [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
             [notify]\ncool_down_min = 0\n{}{}[notify.modem]\npath = '{}'\n",
            line("radio"),
            signal("buzzer", "buzzer"),
            signal("relay", "relay"),
            line("modem"),
        );
        let mut hub = without_a_network(Hub::new(&settings).with_stand_ins());
        hub.start();
        hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
        let pair = ["devices", "add", "probe-1", "--source", "serial", "--port", "radio", "--unit", "Fridge"];
        hub.command(&pair);
        hub.command(&["contacts", "add", "Ana", "--phone", ANA]);
        Self { hub, radio, modem, desk, counter: 0 }
    }

    fn read(&mut self, celsius: f64) {
        self.counter += 1;
        let line =
            format!("{{\"id\":\"probe-1\",\"temperature_c\":{celsius},\"counter\":{}}}\n", self.counter);
        self.radio.write(line.as_bytes()).expect("the radio takes a line");
    }

    /// The texts that arrived at Ana's.
    fn texts(&self) -> Vec<String> {
        let messages = self.modem.messages();
        messages.into_iter().filter(|sms| sms.recipient == ANA).map(|sms| sms.text).collect()
    }

    fn line(&self, name: &str) -> String {
        fs::read_to_string(self.desk.join(name)).unwrap_or_default().replace('\n', "")
    }
}

#[test]
fn a_warm_fridge_reaches_a_person_with_no_network() {
    let mut kitchen = Kitchen::new(Behaviour { report: Some(0), ..Behaviour::default() });
    kitchen.read(3.0);
    kitchen.hub.wait_status("the first reading", |status| (status["readings"]["stored"] == 1).then_some(()));
    assert_eq!(kitchen.line("relay"), "0");
    // It beats: on and off and on again.
    kitchen.read(9.0);
    wait_for("the buzzer", || kitchen.line("buzzer").ends_with("0101").then_some(()));
    wait_for("the relay", || (kitchen.line("relay") == "01").then_some(()));
    let texts = wait_for("the SMS", || Some(kitchen.texts()).filter(|texts| !texts.is_empty()));
    assert!(texts[0].contains("CRITICAL Fridge is too warm at 9.0 C"), "{texts:?}");

    let told = "SELECT status FROM notification_deliveries WHERE channel = 'sms'";
    wait_for("the network's word that it arrived", || {
        let rows = kitchen.hub.command(&["sql", told]);
        rows.contains("delivered").then_some(())
    });

    // Somebody takes it: silence, though it is warm still.
    kitchen.hub.command(&["alerts", "ack", "Fridge", "--by", "Ana"]);
    wait_for("the relay to open", || (kitchen.line("relay") == "010").then_some(()));
    wait_for("the buzzer to stop", || kitchen.line("buzzer").ends_with('0').then_some(()));

    for _ in 0..2 {
        kitchen.read(3.0);
    }
    let texts = wait_for("the all-clear", || Some(kitchen.texts()).filter(|texts| texts.len() > 1));
    assert!(texts[1].contains("OK Fridge"), "{texts:?}");
    assert_eq!(
        kitchen.modem.complaints(),
        Vec::<String>::new(),
        "the modem was spoken to as the standard says"
    );
    assert!(kitchen.hub.stop().success());
    assert!(kitchen.line("buzzer").ends_with('0'), "a hub that stops lets go of its lines");
}

#[test]
fn a_modem_that_drops_the_line_and_a_hub_that_dies_lose_no_call() {
    let mut kitchen = Kitchen::new(Behaviour { drop_at: Some(Moment::Body), ..Behaviour::default() });
    kitchen.read(3.0);
    kitchen.read(9.0);
    // Dropped in the middle, and sent again.
    let texts = wait_for("the SMS", || Some(kitchen.texts()).filter(|texts| !texts.is_empty()));
    assert!(texts[0].contains("too warm"), "{texts:?}");
    kitchen.read(3.0);
    kitchen.read(3.0);
    wait_for("the all-clear", || (kitchen.texts().len() > 1).then_some(()));

    // Pulled out, and the power goes before it is back.
    kitchen.modem.unplug();
    kitchen.read(9.0);
    let count = "SELECT count(*) AS waiting FROM hub_deliveries WHERE channel = 'sms' AND status = 'pending'";
    wait_for("the call to be stored", || {
        kitchen.hub.command(&["sql", count, "--json"]).contains('1').then_some(())
    });
    kitchen.hub.kill();
    kitchen.modem.plug();
    kitchen.hub.start();
    let texts = wait_for("the SMS after all", || Some(kitchen.texts()).filter(|texts| texts.len() > 2));
    assert!(texts[2].contains("too warm"), "{texts:?}");
    assert!(kitchen.hub.stop().success());
}

#[test]
fn channels_can_be_tried() {
    let kitchen = Kitchen::new(Behaviour::default());
    let answer = wait_for("the modem to be ready", || {
        let output = kitchen.hub.try_command(&["notify", "test", "--json"], "");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    for what in ["\"sms\"", "\"buzzer\"", "\"relay\"", ANA] {
        assert!(answer.contains(what), "{what} is not in {answer}");
    }
    assert!(kitchen.texts().iter().any(|text| text.contains("FrostGuard test at")), "{:?}", kitchen.texts());
    kitchen.modem.unplug();
    let output = kitchen.hub.try_command(&["notify", "test", "sms"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED"));
    let output = kitchen.hub.try_command(&["notify", "test", "fax"], "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no channel \"fax\""));
}
