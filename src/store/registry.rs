//! Units, devices, assignments, calibrations and rules as rows: what the pipeline loads to know whose frame it holds.

mod change;

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use crate::domain::{AlertType, DeviceNo, MonoMs, Probe, Scale, Severity, Source, Stamp, UnitNo, UnitType};
use crate::lorawan::ids::Eui;
use crate::rules::Rule;

pub use change::{PlaceNames, assign, insert_device, insert_place, insert_unit, move_device, set_model};

/// A row of `units` with its small number.
#[derive(Clone, Debug)]
pub struct UnitRow {
    pub no: UnitNo,
    pub id: Uuid,
    pub name: String,
    pub unit_type: UnitType,
    pub scale: Scale,
    /// Tenths of a degree.
    pub temp_min: i32,
    pub temp_max: i32,
    pub manual_required: bool,
    pub manual_interval_min: Option<i32>,
    pub is_active: bool,
    pub removed_ms: Option<i64>,
}

/// A row of `devices` with `hub_devices`.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    pub no: DeviceNo,
    pub id: Uuid,
    pub eui: String,
    pub name: Option<String>,
    pub model: String,
    pub source: Option<Source>,
    pub port: String,
    pub address: String,
    pub is_authenticated: bool,
    pub check_in_s: Option<u32>,
    pub is_active: bool,
    pub battery: Option<i32>,
}

impl DeviceRow {
    /// A device that joins at the hub itself and is not stored yet.
    pub fn joining(id: Uuid, dev_eui: Eui, name: Option<String>, model: &str) -> Self {
        Self {
            no: DeviceNo(0),
            id,
            eui: dev_eui.to_string(),
            name,
            model: model.to_owned(),
            source: None,
            port: String::new(),
            address: dev_eui.to_string(),
            is_authenticated: true,
            check_in_s: None,
            is_active: true,
            battery: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignmentRow {
    pub device: DeviceNo,
    pub probe: Probe,
    pub unit: UnitNo,
}

/// Where the hub stands: its own rows of the hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub organization: Uuid,
    pub site: Uuid,
    pub area: Uuid,
    pub hub: Uuid,
}

pub fn uuid_at(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Uuid> {
    let bytes: Vec<u8> = row.get(index)?;
    Uuid::from_slice(&bytes).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Blob, Box::new(e))
    })
}

