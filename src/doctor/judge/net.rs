//! What lies outside: brokers, mail server and webhooks, and the way to the receiver step by step.

use super::super::Line;
use super::super::facts::{Broker, Database, Found, Goal, Hub, Mail, Net, SignIn, Steps, Webhook};
use super::age;

/// A hub whose clock is this far off loses trust in it; signatures allow 5 min.
const TIME_OFF_MS_MAX: i64 = 60_000;
/// Readings go up once a minute; what is older than this waits for something.
const UNSENT_AGE_S_MAX: i64 = 900;

pub fn brokers(brokers: &[Broker], lines: &mut Vec<Line>) {
    for broker in brokers {
        lines.push(match &broker.signed_in {
            SignIn::NotGiven(credential) => {
                Line::failure(&broker.name, format!("{}: {}", broker.url, no_credential(credential)), give(credential))
            }
            SignIn::None | SignIn::OfService => Line::warning(
                &broker.name,
                format!("{}: not tried, since its password is a credential of the service's", broker.url),
                "run this as root while the hub runs: systemd takes the credential away when it stops",
            ),
            SignIn::Tried(Ok(())) => Line::ok(&broker.name, format!("{} takes the hub's user", broker.url)),
            SignIn::Tried(Err(why)) => Line::failure(
                &broker.name,
                format!("{}: {why}", broker.url),
                "see that the broker runs and is reachable from here, and that user and password are right there",
            ),
        });
    }
}

fn no_credential(name: &str) -> String {
    format!("the service is given no credential {name}")
}

/// As the packaged unit takes it: each file of a folder, behind a prefix.
fn give(name: &str) -> String {
    match name.strip_prefix("hub_") {
        Some(file) => format!(
            "put it into /etc/frostguard/credentials/{file} and `systemctl restart frostguard-hub`; systemd 247 wants \
             LoadCredential={name}:/etc/frostguard/credentials/{file} in the unit (`systemctl edit frostguard-hub`)"
        ),
        None => format!(
            "the packaged unit gives those that begin with hub_: put it into a file of /etc/frostguard/credentials and name it \
             hub_FILE, or give LoadCredential={name}:.. in the unit (`systemctl edit frostguard-hub`)"
        ),
    }
}

/// The first step that failed, and what to do about it.
fn broken(steps: &Steps) -> Option<(&str, &'static str)> {
    let Steps { dns, tcp, tls } = steps;
    if let Some(Err(why)) = dns {
        return Some((
            why,
            "see the host's name in the configuration and the name server (`resolvectl status`)",
        ));
    }
    if let Some(Err(why)) = tcp {
        return Some((why, "see host and port in the configuration; a firewall on the way may block them"));
    }
    if let Some(Err(why)) = tls {
        let todo = "a wrong clock, a proxy that looks into TLS, or a certificate that is not the host's; ca_file names \
                    authorities";
        return Some((why, todo));
    }
    None
}

pub fn mail(mail: Option<&Mail>, lines: &mut Vec<Line>) {
    const CHECK: &str = "mail";
    let Some(mail) = mail else { return };
    let server = &mail.server;
    if let Some((why, todo)) = broken(&mail.steps) {
        lines.push(Line::failure(CHECK, format!("{server}: {why}"), todo));
        return;
    }
    lines.push(match (&mail.greeted, &mail.signed_in) {
        (Some(Err(why)), _) => Line::failure(
            CHECK,
            format!("{server}: {why}"),
            "see security, port and ca_file of [notify.smtp], and the clock where it speaks of a certificate",
        ),
        (_, SignIn::Tried(Err(why))) => Line::failure(
            CHECK,
            format!("{server} greets, and does not take the hub's user: {why}"),
            "see username and password_file of [notify.smtp]; many providers want a password made for programs",
        ),
        (_, SignIn::NotGiven(credential)) => {
            Line::failure(CHECK, format!("{server} greets; {}", no_credential(credential)), give(credential))
        }
        (_, SignIn::OfService) => Line::warning(
            CHECK,
            format!("{server} greets; not signed in, since the password is a credential of the service's"),
            "run this as root while the hub runs: systemd takes the credential away when it stops",
        ),
        (_, SignIn::Tried(Ok(()))) => Line::ok(CHECK, format!("{server} takes the hub's user")),
        (_, SignIn::None) => Line::ok(CHECK, format!("{server} greets; no user is configured")),
    });
}

pub fn webhooks(webhooks: &[Webhook], lines: &mut Vec<Line>) {
    for Webhook { name, host, steps } in webhooks {
        lines.push(match broken(steps) {
            Some((why, todo)) => Line::failure(name, format!("{host}: {why}"), todo),
            None => {
                let over = steps.tls.as_ref().map_or("without TLS", |_| "over TLS");
                Line::ok(name, format!("{host} answers {over}; nothing was posted"))
            }
        });
    }
}

