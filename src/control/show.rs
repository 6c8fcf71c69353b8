//! What requests answer, as JSON that people's tables and scripts both read. Temperatures in the unit's scale, times in
//! the site's zone.

use anyhow::Result;
use frostguard_sync::api::RefusedRow;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{Scale, Stamp, Temperature};
use crate::pipeline::Core;
use crate::pipeline::decide::degrees;
use crate::store::alerts::{self, AlertView};
use crate::store::{batches, figures, frames};

/// Senders that `strangers` lists.
const STRANGERS_MAX: usize = 200;

pub fn status(core: &mut Core) -> Result<Value> {
    let stamp = core.stamp_now();
    let (wall, is_trusted) = core.wall_of(stamp);
    let zone = core.registry.zone.clone();
    let figures = figures::read(core.store.connection())?;
    let sources: serde_json::Map<String, Value> = core
        .sources()
        .iter()
        .map(|(name, source)| {
            let text = if source.is_up { "up".to_owned() } else { format!("down: {}", source.reason) };
            (name.clone(), text.into())
        })
        .collect();
    let mut value = json!({
        "hub": {
            "version": env!("CARGO_PKG_VERSION"),
            "enrolled": core.is_enrolled()?,
            "epoch": core.epoch().to_string(),
            "epoch_began": core.epoch_reason(),
            "database_bytes": figures.database_bytes,
            "commits": core.committed(),
            "storage": core.failing().map_or("ok".to_owned(), |failing| format!("FAILED: {}", failing.reason)),
        },
        "clock": {
            "time": local(wall.0, &zone),
            "unix_ms": wall.0,
            "trusted": is_trusted,
            "quality": core.clock_quality(),
        },
        "readings": {
            "stored": figures.readings,
            "waiting_for_commit": core.waiting(),
            "last_seq": figures.last_seq,
        },
        "sync": {
            "unsent_readings": figures.unsent,
            "dirty_rows": figures.dirty,
            "batches_in_flight": figures.batches,
            "refused_rows": figures.refused,
            "waiting_for_clock": figures.unplaced,
        },
        "people": core.people_status()?,
        "power": core.power_status(),
        "sources": sources,
        "counters": core.counters.snapshot(),
    });
    value["units"] = units(core)?["units"].take();
    value["alerts"] = alerts(&alerts::list(core.store.connection(), false)?, &zone)["alerts"].take();
    Ok(value)
}

pub fn units(core: &mut Core) -> Result<Value> {
    let zone = core.registry.zone.clone();
    let list: Vec<Value> = core
        .registry
        .units
        .iter()
        .map(|unit| {
            let view = core.unit_view(unit.no);
            let last = core.last_of(unit.no);
            json!({
                "no": unit.no.0,
                "id": unit.id,
                "name": unit.name,
                "type": unit.unit_type.as_str(),
                "status": view.map_or("ok", |view| view.shown.as_str()),
                "sensor": view.is_some_and(|view| view.contact.is_some()),
                "last": last.map(|last| degrees(last.temperature.to(unit.scale))),
                "last_hundredths": last.map(|last| last.temperature.to(unit.scale).hundredths),
                "at": last.map(|last| local(last.recorded_ms, &zone)),
                "temp_unit": unit.scale.as_str(),
                "limits": limits(unit.temp_min, unit.temp_max, unit.scale),
                "removed_centrally": unit.removed_ms.is_some(),
                "active": unit.is_active,
            })
        })
        .collect();
    Ok(json!({ "units": list }))
}

