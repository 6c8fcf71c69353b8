//! `/metrics` of a running hub, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use crate::LOOK_EVERY;
use crate::support::{Hub, Pty, Scratch, deadline, free_port, now, wait_for};

const TOKEN: &str = "a-token-of-enough-characters";
/// Longer than the hub lets any connection live.
const READ_MAX: Duration = Duration::from_secs(40);

struct Answer {
    status: u16,
    body: String,
}

/// Sends `request` as it is and reads to the end.
fn send(port: u16, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(READ_MAX))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, body: body.to_owned() })
}

fn get(port: u16, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n");
    wait_for("the hub to answer on its port", || send(port, &request).ok())
}

/// Series by their whole text ("name{label=\"value\"}"), checked against the exposition format.
#[track_caller]
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut helped, mut all) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    let is_name = |name: &str| {
        name.starts_with("frostguard_")
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help has a text");
            assert!(is_name(name) && !help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type has a kind");
            assert!(helped.contains(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series has a value");
            let name = series.split('{').next().unwrap_or_default();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .filter(|family| kinds.get(*family).is_some_and(|kind| kind == "histogram"))
                .unwrap_or(name);
            assert!(is_name(name) && kinds.contains_key(family), "{line}");
            let labels = series.strip_prefix(name).and_then(|rest| rest.strip_prefix('{'));
            if let Some(labels) = labels {
                let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{line}"));
                assert!(labels.split("\",").all(|label| label.contains("=\"")), "{line}");
            }
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(all.insert(series.to_owned(), value).is_none(), "{line} is there twice");
        }
    }
    for (name, _) in kinds.iter().filter(|(_, kind)| *kind == "histogram") {
        let buckets: Vec<f64> = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix(&format!("{name}_bucket{{"))?.rsplit_once(' ')?.1.parse().ok()
            })
            .collect();
        assert!(buckets.is_sorted(), "{name}: {buckets:?}");
        assert_eq!(buckets.last(), all.get(&format!("{name}_count")), "{name}");
    }
    all
}

/// Series that are not what this kitchen's must be, with their values.
fn wrong_figures(figures: &BTreeMap<String, f64>, status: &Value) -> Vec<(String, Option<f64>)> {
    let quality = status["clock"]["quality"].as_str().expect("a quality");
    let quality = format!("frostguard_clock_quality{{quality=\"{quality}\"}}");
    let exact = [
        ("frostguard_readings_stored", 5.0),
        ("frostguard_alerts{type=\"alarm_active\",severity=\"critical\"}", 1.0),
        ("frostguard_frames_total{source=\"radio\",result=\"reading\"}", 5.0),
        ("frostguard_frames_total{source=\"radio\",result=\"stranger\"}", 2.0),
        ("frostguard_events_total{event=\"serial.messages\",of=\"radio\"}", 7.0),
        ("frostguard_readings_unsent", 5.0),
        ("frostguard_enrolled", 0.0),
        ("frostguard_source_up{source=\"radio\"}", 1.0),
        ("frostguard_units{status=\"alarm_active\"}", 1.0),
        ("frostguard_units{status=\"ok\"}", 1.0),
        ("frostguard_sensors{state=\"reporting\"}", 1.0),
        ("frostguard_sensors{state=\"unassigned\"}", 1.0),
        ("frostguard_alerts_total{type=\"alarm_active\"}", 1.0),
        ("frostguard_alerts_untaken", 1.0),
        ("frostguard_storage_failing_seconds", 0.0),
        ("frostguard_commit_failures_total", 0.0),
        ("frostguard_database_up", 1.0),
        ("frostguard_clock_trusted", f64::from(u8::from(status["clock"]["trusted"] == true))),
        (quality.as_str(), 1.0),
    ];
    let least = [
        ("frostguard_commit_seconds_count", 1.0),
        ("frostguard_wal_written_bytes_total", 4_096.0),
        ("frostguard_disk_available_bytes", 1.0),
        ("frostguard_oldest_unsent_age_seconds", 0.0),
        ("frostguard_uptime_seconds", 0.0),
    ];
    let value = |series: &str| figures.get(series).copied();
    let exact = exact.iter().filter(|(series, want)| value(series) != Some(*want));
    let least = least.iter().filter(|(series, least)| value(series).is_none_or(|value| value < *least));
    exact.chain(least).map(|(series, _)| ((*series).to_owned(), value(series))).collect()
}

