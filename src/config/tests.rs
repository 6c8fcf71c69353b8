mod ble;
mod wired;

use super::*;
use crate::domain::Scale;
use ble::check_shown_bluetooth;
use wired::check_shown_wires;

/// The example with every setting switched on (`#key` without a space is a setting, `# text` is prose).
fn example_switched_on() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn who_may_not_read_the_file_is_told_what_to_do() {
    let error = told(std::io::Error::from_raw_os_error(13)).to_string();
    assert_eq!(
        error,
        "Permission denied (os error 13); use sudo (the service's own user must be able to read it: root:frostguard, mode 0640)"
    );
    assert!(!told(std::io::Error::from_raw_os_error(2)).to_string().contains("sudo"));
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
    let mut shown = Config::parse(&example_switched_on()).unwrap();
    let (serial, mqtt) = (shown.serial.remove(0), shown.mqtt.remove(0));
    assert_eq!((serial.baud, mqtt.keep_alive_s), (Some(serial.preset.default_baud()), keep_alive_default()));
    assert_eq!(mqtt.topics, Some(mqtt.kind.topics().iter().map(|topic| (*topic).to_owned()).collect()));
    check_shown_wires(&mut shown);
    check_shown_bluetooth(&mut shown);
    check_shown_channels(&mut shown.notify);
    // The section has no default region, and so is absent by default; its keys have theirs.
    let mut lorawan = shown.lorawan.take().unwrap();
    (lorawan.sub_band, lorawan.gateways) = (None, Vec::new());
    lorawan.gateway_addresses.clear();
    let stations = lorawan.stations.take();
    let bare = Config::parse("[lorawan]\nregion = 'EU868'\n[lorawan.stations]").unwrap().lorawan.unwrap();
    assert_eq!((bare.stations.is_some(), bare.stations), (true, stations));
    assert_eq!(Config::parse("[lorawan]\nregion = 'EU868'").unwrap().lorawan, Some(lorawan));
    // Keys whose default is their absence.
    shown.hub.time_zone = None;
    shown.notify.quiet_hours = None;
    shown.store.size_mib_max = None;
    shown.metrics.token_file = None;
    (shown.uplink.url, shown.uplink.ca_file) = (None, None);
    (shown.power.supply, shown.power.line) = (None, None);
    assert_eq!(shown, Config::default());

    for section in [
        "hub",
        "store",
        "clock",
        "serial",
        "mqtt",
        "lorawan",
        "lorawan.stations",
        "modbus",
        "modbus.device",
        "modbus.device.register",
        "onewire",
        "current",
        "ble",
        "ble.device",
        "uplink",
        "power",
        "control",
        "metrics",
        "rules",
        "notify",
        "notify.signal",
        "notify.button",
        "notify.modem",
        "notify.smtp",
        "notify.webhook",
        "notify.mqtt",
        "log",
    ] {
        let is_one = [
            "hub",
            "store",
            "clock",
            "lorawan",
            "lorawan.stations",
            "onewire",
            "ble",
            "uplink",
            "power",
            "control",
            "metrics",
            "rules",
            "log",
        ];
        let is_one_channel = ["notify", "notify.button", "notify.modem", "notify.smtp"];
        let is_list = !is_one.contains(&section) && !is_one_channel.contains(&section);
        let header = if is_list { format!("[[{section}]]") } else { format!("[{section}]") };
        let error = toml::from_str::<Config>(&format!("{header}\nno_such_key_here = 1")).unwrap_err();
        let text = example_switched_on();
        let part =
            text.split(&format!("{header}\n")).nth(1).unwrap_or_else(|| panic!("{header} is not shown"));
        let part = part.split("\n[").next().unwrap();
        for key in error.message().split('`').skip(3).step_by(2) {
            let is_section = text.contains(&format!("[{section}.{key}]"));
            assert!(
                is_section || part.lines().any(|line| line.starts_with(&format!("{key} = "))),
                "{header} {key} is not shown"
            );
        }
    }
}