pub fn internet(net: &Net, hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "central";
    let (host, is_local, is_enrolled) = match &net.goal {
        Goal::Off => {
            lines.push(Line::ok(CHECK, "not used: [uplink] enabled = false"));
            return;
        }
        Goal::None => {
            lines.push(Line::warning(
                CHECK,
                "not enrolled: readings stay on this hub",
                "`frostguard-hub enroll https://..`, or [uplink] enabled = false where there is no central",
            ));
            return;
        }
        Goal::Unknown(why) => {
            lines.push(Line::failure(
                CHECK,
                format!("where the receiver is cannot be told: {why}"),
                "see the line of the database",
            ));
            return;
        }
        Goal::Receiver { host, is_local, is_enrolled } => (host, *is_local, *is_enrolled),
    };
    if !is_local {
        link(net, lines);
    }
    let steps: [(&str, Option<Found<String>>, &str); 5] = [
        (
            "internet: DNS",
            net.steps
                .dns
                .clone()
                .map(|found| found.map(|addresses| format!("{host} is {}", addresses.join(", ")))),
            "see the name server (`resolvectl status`) and the receiver's name; a router that is up may have no internet",
        ),
        (
            "internet: TCP",
            net.steps.tcp.clone().map(|found| found.map(|address| format!("{address} answers"))),
            "a firewall between here and the receiver may block it, or the receiver is down",
        ),
        (
            "internet: TLS",
            net.steps.tls.clone(),
            "a wrong clock, a proxy that looks into TLS, or a certificate that is not the receiver's; [uplink] ca_file names authorities",
        ),
        ("internet: time", net.time.clone().map(|found| found.map(off)), "is that a receiver?"),
        (
            "internet: receiver",
            net.receiver.clone().map(|found| found.map(|()| "answers".to_owned())),
            "its operator knows more; the hub keeps everything and tries again by itself",
        ),
    ];
    for (check, found, todo) in steps {
        match found {
            None => {}
            Some(Ok(found)) => lines.push(Line::ok(check, found)),
            Some(Err(why)) => lines.push(Line::failure(check, why, todo)),
        }
    }
    if let Some(Ok(off_ms)) = net.time
        && off_ms.abs() > TIME_OFF_MS_MAX
        && let Some(line) = lines.iter_mut().find(|line| line.check == "internet: time")
    {
        *line = Line::failure(
            "internet: time",
            off(off_ms),
            "set the clock: `timedatectl set-ntp true`; while the hub runs it goes by the receiver's signed time",
        );
    }
    match &net.credential {
        Some(Ok(())) => lines.push(Line::ok("credential", "the receiver takes it")),
        Some(Err(why)) => lines.push(Line::failure(
            "credential",
            why,
            "`frostguard-hub enroll --replace` with a new code from `frostguard-receiver hub code HUB`",
        )),
        None if !is_enrolled => lines.push(Line::warning(
            "credential",
            "not enrolled: readings stay on this hub",
            "`frostguard-hub enroll` with a code from `frostguard-receiver hub add --site SITE --name NAME`",
        )),
        None => {}
    }
    if let Hub::Running(running) = hub
        && let Some(problem) = &running.uplink_problem
    {
        lines.push(Line::warning(
            "uplink",
            format!("its last request failed: {problem}"),
            "see the steps above; if they are all ok, it will go through",
        ));
    }
}

fn off(off_ms: i64) -> String {
    let direction = if off_ms >= 0 { "ahead of" } else { "behind" };
    format!("the receiver's clock is {} {direction} this one", age(off_ms.abs() / 1_000))
}

fn link(net: &Net, lines: &mut Vec<Line>) {
    const CHECK: &str = "internet: link";
    let names = net.interfaces_up.join(", ");
    lines.push(if net.interfaces_up.is_empty() {
        Line::failure(CHECK, "no network interface is up", "see the cable, the Wi-Fi's name and password, or the SIM card")
    } else if !net.has_route {
        Line::failure(
            CHECK,
            format!("{names} is up, and there is no way out of the local network"),
            "the router gave no address (DHCP), or has none itself: restart it, `ip route` must show a default",
        )
    } else {
        Line::ok(CHECK, format!("{names} is up, with a way out"))
    });
}

pub fn queue(database: &Found<Database>, net: &Net, wall_ms: i64, hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "queue";
    let Some(figures) = database.as_ref().ok().and_then(|database| database.figures.as_ref()) else { return };
    if !matches!(net.goal, Goal::Receiver { is_enrolled: true, .. }) {
        lines.push(Line::ok(CHECK, format!("{} readings are kept here", figures.unsent)));
        return;
    }
    let age_s = figures.oldest_unsent.map(|oldest| (wall_ms - oldest.0) / 1_000);
    let oldest = age_s.map_or(String::new(), |seconds| format!(", the oldest {} old", age(seconds)));
    let found = format!(
        "{} readings and {} rows wait{oldest}; {} batches are under way",
        figures.unsent, figures.dirty, figures.batches
    );
    let waits_for_clock = matches!(hub, Hub::Running(running) if !running.clock_trusted);
    lines.push(match age_s {
        Some(seconds) if seconds > UNSENT_AGE_S_MAX && waits_for_clock => {
            Line::warning(CHECK, found, "they wait for a trusted clock: see its line")
        }
        Some(seconds) if seconds > UNSENT_AGE_S_MAX => Line::warning(
            CHECK,
            found,
            "see the steps to the receiver; nothing is lost while the disk has room",
        ),
        _ => Line::ok(CHECK, found),
    });
    if figures.refused > 0 {
        lines.push(Line::warning(
            "refused rows",
            format!("central refused {}", figures.refused),
            "`frostguard-hub sql \"SELECT * FROM hub_refused\"` has the reasons; \
             `frostguard-receiver dead-letters list` has the rows",
        ));
    }
}
