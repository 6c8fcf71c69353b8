//! `pairing_sessions`, and the `lora_sensors` row that a completed one leaves.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::lorawan::key_text;
use super::registry::uuid_at;
use super::rows::mark_dirty;
use crate::domain::{DeviceNo, UnixMs};
use crate::frame::Sender;
use crate::lorawan::ids::{Eui, Key};
use crate::lorawan::session::MacVersion;

const TABLE: &str = "pairing_sessions";
/// `lora_sensors.network_server_id` of what joins at the hub itself.
pub const NETWORK_SERVER: &str = "frostguard-hub";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Completed,
    Failed,
    Expired,
}

impl Status {
    const ALL: [Status; 4] = [Status::Pending, Status::Completed, Status::Failed, Status::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Expired => "expired",
        }
    }
}

/// A row of `pairing_sessions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingRow {
    pub id: Uuid,
    /// Of `devices`, from the completion on.
    pub device: Option<Uuid>,
    pub status: Status,
    pub code: String,
    pub started: UnixMs,
    pub completed: Option<UnixMs>,
    pub expires: UnixMs,
    pub about: About,
}

/// `pairing_sessions.metadata`. No key: it goes up and is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    pub dev_eui: Option<Eui>,
    pub join_eui: Option<Eui>,
    pub version: Option<MacVersion>,
    /// Of a sensor that joins nowhere: how it is heard. It has no `dev_eui`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
    pub model: Option<String>,
    pub name: Option<String>,
    /// The hub's own number of the unit, which a mapping at enrolment does not change.
    pub unit_no: Option<u32>,
    pub unit: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
}

impl About {
    /// The sensor as people know it.
    pub fn named(&self) -> Option<String> {
        let dev_eui = self.dev_eui.map(|dev_eui| dev_eui.to_string());
        dev_eui.or_else(|| self.sender.as_ref().map(Sender::to_string))
    }
}

/// The sessions that wait for their device, the oldest first.
pub fn pending(connection: &Connection) -> Result<Vec<PairingRow>> {
    select(connection, "status = 'pending' ORDER BY started_at, id LIMIT ?1", i64::MAX)
}

/// The latest sessions of any status, the newest first.
pub fn latest(connection: &Connection, rows_max: u32) -> Result<Vec<PairingRow>> {
    select(connection, "1 ORDER BY started_at DESC, id DESC LIMIT ?1", rows_max.into())
}