/// Takes the channels away; keys that have a default are shown with it.
fn check_shown_channels(shown: &mut NotifySection) {
    let bare = "[[notify.signal]]\nname = 'a'\nrole = 'lamp'\nchip = 'b'\nline = 1
        [notify.button]\nchip = 'b'\nline = 2
        [notify.modem]\npath = '/dev/x'
        [notify.smtp]\nhost = 'x'\nfrom = 'y'
        [[notify.mqtt]]\nname = 'c'\nurl = 'mqtt://d'";
    let bare = Config::parse(bare).unwrap().notify;
    let (signal, button) = (shown.signal.remove(0), shown.button.take().unwrap());
    assert_eq!(signal.active_low, bare.signal[0].active_low);
    assert_eq!(button.active_low, bare.button.unwrap().active_low);
    let (modem, plain) = (shown.modem.take().unwrap(), bare.modem.unwrap());
    assert_eq!(
        (modem.baud, modem.mode, modem.delivery_reports),
        (plain.baud, plain.mode, plain.delivery_reports)
    );
    let (smtp, plain) = (shown.smtp.take().unwrap(), bare.smtp.unwrap());
    assert_eq!((smtp.port(), smtp.security), (plain.port(), plain.security));
    shown.webhook.remove(0);
    let (mqtt, plain) = (shown.mqtt.remove(0), &bare.mqtt[0]);
    assert_eq!((&mqtt.prefix, &mqtt.discovery_prefix), (&plain.prefix, &plain.discovery_prefix));
}

fn keep_alive_default() -> u16 {
    let text = "[[mqtt]]\nname = 'a'\nurl = 'mqtt://b'\nkind = 'ttn-v3'";
    Config::parse(text).unwrap().mqtt[0].keep_alive_s
}

#[track_caller]
fn check_error(text: &str, want: &str) {
    let error = format!("{:#}", Config::parse(text).expect_err("is refused"));
    assert_eq!(error, want, "{text}");
}

/// In the sections that are there by default: who removes the `#` of a default changes nothing.
#[test]
fn what_is_shown_and_no_default_is_called_an_example() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let (mut header, mut examples) = (None, Vec::new());
    for (index, line) in lines.iter().enumerate() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        if bare.starts_with('[') {
            header = (bare == *line).then_some(*line);
        }
        let (Some(header), Some((key, _))) = (header, bare.split_once(" = ")) else { continue };
        if bare.starts_with(' ') || Config::parse(&format!("{header}\n{bare}")).unwrap() == Config::default()
        {
            continue;
        }
        let comment = lines[..index].iter().rev().take_while(|line| line.starts_with("# "));
        assert!(comment.into_iter().any(|line| line.contains("xample")), "{header} {key} is no default");
        examples.push(key);
    }
    assert_eq!(
        examples,
        ["time_zone", "size_mib_max", "url", "ca_file", "supply", "line", "token_file", "quiet_hours"]
    );
}

#[test]
fn slips_are_named_with_their_line() {
    check_error("[hub]\n\nnmae = 'x'", "line 3: unknown key `nmae`; did you mean `name`?");
    check_error("[sotre]\n", "line 1: unknown key `sotre`; did you mean `store`?");
    check_error("[log]\nformat = 'jsn'", "line 2: unknown value `jsn`; did you mean `json`?");
    check_error("[control]\nzzz = 1", "line 2: unknown key `zzz`; known here: socket");
    check_error(
        "[rules]\nconfirm_delay = 1",
        "line 2: unknown key `confirm_delay`; did you mean `confirm_delay_min`?",
    );
    check_error(
        "[[serial]]\nname = 'a'\npath = '/dev/x'\npreset = 'reyax'\nbauds = 9600",
        "line 5: unknown key `bauds`; did you mean `baud`?",
    );
    check_error("[hub]\ntemp_unit = 'K'", "line 2: unknown value `K`; known here: C, F");
    check_error("[[serial]]\nname = 'a'", "line 1: missing field `path`");
    check_error("[store]\nwindow_ms = 'x'", "line 2: invalid type: string \"x\", expected u64");
    let url = |url: &str| format!("[[mqtt]]\nname = 'a'\nkind = 'ttn-v3'\nurl = '{url}'");
    check_error(&url("http://x"), "line 4: a broker's url begins with mqtt:// or mqtts://");
    let error = Config::parse(&url("mqtt://me:hunter2@host")).unwrap_err();
    assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
}