pub fn units(conn: &Connection) -> Result<Vec<UnitRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT h.no, u.id, u.name, u.unit_type, u.temp_unit, u.temp_min, u.temp_max, u.manual_monitoring_required,
                u.manual_monitoring_interval, u.is_active, h.removed_ms
         FROM hub_units AS h JOIN units AS u ON u.id = h.unit_id ORDER BY h.no",
    )?;
    let rows = statement.query_map([], |row| {
        let unit_type: String = row.get(3)?;
        let scale: String = row.get(4)?;
        Ok(UnitRow {
            no: UnitNo(row.get(0)?),
            id: uuid_at(row, 1)?,
            name: row.get(2)?,
            // The mirror's CHECK allows only these values; an unknown scale would be a changed schema.
            unit_type: UnitType::parse(&unit_type).unwrap_or(UnitType::Fridge),
            scale: Scale::parse(&scale).unwrap_or(Scale::C),
            temp_min: row.get(5)?,
            temp_max: row.get(6)?,
            manual_required: row.get(7)?,
            manual_interval_min: row.get(8)?,
            is_active: row.get(9)?,
            removed_ms: row.get(10)?,
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read units")
}

pub fn devices(conn: &Connection) -> Result<Vec<DeviceRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT h.no, d.id, d.device_eui, d.name, h.model, h.source, h.port, h.address, h.is_authenticated,
                h.check_in_s, d.is_active, d.battery
         FROM hub_devices AS h JOIN devices AS d ON d.id = h.device_id ORDER BY h.no",
    )?;
    let rows = statement.query_map([], |row| {
        let source: String = row.get(5)?;
        Ok(DeviceRow {
            no: DeviceNo(row.get(0)?),
            id: uuid_at(row, 1)?,
            eui: row.get(2)?,
            name: row.get(3)?,
            model: row.get(4)?,
            source: Source::ALL.into_iter().find(|known| known.as_str() == source),
            port: row.get(6)?,
            address: row.get(7)?,
            is_authenticated: row.get(8)?,
            check_in_s: row.get(9)?,
            is_active: row.get(10)?,
            battery: row.get(11)?,
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read devices")
}

pub fn assignments(conn: &Connection) -> Result<Vec<AssignmentRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT device_no, probe, unit_no FROM hub_assignments WHERE closed_segment IS NULL ORDER BY no",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(AssignmentRow {
            device: DeviceNo(row.get(0)?),
            probe: Probe(row.get(1)?),
            unit: UnitNo(row.get(2)?),
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read assignments")
}

/// Which unit a probe measured, from when to when.
#[derive(Clone, Copy, Debug)]
pub struct AssignmentSpan {
    pub probe: Probe,
    pub unit: UnitNo,
    pub opened: Stamp,
    pub closed: Option<Stamp>,
}

/// Every assignment that a device ever had, oldest first.
pub fn assignment_spans(conn: &Connection, device: DeviceNo) -> Result<Vec<AssignmentSpan>> {
    let mut statement = conn.prepare_cached(
        "SELECT probe, unit_no, opened_segment, opened_mono_ms, closed_segment, closed_mono_ms FROM hub_assignments
         WHERE device_no = ?1 ORDER BY no",
    )?;
    let rows = statement.query_map([device.0], |row| {
        let closed = row.get::<_, Option<u32>>(4)?.zip(row.get::<_, Option<i64>>(5)?);
        Ok(AssignmentSpan {
            probe: Probe(row.get(0)?),
            unit: UnitNo(row.get(1)?),
            opened: Stamp { segment: row.get(2)?, mono: MonoMs(row.get(3)?) },
            closed: closed.map(|(segment, mono)| Stamp { segment, mono: MonoMs(mono) }),
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read assignments")
}

/// Time (Unix ms), temperature offset and humidity offset (hundredths) of every calibration, with its device.
pub type CalibrationRow = (DeviceNo, i64, Option<i32>, Option<i32>);

pub fn calibrations(conn: &Connection) -> Result<Vec<CalibrationRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT h.no, c.calibrated_at, c.temperature_offset, c.humidity_offset
         FROM calibration_records AS c JOIN hub_devices AS h ON h.device_id = c.device_id
         ORDER BY h.no, c.calibrated_at",
    )?;
    let rows =
        statement.query_map([], |row| Ok((DeviceNo(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?)))?;
    rows.collect::<rusqlite::Result<_>>().context("read calibrations")
}

/// When the newest calibration of each device expires (Unix ms).
pub fn expiries(conn: &Connection) -> Result<Vec<(DeviceNo, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT h.no, c.expires_at FROM calibration_records AS c JOIN hub_devices AS h ON h.device_id = c.device_id
         WHERE c.expires_at IS NOT NULL AND c.calibrated_at =
            (SELECT max(calibrated_at) FROM calibration_records WHERE device_id = c.device_id)",
    )?;
    let rows = statement.query_map([], |row| Ok((DeviceNo(row.get(0)?), row.get(1)?)))?;
    rows.collect::<rusqlite::Result<_>>().context("read when calibrations expire")
}

/// Names of the people that the hub knows: full name, else e-mail address.
pub fn people(conn: &Connection) -> Result<Vec<(Uuid, String)>> {
    let mut statement = conn.prepare_cached("SELECT id, coalesce(full_name, email) FROM profiles")?;
    let rows = statement.query_map([], |row| Ok((uuid_at(row, 0)?, row.get(1)?)))?;
    rows.collect::<rusqlite::Result<_>>().context("read the people")
}

pub fn site_name(conn: &Connection, site: Uuid) -> Result<String> {
    conn.query_row("SELECT name FROM sites WHERE id = ?1", [site.as_bytes()], |row| row.get(0))
        .context("read the site's name")
}

/// The enabled rules. Those of units this hub does not have are left out. The second value names rules whose schedule
/// cannot be read: they count as always in force.
pub fn rules(conn: &Connection) -> Result<(Vec<Rule>, Vec<String>)> {
    let mut statement = conn.prepare_cached(
        "SELECT r.id, r.site_id IS NOT NULL, r.unit_id IS NOT NULL, h.no, r.alert_type, r.severity, r.temp_min,
                r.temp_max, r.delay_minutes, r.schedule, r.name
         FROM alert_rules AS r LEFT JOIN hub_units AS h ON h.unit_id = r.unit_id
         WHERE r.is_enabled = 1 ORDER BY r.id",
    )?;
    let mut out = Vec::new();
    let mut unreadable = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let for_unit: bool = row.get(2)?;
        let unit: Option<u32> = row.get(3)?;
        if for_unit && unit.is_none() {
            continue;
        }
        let alert_type: String = row.get(4)?;
        let severity: String = row.get(5)?;
        let text: Option<String> = row.get(9)?;
        let schedule = match text.as_deref().map_or(Ok(None), crate::rules::Schedule::parse) {
            Ok(schedule) => schedule,
            Err(_) => {
                unreadable.push(row.get(10)?);
                None
            }
        };
        out.push(Rule {
            id: uuid_at(row, 0)?,
            unit: unit.map(UnitNo),
            is_site: row.get(1)?,
            alert_type: AlertType::parse(&alert_type).unwrap_or(AlertType::AlarmActive),
            severity: Severity::parse(&severity).unwrap_or(Severity::Warning),
            temp_min: row.get(6)?,
            temp_max: row.get(7)?,
            delay_min: row.get(8)?,
            schedule,
        });
    }
    Ok((out, unreadable))
}

/// The hub's own organization, site, area and hub rows; None on a new database.
pub fn place(conn: &Connection) -> Result<Option<Place>> {
    conn.query_row(
        "SELECT s.organization_id, s.id, a.id, h.id FROM hubs AS h JOIN sites AS s ON s.id = h.site_id
         JOIN areas AS a ON a.site_id = s.id
         WHERE h.id = coalesce((SELECT hub_id FROM hub_link), h.id)
         ORDER BY h.created_at, h.id, a.sort_order, a.created_at, a.id LIMIT 1",
        [],
        |row| {
            Ok(Place {
                organization: uuid_at(row, 0)?,
                site: uuid_at(row, 1)?,
                area: uuid_at(row, 2)?,
                hub: uuid_at(row, 3)?,
            })
        },
    )
    .optional()
    .context("read the hub's place")
}

/// IANA name of the site's zone.
pub fn zone(conn: &Connection, site: Uuid) -> Result<String> {
    conn.query_row("SELECT timezone FROM sites WHERE id = ?1", [site.as_bytes()], |row| row.get(0))
        .context("read the site's time zone")
}
