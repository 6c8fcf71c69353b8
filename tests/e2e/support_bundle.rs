//! `support-bundle` of a hub that has every kind of secret: none of them is in it.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Hub, Scratch, free_port, wait_for};

const PASSWORD: &str = "hunter2-of-the-broker";
const WEBHOOK: &str = "webhook-signing-key-1";
const METRICS: &str = "metrics-token-of-length";
const PIN: &str = "83519";
const APP_KEY: &str = "0A1B2C3D4E5F60718293A4B5C6D7E8F9";
const EUI: &str = "A840411234567890";
const PERSON: &str = "Zacharias Quillfeather";
const PHONE: &str = "+4915112345678";
const MAIL: &str = "zacharias@kitchen.example";
const ACCOUNT: &str = "alarm-account@mail.example";

fn free_udp_port() -> u16 {
    loop {
        // Free for TCP, which says nothing of UDP.
        let port = free_port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// By another process: a child that a test beside this one starts meanwhile would hold a file of this process open, and an
/// open one is not run.
fn write_script(path: &Path, lines: &str) {
    let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
    let written = Command::new("sh").args(["-c", write]).arg(path).arg(lines).status();
    assert!(written.expect("there is a shell").success());
}

#[test]
fn a_bundle_holds_no_secret_and_no_person() {
    let desk = Scratch::new("bundle");
    let secret = |name: &str, text: &str| {
        let path = desk.write(name, &format!("{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("close the file");
        path.display().to_string()
    };
    let port = free_port();
    let mut hub = Hub::new(&format!(
        "[uplink]\nenabled = false\n\
         [metrics]\nlisten = '127.0.0.1:{port}'\ntoken_file = '{}'\n\
         [lorawan]\nregion = 'EU868'\nudp_listen = '127.0.0.1:{}'\n\
         [[mqtt]]\nname = 'broker'\nurl = 'mqtt://127.0.0.1:1'\nkind = 'ttn-v3'\nusername = 'broker-account'\n\
         client_id = 'client-of-this-hub'\npassword_file = '{}'\n\
         [notify.modem]\npath = '/dev/no-such-modem'\npin_file = '{}'\n\
         [notify.smtp]\nhost = '127.0.0.1'\nfrom = 'Hub <{ACCOUNT}>'\n\
         [[notify.webhook]]\nname = 'hook'\nurl = 'https://127.0.0.1:1/path-with-a-token'\nsecret_file = '{}'\n",
        secret("metrics", METRICS),
        free_udp_port(),
        secret("password", PASSWORD),
        secret("pin", PIN),
        secret("webhook", WEBHOOK),
    ));
    hub.start();
    hub.command(&["units", "add", "Walk-in", "--type", "walk_in_cooler"]);
    hub.command(&["contacts", "add", PERSON, "--phone", PHONE, "--email", MAIL]);
    let opened = hub.json(&["pair", "open", "--unit", "Walk-in", "--model", "dragino/lht65n", "--json"]);
    let code = opened["code"].as_str().expect("a code").to_owned();
    hub.command_with_input(&["pair", "device", &code, EUI, "--key-file", "-"], &format!("{APP_KEY}\n"));
    // A journal that says everything it must not.
    let journal = format!(
        "2026-11-25T10:00:00+0000 hub frostguard-hub[7]: INFO committed 42 rows in Walk-in\n\
         ERROR sign in to mqtt with {PASSWORD}, then with pin {PIN}\nWARN call {PERSON} at {PHONE}: refused by {MAIL}\n\
         DEBUG key {APP_KEY} {} code {code} hook {WEBHOOK} token {METRICS} {ACCOUNT}\n",
        APP_KEY.to_lowercase()
    );
    let programs = desk.join("bin");
    fs::create_dir(&programs).expect("make a folder");
    desk.write("journal", &journal);
    write_script(&programs.join("journalctl"), &format!("cat '{}'", desk.join("journal").display()));
    wait_for("the figures", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());

    let bundle = desk.join("bundle.tar.zst");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let output =
        hub.command_line().env("PATH", path).arg("support-bundle").arg(&bundle).output().expect("run it");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mode = fs::metadata(&bundle).expect("the bundle is there").mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!hub.try_command(&["support-bundle", &bundle.display().to_string()], "").status.success());

    let archive = zstd::stream::decode_all(&fs::read(&bundle).expect("read it")[..]).expect("it is zstd");
    desk.write("bundle.tar", "");
    fs::write(desk.join("bundle.tar"), &archive).expect("write the archive");
    let unpacked =
        Command::new("tar").arg("-xf").arg(desk.join("bundle.tar")).arg("-C").arg(desk.path()).status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar reads it");
    let read = |name: &str| {
        fs::read_to_string(desk.join("frostguard-support").join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let whole = String::from_utf8_lossy(&archive).to_lowercase();
    let token_of_url = "path-with-a-token";
    for hidden in [
        PASSWORD,
        WEBHOOK,
        METRICS,
        APP_KEY,
        PERSON,
        PHONE,
        &PHONE[1..],
        MAIL,
        ACCOUNT,
        &code,
        token_of_url,
        "client-of-this-hub",
        "broker-account",
    ] {
        let hidden = hidden.to_lowercase();
        let at = whole.find(&hidden).map(|at| &whole[at.saturating_sub(80)..(at + 80).min(whole.len())]);
        assert_eq!(at, None, "{hidden} is in the bundle");
    }
    // A number of five digits may be in another by chance.
    assert!(!read("hub.log").contains(PIN) && !read("configuration.toml").contains(PIN));
    for (name, kept) in [
        ("hub.log", "committed 42 rows in Walk-in"),
        ("configuration.toml", "region = \"EU868\""),
        ("configuration.toml", "url = \"https://127.0.0.1:1\""),
        ("metrics.txt", "frostguard_units{status=\"ok\"}"),
        ("status.json", "Walk-in"),
        ("devices.json", "\"devices\""),
        ("versions.json", "\"sqlite\""),
        ("doctor.json", "broker broker"),
    ] {
        assert!(read(name).contains(kept), "{kept} is missing in {name}:\n{}", read(name));
    }
    for name in ["doctor.json", "status.json", "devices.json", "versions.json"] {
        serde_json::from_str::<Value>(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