#[test]
fn broker_urls() {
    for (text, want) in [
        ("mqtt://broker", Some(("broker", 1883, false))),
        ("mqtts://broker/", Some(("broker", 8883, true))),
        ("mqtts://10.0.0.2:18883", Some(("10.0.0.2", 18883, true))),
        ("mqtt://[::1]:1884", Some(("::1", 1884, false))),
        ("mqtt://", None),
        ("mqtt://a:b", None),
        ("mqtt://a/b", None),
        ("broker:1883", None),
    ] {
        let got = BrokerUrl::try_from(text.to_owned()).ok();
        let got = got.as_ref().map(|url| (url.host.as_str(), url.port, url.is_tls));
        assert_eq!(got, want, "{text}");
    }
}

#[track_caller]
fn check_findings(text: &str, errors: &[&str], warnings: &[&str]) {
    let found = Config::parse(text).unwrap().check();
    for (got, want) in [(&found.errors, errors), (&found.warnings, warnings)] {
        assert_eq!(got.len(), want.len(), "{text}: {got:?}");
        for (got, want) in got.iter().zip(want) {
            assert!(got.contains(want), "{got:?} does not say {want:?}");
        }
    }
}

#[test]
fn values_that_cannot_work_are_found() {
    let port = "[[serial]]\nname = 'a'\npath = '/dev/a'\npreset = 'json'\n";
    let broker = "[[mqtt]]\nname = 'b'\nurl = 'mqtt://10.0.0.2'\nkind = 'chirpstack-v4'\n";
    check_findings("", &[], &["hears no sensor"]);
    check_findings(port, &[], &[]);
    check_findings(broker, &[], &[]);
    check_findings(&format!("{port}{port}"), &["two sources", "two [[serial]] or"], &[]);
    check_findings(&format!("{port}baud = 5"), &["a: baud = 5 is outside 300 to 4000000"], &[]);
    check_findings(&format!("{port}model = 'lht65n'"), &["VENDOR/MODEL"], &[]);
    check_findings(&port.replace("'a'", "'a b'"), &["letters, digits"], &[]);
    check_findings(&port.replace("/dev/a", "a"), &["must be absolute"], &[]);
    check_findings(&format!("{broker}topics = ['a/#/b', 'a+', '']"), &["a/#/b", "a+", "\"\""], &[]);
    check_findings(&broker.replace("mqtt://10.0.0.2", "mqtts://[::1]"), &["give the broker's name"], &[]);
    check_findings(&format!("{broker}topics = []"), &["1 to 32"], &[]);
    check_findings(
        &format!("{broker}username = 'u'\npassword_file = '/no/such/file'"),
        &[],
        &["readable by all", "/no/such/file"],
    );
    check_findings(
        &format!("{broker}password_file = '/no'\nkeep_alive_s = 1"),
        &["keep_alive_s = 1", "without username"],
        &["", ""],
    );
    check_findings(&format!("{broker}ca_file = '/no/such'"), &["only used with mqtts"], &["ca_file"]);
    check_findings(
        &format!("[hub]\ntime_zone = 'Mars/Base'\nstate_dir = 'x'\n{port}"),
        &["absolute", "IANA"],
        &[],
    );
    check_findings(&format!("[store]\nwindow_ms = 0\n{port}"), &["window_ms"], &[]);
    check_findings(&format!("[log]\nlevel = 'frostguard_hub=loud'\n{port}"), &["level"], &[]);
    check_findings(&format!("[rules]\nmissed_warning = 9\n{port}"), &["missed"], &[]);
    for (power, errors, warnings) in [
        ("supply = 'auto'\ndebounce_s = 61\nbattery_low = 101", &["debounce_s", "battery_low"][..], 0),
        ("supply = 'sys'", &["absolute path"], 0),
        ("supply = '/no/such'", &[], 1),
        ("line = { chip = '/no/such', line = 3 }", &[], 1),
        ("line = { chip = 'gpio/0', line = 3 }", &["absolute"], 0),
        ("line = { chip = 'fake:/x', line = 3 }", &["absolute"], 0),
        ("line = { chip = 'pinctrl-bcm2711', line = 3 }", &[], 0),
        ("line = { chip = 'pinctrl-bcm2711', line = 1024 }", &["line = 1024"], 0),
    ] {
        let is_auto = power.contains("auto") && !std::path::Path::new("/sys/class/power_supply").is_dir();
        let warnings = vec!["no"; warnings + usize::from(is_auto)];
        check_findings(&format!("[power]\n{power}\n{port}"), errors, &warnings);
    }
    for (url, errors) in [
        ("https://central.example/base", &[][..]),
        ("http://127.0.0.1:8080", &[]),
        ("http://[::1]:8080", &[]),
        ("http://central.example", &["plain http"]),
        ("http://localhost.example", &["plain http"]),
        ("central.example", &["https://"]),
    ] {
        check_findings(&format!("[uplink]\nurl = '{url}'\n{port}"), errors, &[]);
    }
}