pub fn devices(core: &mut Core) -> Result<Value> {
    let zone = core.registry.zone.clone();
    let refused = batches::refused(core.store.connection())?;
    let now = core.stamp_now().mono;
    let list: Vec<Value> = core
        .registry
        .devices
        .iter()
        .map(|device| {
            let live = core.live_of(device.no);
            let probes: Vec<String> = core
                .registry
                .assignments
                .iter()
                .filter(|a| a.device == device.no)
                .map(|a| {
                    let unit = core.registry.unit(a.unit).map_or("?", |unit| unit.name.as_str());
                    format!("{} in {unit}", a.probe)
                })
                .collect();
            let seen = live.filter(|live| live.seen.0 > 0).map(|live| {
                let (wall, _) = core.wall_of(Stamp { segment: core.segment(), mono: live.seen });
                local(wall.0, &zone)
            });
            let astray = core.astray(device).filter(|_| device.is_active);
            json!({
                "no": device.no.0,
                "id": device.id,
                "name": device.name,
                "eui": device.eui,
                "model": device.model,
                "address": device.address,
                "authenticated": device.is_authenticated,
                "probes": if probes.is_empty() { "nothing".to_owned() } else { probes.join(", ") },
                "battery": live.and_then(|live| live.battery).map(|percent| format!("{percent} %")),
                "signal": live.and_then(|live| live.rssi).map(|dbm| format!("{dbm} dBm")),
                "seen": seen,
                "seen_age_s": live.filter(|live| live.seen.0 > 0).map(|live| (now.0 - live.seen.0) / 1_000),
                "state": device.is_active.then(|| core.sensor_state(device, now).as_str()),
                "astray": astray.map(|astray| json!({ "found": astray.found, "todo": astray.todo })),
                "source": device.source.map(crate::domain::Source::as_str),
                "port": live.map_or(device.port.as_str(), |live| live.port.as_str()),
                "battery_percent": live.and_then(|live| live.battery),
                "signal_dbm": live.and_then(|live| live.rssi),
                "refused": refusal(&refused, device.id),
            })
        })
        .collect();
    Ok(json!({ "devices": list }))
}

/// Why central does not take a device; None: it does, or was not asked yet.
fn refusal(refused: &[RefusedRow], device: Uuid) -> Option<&str> {
    let key = device.to_string();
    let found = refused.iter().find(|row| row.table == "devices" && row.key == key);
    found.map(|row| row.reason.as_str())
}

pub fn strangers(core: &mut Core) -> Result<Value> {
    core.flush()?;
    let zone = core.registry.zone.clone();
    let list: Vec<Value> = frames::unused(core.store.connection(), STRANGERS_MAX)?
        .into_iter()
        .map(|row| {
            let (wall, _) = core.wall_of(row.last);
            let model = row
                .detail
                .as_deref()
                .and_then(|name| core.settings.codecs.find(name))
                .map(|model| model.name);
            json!({
                "source": row.source,
                "port": row.port,
                "address": row.address,
                "why": row.outcome.as_str(),
                "detail": row.detail,
                "model_hint": model,
                "frames": row.frames,
                "seen": local(wall.0, &zone),
                "bytes": frostguard_sync::ids::hex(&row.bytes),
                "f_port": row.f_port,
            })
        })
        .collect();
    Ok(json!({ "strangers": list }))
}

pub fn alerts(list: &[AlertView], zone: &str) -> Value {
    let list: Vec<Value> = list
        .iter()
        .map(|alert| {
            json!({
                "id": alert.id,
                "unit": alert.unit,
                "type": alert.alert_type,
                "severity": alert.severity,
                "status": alert.status,
                "message": alert.message,
                "triggered": local(alert.triggered_ms, zone),
                "triggered_ms": alert.triggered_ms,
                "escalated": alert.escalated_ms.map(|ms| local(ms, zone)),
                "acknowledged": alert.acknowledged_ms.map(|ms| local(ms, zone)),
                "resolved": alert.resolved_ms.map(|ms| local(ms, zone)),
                "resolved_ms": alert.resolved_ms,
            })
        })
        .collect();
    json!({ "alerts": list })
}

/// "0.0 to 5.0 °C"; limits in tenths.
pub fn limits(temp_min: i32, temp_max: i32, scale: Scale) -> String {
    let low = degrees(Temperature { hundredths: temp_min * 10, scale });
    let number = low.split(' ').next().unwrap_or_default().to_owned();
    format!("{number} to {}", degrees(Temperature { hundredths: temp_max * 10, scale }))
}

/// A time as the kitchen reads it: "2026-11-23 14:05:09", in the site's zone.
pub fn local(unix_ms: i64, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    match Timestamp::from_millisecond(unix_ms) {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "-".into(),
    }
}
