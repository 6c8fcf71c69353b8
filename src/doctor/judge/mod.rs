//! From facts to lines: pure.

mod hub;
mod machine;
mod net;

#[cfg(test)]
mod tests;

use super::Line;
use super::facts::Facts;

/// All lines, in the order in which a person would look.
pub fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    machine::configuration(&facts.configuration, &mut lines);
    hub::running(&facts.hub, &mut lines);
    machine::clock(&facts.clock, &facts.hub, &mut lines);
    hub::power(&facts.hub, &mut lines);
    machine::disk(&facts.disk, &mut lines);
    machine::database(&facts.database, &mut lines);
    machine::ports(&facts.ports, &facts.hub, &mut lines);
    hub::sources(&facts.hub, &mut lines);
    hub::onewire(&facts.hub, &mut lines);
    hub::gateways(&facts.hub, &mut lines);
    hub::sensors(&facts.hub, &facts.database, &mut lines);
    net::brokers(&facts.brokers, &mut lines);
    hub::modem(&facts.hub, facts.has_modem, &mut lines);
    hub::lines(&facts.hub, &mut lines);
    net::mail(facts.mail.as_ref(), &mut lines);
    net::webhooks(&facts.webhooks, &mut lines);
    hub::people(&facts.hub, &mut lines);
    net::internet(&facts.net, &facts.hub, &mut lines);
    net::queue(&facts.database, &facts.net, facts.clock.wall_ms, &facts.hub, &mut lines);
    machine::permissions(&facts.files, &mut lines);
    lines
}

/// "3 d 4 h", "5 min", "12 s": the two largest parts, for people.
pub(crate) fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// "1.5 GiB", "340 MiB".
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 2_048 {
        format!("{mib} MiB")
    } else {
        format!("{}.{} GiB", mib >> 10, ((mib & 1_023) * 10) >> 10)
    }
}