#[test]
fn a_file_is_loaded_or_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.toml");
    assert_eq!(Config::load(None).unwrap(), Config::default());
    std::fs::write(&path, "[hub]\ntemp_unit = 'F'\ntime_zone = 'Europe/Berlin'").unwrap();
    let config = Config::load(Some(&path)).unwrap();
    assert_eq!((config.hub.temp_unit, config.zone().as_str()), (Scale::F, "Europe/Berlin"));
    for (text, want) in [("[store]\nwindow_ms = 1\nsize_mib_max = 1", "size_mib_max"), ("[store", "line 1")] {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", Config::load(Some(&path)).unwrap_err());
        assert!(error.contains(want) && error.contains("hub.toml"), "{error}");
    }
    let missing = Config::load(Some(&folder.path().join("none.toml"))).unwrap_err();
    assert!(format!("{missing:#}").contains("none.toml: No such file"), "{missing:#}");
}

#[test]
fn quiet_hours_may_span_midnight() {
    for (text, inside, outside) in [
        ("22:00-06:00", &[1_320, 1_439, 0, 359][..], &[360, 720, 1_319][..]),
        ("12:00-13:30", &[720, 809], &[719, 810, 0]),
        ("00:00-23:59", &[0, 1_438], &[1_439]),
    ] {
        let hours = QuietHours::parse(text).unwrap();
        assert!(inside.iter().all(|minute| hours.contain(*minute)), "{text}");
        assert!(!outside.iter().any(|minute| hours.contain(*minute)), "{text}");
    }
    for text in
        ["", "22:00", "22-06", "24:00-06:00", "22:60-06:00", "2:00-6:00", "22:00-22:00", "+1:00-02:00"]
    {
        QuietHours::parse(text).unwrap_err();
    }
}

/// With a sensor, so that its lack is no warning.
#[track_caller]
fn check_notify(text: &str, errors: &[&str], warnings: &[&str]) {
    let port = "[[serial]]\nname = 'a'\npath = '/dev/a'\npreset = 'json'";
    check_findings(&format!("{text}\n{port}"), errors, warnings);
}

#[test]
fn channels_that_cannot_work_are_found() {
    check_notify(
        "[notify]\nquiet_hours = '22'\nsms_per_hour_max = 0",
        &["sms_per_hour_max", "HH:MM-HH:MM"],
        &[],
    );
    check_notify("[notify]\ncool_down_min = 1441", &["cool_down_min"], &[]);

    let lamp = "[[notify.signal]]\nname = 'lamp'\nrole = 'lamp'\nchip = '/dev/gpiochip0'\nline = 17\n";
    let button = "[notify.button]\nchip = '/dev/gpiochip0'\nline = 27\n";
    check_notify(lamp, &[], &[]);
    check_notify(&format!("{lamp}{lamp}"), &["the name \"lamp\"", "used twice"], &[]);
    check_notify(&lamp.replace("/dev/gpiochip0", "gpio/0"), &["absolute path"], &[]);
    check_notify(&lamp.replace("/dev/gpiochip0", "fake:x"), &["fake chips"], &[]);
    check_notify(&lamp.replace("/dev/gpiochip0", "fake:/x"), &[], &[]);
    check_notify(&lamp.replace("17", "70000"), &["line = 70000"], &[]);
    check_notify(&lamp.replace("'lamp'\nrole", "'sms'\nrole"), &["channel of people"], &[]);
    check_notify(&format!("{}{button}", lamp.replace("role = 'lamp'", "role = 'buzzer'")), &[], &[]);
    check_notify(&format!("{lamp}{button}"), &[], &["silences buzzers"]);
    check_notify(&format!("{lamp}{}", button.replace("27", "17")), &["used twice"], &["silences buzzers"]);
    let ups = "[power]\nline = { chip = 'pinctrl-bcm2711', line = 17 }\n";
    check_notify(&format!("{ups}{lamp}"), &[], &[]);
    check_notify(
        &format!("{ups}{}", lamp.replace("/dev/gpiochip0", "pinctrl-bcm2711")),
        &["used twice"],
        &[],
    );

    check_notify("[notify.modem]\npath = '/dev/m'", &[], &[]);
    check_notify("[notify.modem]\npath = 'm'\nbaud = 1", &["must be absolute", "baud"], &[]);
    check_notify(
        "[notify.modem]\npath = '/dev/a'\npin_file = '/no'",
        &["a [[serial]] or [[modbus]] section"],
        &["pin_file"],
    );
}