fn select(connection: &Connection, filter: &str, rows_max: i64) -> Result<Vec<PairingRow>> {
    let sql = format!(
        "SELECT id, device_id, status, pairing_code, started_at, completed_at, expires_at, metadata
         FROM pairing_sessions WHERE {filter}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut out = Vec::new();
    let mut rows = statement.query([rows_max])?;
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

fn read(row: &Row<'_>) -> Result<PairingRow> {
    let status: String = row.get(2)?;
    let about: Option<String> = row.get(7)?;
    let device: Option<Vec<u8>> = row.get(1)?;
    Ok(PairingRow {
        id: uuid_at(row, 0)?,
        device: device.and_then(|bytes| Uuid::from_slice(&bytes).ok()),
        status: Status::ALL.into_iter().find(|known| known.as_str() == status).unwrap_or(Status::Expired),
        code: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
        started: UnixMs(row.get(4)?),
        completed: row.get::<_, Option<i64>>(5)?.map(UnixMs),
        expires: UnixMs(row.get(6)?),
        // Only the hub writes it; a hand that did costs what it says, not the session.
        about: about.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    })
}

/// Adds a session or brings it up to date, to go up.
pub fn put(connection: &Connection, row: &PairingRow, now: UnixMs) -> Result<()> {
    let about = serde_json::to_string(&row.about)
        .map_err(|error| StoreError::Value { table: TABLE, detail: error.to_string() })?;
    connection
        .prepare_cached(
            "INSERT INTO pairing_sessions
                (id, device_id, status, pairing_code, started_at, completed_at, expires_at, metadata, created_at,
                 updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
             ON CONFLICT (id) DO UPDATE SET device_id = ?2, status = ?3, completed_at = ?6, metadata = ?8,
                updated_at = ?9",
        )?
        .execute(params![
            row.id.as_bytes(),
            row.device.map(Uuid::into_bytes),
            row.status.as_str(),
            row.code,
            row.started.0,
            row.completed.map(|at| at.0),
            row.expires.0,
            about,
            now.0
        ])?;
    mark_dirty(connection, TABLE, row.id)
}

/// A device that was paired at the hub: a row of `lora_sensors`.
pub struct SensorRow<'a> {
    pub id: Uuid,
    pub device: Uuid,
    pub dev_eui: Eui,
    pub join_eui: Eui,
    /// None: it is personalised.
    pub app_key: Option<&'a Key>,
}

pub fn insert_sensor(connection: &Connection, row: &SensorRow<'_>, now: UnixMs) -> Result<()> {
    connection.execute(
        "INSERT INTO lora_sensors
            (id, device_id, app_eui, dev_eui, app_key, join_eui, network_server_id, activation_type, last_join_at,
             created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?3, ?6, ?8, ?9, ?7, ?7)",
        params![
            row.id.as_bytes(),
            row.device.as_bytes(),
            row.join_eui.to_string(),
            row.dev_eui.to_string(),
            row.app_key.map(key_text).transpose()?,
            NETWORK_SERVER,
            now.0,
            if row.app_key.is_some() { "OTAA" } else { "ABP" },
            row.app_key.map(|_| now.0)
        ],
    )?;
    mark_dirty(connection, "lora_sensors", row.id)
}

/// Whether there is a row of `lora_sensors` for this device.
pub fn has_sensor(connection: &Connection, device: DeviceNo) -> Result<bool> {
    let sql =
        "SELECT 1 FROM lora_sensors WHERE device_id = (SELECT device_id FROM hub_devices WHERE no = ?1)";
    Ok(connection.prepare_cached(sql)?.exists([device.0])?)
}

/// A sensor as central has it, or as it was paired here: a row of `lora_sensors` whose device is active.
pub struct KnownSensor {
    pub dev_eui: String,
    pub app_key: AppKey,
    pub is_personalised: bool,
    pub network_server: Option<String>,
}

pub enum AppKey {
    Known(Key),
    None,
    /// The column has a text that is no key; it is not repeated anywhere.
    Unreadable,
}

impl AppKey {
    fn read(column: Option<String>) -> Self {
        match column.as_deref().map(str::trim) {
            None | Some("") => AppKey::None,
            Some(text) => Key::parse(text).map_or(AppKey::Unreadable, AppKey::Known),
        }
    }
}

pub fn known_sensors(connection: &Connection) -> Result<Vec<KnownSensor>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.dev_eui, s.app_key, s.activation_type, s.network_server_id
         FROM lora_sensors AS s JOIN devices AS d ON d.id = s.device_id WHERE d.is_active = 1 ORDER BY s.dev_eui",
    )?;
    let rows = statement.query_map([], |row| {
        let (key, activation): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
        Ok(KnownSensor {
            dev_eui: row.get(0)?,
            app_key: AppKey::read(key),
            is_personalised: activation.is_some_and(|text| text.eq_ignore_ascii_case("ABP")),
            network_server: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A device of the site, whether this hub ever heard it or not.
pub struct KnownDevice {
    pub id: Uuid,
    pub is_active: bool,
}

pub fn known_device(connection: &Connection, eui: &str) -> Result<Option<KnownDevice>> {
    let mut statement =
        connection.prepare_cached("SELECT id, is_active FROM devices WHERE device_eui = ?1")?;
    let known =
        statement.query_row([eui], |row| Ok(KnownDevice { id: uuid_at(row, 0)?, is_active: row.get(1)? }));
    Ok(known.optional()?)
}

/// Notes that a device joined with this key. False: it has no row of `lora_sensors`.
pub fn joined_with(connection: &Connection, device: DeviceNo, key: &Key, now: UnixMs) -> Result<bool> {
    let Some(id) = joined(connection, device, now)? else { return Ok(false) };
    connection
        .prepare_cached("UPDATE lora_sensors SET app_key = ?2 WHERE id = ?1")?
        .execute(params![id.as_bytes(), key_text(key)?])?;
    Ok(true)
}

/// A device that central made and this hub never heard.
pub struct ToAdmit {
    pub device: Uuid,
    pub name: Option<String>,
    pub device_type: Option<String>,
    pub unit_no: Option<u32>,
}

pub fn to_admit(connection: &Connection, dev_eui: Eui) -> Result<Option<ToAdmit>> {
    let found = connection
        .prepare_cached(
            "SELECT d.id, d.name, d.device_type, u.no FROM devices AS d
             JOIN lora_sensors AS s ON s.device_id = d.id AND s.dev_eui = d.device_eui
             LEFT JOIN hub_units AS u ON u.unit_id = d.unit_id AND u.removed_ms IS NULL
             WHERE d.device_eui = ?1 AND d.is_active = 1
                AND NOT EXISTS (SELECT 1 FROM hub_devices AS h WHERE h.device_id = d.id)",
        )?
        .query_row([dev_eui.to_string()], |row| {
            Ok(ToAdmit {
                device: uuid_at(row, 0)?,
                name: row.get(1)?,
                device_type: row.get(2)?,
                unit_no: row.get(3)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Notes that a device joined again. Returns the row's id; None: it has none.
pub fn joined(connection: &Connection, device: DeviceNo, now: UnixMs) -> Result<Option<Uuid>> {
    let id = connection
        .prepare_cached(
            "UPDATE lora_sensors SET last_join_at = ?2, updated_at = ?2
             WHERE device_id = (SELECT device_id FROM hub_devices WHERE no = ?1) RETURNING id",
        )?
        .query_row(params![device.0, now.0], |row| uuid_at(row, 0))
        .optional()?;
    if let Some(id) = id {
        mark_dirty(connection, "lora_sensors", id)?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::memory;

    #[test]
    fn a_session_comes_back_and_goes_up() {
        let connection = memory();
        let mut row = PairingRow {
            id: Uuid::from_u128(7),
            device: None,
            status: Status::Pending,
            code: "K7WMQ4".into(),
            started: UnixMs(1),
            completed: None,
            expires: UnixMs(900_001),
            about: About { unit_no: Some(3), ..About::default() },
        };
        put(&connection, &row, UnixMs(1)).unwrap();
        assert_eq!(pending(&connection).unwrap(), [row.clone()]);
        row.status = Status::Failed;
        row.about.reason = Some("wrong key".into());
        put(&connection, &row, UnixMs(2)).unwrap();
        assert_eq!(pending(&connection).unwrap(), []);
        assert_eq!(latest(&connection, 5).unwrap(), [row]);
        let dirty: i64 =
            connection.query_row("SELECT count(*) FROM hub_dirty", [], |row| row.get(0)).unwrap();
        assert_eq!(dirty, 1);
    }
}