#[test]
fn figures_agree_with_what_was_heard() {
    let desk = Scratch::new("figures");
    let mut radio = Pty::new(desk.join("radio"));
    let port = free_port();
    let mut hub = Hub::new(&format!(
        "[store]\nwindow_ms = 100\n[uplink]\nenabled = false\n[rules]\nconfirm_delay_min = 0\n\
         [metrics]\nlisten = '127.0.0.1:{port}'\n\
         [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n",
        radio.path().display()
    ));
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    hub.command(&["units", "add", "Bare", "--type", "freezer"]);
    hub.wait_status("the line to be open", |status| (status["sources"]["radio"] == "up").then_some(()));
    for (name, unit) in [("probe-1", Some("Fridge")), ("spare", None)] {
        let mut pair = vec!["devices", "add", name, "--source", "serial", "--port", "radio"];
        pair.extend(unit.iter().flat_map(|unit| ["--unit", unit]));
        hub.command(&pair);
    }
    for counter in 1..=5 {
        // Far above a fridge's limit: an alarm.
        let line =
            format!("{{\"id\":\"probe-1\",\"temperature_c\":{},\"counter\":{counter}}}\n", 20 + counter);
        radio.write(line.as_bytes()).expect("the radio takes a line");
    }
    for name in ["nobody-1", "nobody-2"] {
        let line = format!("{{\"id\":\"{name}\",\"temperature_c\":4}}\n");
        radio.write(line.as_bytes()).expect("the radio takes a line");
    }
    // Copies of what the core knows are a few seconds old, and so are the database's figures.
    let end = deadline();
    loop {
        let status = hub.status();
        let answer = get(port, "/metrics", "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let wrong = wrong_figures(&parse(&answer.body), &status);
        if wrong.is_empty() {
            break;
        }
        assert!(now() < end, "{wrong:?} in:\n{}", answer.body);
        std::thread::sleep(LOOK_EVERY);
    }

    for (request, status) in [
        ("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc".to_owned(), 405),
        (format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10)), 431),
        ("GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n".to_owned(), 403),
        ("no request at all\r\n\r\n".to_owned(), 400),
    ] {
        // A hub that refuses what is still being sent may close before it is read.
        if let Ok(answer) = send(port, &request) {
            assert_eq!(answer.status, status, "{}", &request[..30]);
        }
    }
    assert_eq!(get(port, "/metrics", "").status, 200);
    assert!(hub.stop().success(), "the hub stops in order");
}

#[test]
fn callers_that_say_nothing_keep_nobody_out() {
    let port = free_port();
    let mut hub = Hub::new(&format!("[uplink]\nenabled = false\n[metrics]\nlisten = '127.0.0.1:{port}'\n"));
    hub.start();
    get(port, "/metrics", "");
    let silent: Vec<TcpStream> = (0..12)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect to the hub"))
        .collect();
    assert_eq!(get(port, "/metrics", "").status, 200);
    drop(silent);
}

#[test]
fn the_network_shows_a_token() {
    let desk = Scratch::new("token");
    let token = desk.write("token", &format!("{TOKEN}\n"));
    let port = free_port();
    let section =
        |token: &str| format!("[uplink]\nenabled = false\n[metrics]\nlisten = '0.0.0.0:{port}'\n{token}");

    let refused = Hub::new(&section("")).try_command(&["config", "check"], "");
    let said =
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("needs token_file"), "{said}");

    let mut hub = Hub::new(&section(&format!("token_file = '{}'\n", token.display())));
    // A token that everybody can read opens nothing.
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("open the file");
    hub.start();
    wait_for("the hub to say so", || hub.log_text().contains("chmod o=").then_some(()));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    assert!(hub.stop().success());
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("close the file");
    hub.start();
    for (headers, status) in [
        (String::new(), 401),
        ("Authorization: Bearer wrong\r\n".to_owned(), 401),
        (format!("Authorization: Bearer {TOKEN}\r\n"), 200),
    ] {
        let answer = get(port, "/metrics", &headers);
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(answer.body.contains("frostguard_units"), status == 200);
    }
    assert!(!hub.log_text().contains(TOKEN));
}
