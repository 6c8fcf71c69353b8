//! What is added to the registry and changed in it.

use anyhow::Result;
use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::{DeviceRow, Place, UnitRow};
use crate::domain::{DeviceNo, Probe, Source, Stamp, UnitNo};

/// Names of the local hierarchy of a hub that was never enrolled.
#[derive(Clone, Debug)]
pub struct PlaceNames {
    pub organization: String,
    pub site: String,
    pub area: String,
    pub hub: String,
    pub zone: String,
    pub mac_address: Option<String>,
    pub firmware_version: String,
}

pub fn insert_place(tx: &Transaction<'_>, place: Place, names: &PlaceNames, now_ms: i64) -> Result<()> {
    let slug = format!("local-{}", place.organization.simple());
    tx.execute(
        "INSERT INTO organizations (id, name, slug, timezone, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![place.organization.as_bytes(), names.organization, slug, names.zone, now_ms],
    )?;
    tx.execute(
        "INSERT INTO sites (id, organization_id, name, timezone, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![place.site.as_bytes(), place.organization.as_bytes(), names.site, names.zone, now_ms],
    )?;
    tx.execute(
        "INSERT INTO areas (id, site_id, name, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![place.area.as_bytes(), place.site.as_bytes(), names.area, now_ms],
    )?;
    tx.execute(
        "INSERT INTO hubs (id, site_id, name, mac_address, firmware_version, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        params![
            place.hub.as_bytes(),
            place.site.as_bytes(),
            names.hub,
            names.mac_address,
            names.firmware_version,
            now_ms
        ],
    )?;
    Ok(())
}

pub fn insert_unit(tx: &Transaction<'_>, unit: &UnitRow, area: Uuid, now_ms: i64) -> Result<UnitNo> {
    tx.execute(
        "INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
        params![
            unit.id.as_bytes(),
            area.as_bytes(),
            unit.name,
            unit.unit_type.as_str(),
            unit.temp_min,
            unit.temp_max,
            unit.scale.as_str(),
            now_ms
        ],
    )?;
    tx.execute("INSERT INTO hub_units (unit_id) VALUES (?1)", [unit.id.as_bytes()])?;
    Ok(UnitNo(tx.last_insert_rowid() as u32))
}

/// Inserts into `devices` and `hub_devices`; `device.no` is ignored, the new one is returned.
pub fn insert_device(tx: &Transaction<'_>, device: &DeviceRow, hub: Uuid, now_ms: i64) -> Result<DeviceNo> {
    tx.execute(
        "INSERT INTO devices (id, hub_id, device_eui, name, device_type, status, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'active', ?6, ?6)
         ON CONFLICT (id) DO NOTHING",
        params![
            device.id.as_bytes(),
            hub.as_bytes(),
            device.eui,
            device.name,
            (!device.model.is_empty()).then_some(&device.model),
            now_ms
        ],
    )?;
    tx.execute(
        "INSERT INTO hub_devices (device_id, model, source, port, address, is_authenticated, check_in_s)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            device.id.as_bytes(),
            device.model,
            device.source.map_or("", Source::as_str),
            device.port,
            device.address,
            device.is_authenticated,
            device.check_in_s
        ],
    )?;
    Ok(DeviceNo(tx.last_insert_rowid() as u32))
}

/// Writes what a device that is there already is decoded as.
pub fn set_model(tx: &Transaction<'_>, device: &DeviceRow, now_ms: i64) -> Result<()> {
    tx.execute(
        "UPDATE hub_devices SET model = ?2 WHERE no = ?1 AND model <> ?2",
        params![device.no.0, device.model],
    )?;
    let model = (!device.model.is_empty()).then_some(&device.model);
    tx.execute(
        "UPDATE devices SET device_type = ?2, updated_at = ?3 WHERE id = ?1 AND device_type IS NOT ?2",
        params![device.id.as_bytes(), model, now_ms],
    )?;
    Ok(())
}

/// Closes the open assignment of the probe and opens one to `unit`, if given. `devices.unit_id` stands for the measuring
/// probe: it follows that one alone, but for a device that is in no unit yet.
pub fn assign(
    tx: &Transaction<'_>,
    device: DeviceNo,
    (probe, is_measuring): (Probe, bool),
    unit: Option<UnitNo>,
    stamp: Stamp,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "UPDATE hub_assignments SET closed_segment = ?3, closed_mono_ms = ?4
         WHERE device_no = ?1 AND probe = ?2 AND closed_segment IS NULL",
        params![device.0, probe.0, stamp.segment, stamp.mono.0],
    )?;
    if let Some(unit) = unit {
        tx.execute(
            "INSERT INTO hub_assignments (device_no, probe, unit_no, opened_segment, opened_mono_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![device.0, probe.0, unit.0, stamp.segment, stamp.mono.0],
        )?;
    }
    tx.execute(
        "UPDATE devices SET unit_id = (SELECT unit_id FROM hub_units WHERE no = ?2), updated_at = ?3
         WHERE id = (SELECT device_id FROM hub_devices WHERE no = ?1) AND (?4 OR unit_id IS NULL)",
        params![device.0, unit.map(|unit| unit.0), now_ms, is_measuring],
    )?;
    Ok(())
}

/// Where a device known by its EUI was last heard, when it moved to another port.
pub fn move_device(
    tx: &Transaction<'_>,
    device: DeviceNo,
    source: Source,
    port: &str,
    address: &str,
) -> Result<()> {
    tx.execute(
        "UPDATE hub_devices SET source = ?2, port = ?3, address = ?4 WHERE no = ?1",
        params![device.0, source.as_str(), port, address],
    )?;
    Ok(())
}