#[test]
fn servers_that_cannot_work_are_found() {
    let smtp = "[notify.smtp]\nhost = 'mail.example'\nfrom = 'Hub <a@b.example>'\n";
    let login = "username = 'u'\npassword_file = '/no'\n";
    check_notify(smtp, &[], &[]);
    check_notify(&format!("{smtp}{login}"), &[], &["password_file"]);
    check_notify(&format!("{smtp}username = 'u'"), &["go together"], &[]);
    check_notify(&smtp.replace("a@b.example", "nobody"), &["no mail address"], &[]);
    check_notify(&smtp.replace("mail.example", "mail:25/x"), &["without a port"], &[]);
    check_notify(&format!("{smtp}security = 'none'"), &[], &["readable by all"]);
    check_notify(
        &format!("{smtp}{login}security = 'none'"),
        &["only for this machine"],
        &["readable by all", "password_file"],
    );
    let local = smtp.replace("mail.example", "127.0.0.1");
    check_notify(&format!("{local}{login}security = 'none'"), &[], &["password_file"]);
    check_notify(&format!("{local}security = 'none'\nca_file = '/no'"), &["ca_file"], &["ca_file"]);
    check_notify(&format!("{smtp}port = 587"), &[], &["465"]);

    let hook = |url: &str, rest: &str| {
        format!("[[notify.webhook]]\nname = 'hook'\nurl = '{url}'\nsecret_file = '/no'\n{rest}")
    };
    for (url, errors) in [
        ("https://hooks.example/x?token=y", &[][..]),
        ("http://127.0.0.1:8080/x", &[]),
        ("http://[::1]:8080/x", &[]),
        ("http://localhost/x", &[]),
        ("http://hooks.example/x", &["plain http"]),
        ("http://localhost.example/x", &["plain http"]),
        ("https://u:p@hooks.example/x", &["user or password"]),
        ("ftp://hooks.example/x", &["https://"]),
        ("hooks.example", &["url"]),
    ] {
        check_notify(&hook(url, ""), errors, &["secret_file"]);
    }
    check_notify(
        &hook("http://[::1]/", "ca_file = '/no'"),
        &["only used with https"],
        &["secret", "ca_file"],
    );

    let broker = "[[notify.mqtt]]\nname = 'home'\nurl = 'mqtt://10.0.0.2'\n";
    check_notify(broker, &[], &[]);
    check_notify(&format!("{broker}discovery_prefix = ''"), &[], &[]);
    check_notify(&format!("{broker}prefix = ''\ndiscovery_prefix = 'a/+'"), &["prefix = \"\"", "a/+"], &[]);
    check_notify(&format!("{broker}prefix = '/a'"), &["prefix"], &[]);
    check_notify(
        &format!("{broker}password_file = '/no'"),
        &["without username"],
        &["readable by all", "/no"],
    );
    let source = "[[mqtt]]\nname = 'home'\nurl = 'mqtt://10.0.0.2'\nkind = 'ttn-v3'\nclient_id = 'x'\n";
    check_notify(&format!("{broker}{source}"), &[], &[]);
    check_notify(&format!("{broker}client_id = 'x'\n{source}"), &["client_id = \"x\""], &[]);
}
