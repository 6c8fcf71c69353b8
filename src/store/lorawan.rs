//! The network server's tables: devices with their sessions, gateways, keys of shipments. Keys stand in them as text; no
//! error and no log line repeats what a column holds.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Result, StoreError};
use crate::domain::UnixMs;
use crate::lorawan::ids::{Eui, Key};
use crate::lorawan::session::{Device, MacVersion, SessionChange};

const DEVICES: &str = "hub_lora_devices";
const GATEWAYS: &str = "hub_gateways";
const KEYS: &str = "hub_lora_keys";

/// A device and the number of the epoch that wrote its counters last.
pub type Stored = (Device, u32);

/// Every device, and the rows that cannot be read.
pub fn devices(connection: &Connection) -> Result<(Vec<Stored>, Vec<StoreError>)> {
    let mut statement = connection.prepare_cached(
        "SELECT dev_eui, version, activation, join_state, session, pending, epoch_no FROM hub_lora_devices
         ORDER BY dev_eui",
    )?;
    let (mut good, mut unreadable) = (Vec::new(), Vec::new());
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match device(row) {
            Ok(device) => good.push((device, row.get(6)?)),
            Err(error) => unreadable.push(error),
        }
    }
    Ok((good, unreadable))
}

fn device(row: &Row<'_>) -> Result<Device> {
    let name: String = row.get(0)?;
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let version: String = row.get(1)?;
    Ok(Device {
        dev_eui: Eui::parse(&name).ok_or_else(|| unreadable(&name, "dev_eui"))?,
        version: MacVersion::parse(&version).ok_or_else(|| unreadable(&name, "version"))?,
        activation: read(&name, "activation", &row.get::<_, String>(2)?)?,
        join: read(&name, "join_state", &row.get::<_, String>(3)?)?,
        session: text(4)?.map(|text| read(&name, "session", &text)).transpose()?,
        pending: text(5)?.map(|text| read(&name, "pending", &text)).transpose()?,
    })
}

/// Adds a device or replaces it whole.
pub fn put_device(connection: &Connection, device: &Device, epoch_no: u32) -> Result<()> {
    let optional = |value: &Option<_>| value.as_ref().map(write).transpose();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO hub_lora_devices
                (dev_eui, version, activation, join_state, session, pending, epoch_no)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            device.dev_eui.to_string(),
            device.version.as_str(),
            write(&device.activation)?,
            write(&device.join)?,
            optional(&device.session)?,
            optional(&device.pending)?,
            epoch_no
        ])?;
    Ok(())
}

pub fn remove_device(connection: &Connection, dev_eui: Eui) -> Result<()> {
    connection.execute("DELETE FROM hub_lora_devices WHERE dev_eui = ?1", [dev_eui.to_string()])?;
    Ok(())
}

/// Writes what the network server says must outlive it; what the row has already it keeps. A device that was removed
/// meanwhile stays removed.
pub fn apply(connection: &Connection, change: &SessionChange) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT dev_eui, version, activation, join_state, session, pending, epoch_no FROM hub_lora_devices
         WHERE dev_eui = ?1",
    )?;
    let mut rows = statement.query([change.dev_eui().to_string()])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let (mut device, epoch_no) = (device(row)?, row.get(6)?);
    device.apply(change);
    put_device(connection, &device, epoch_no)
}

/// A row of `hub_gateways`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRow {
    pub eui: Eui,
    pub name: Option<String>,
    pub is_configured: bool,
    pub last_contact: Option<UnixMs>,
    /// Frames it brought.
    pub frames: u64,
    /// Answers it was given to send.
    pub answers: u64,
    /// Answers it said it would not send.
    pub refused_answers: u64,
}

impl GatewayRow {
    pub fn new(eui: Eui, name: Option<String>, is_configured: bool) -> Self {
        Self { eui, name, is_configured, last_contact: None, frames: 0, answers: 0, refused_answers: 0 }
    }
}

pub fn gateways(connection: &Connection) -> Result<Vec<GatewayRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT eui, name, is_configured, last_contact_ms, frames, answers, refused_answers FROM hub_gateways
         ORDER BY eui",
    )?;
    let mut out = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let eui: String = row.get(0)?;
        out.push(GatewayRow {
            eui: Eui::parse(&eui).ok_or_else(|| bad(GATEWAYS, &eui, "eui"))?,
            name: row.get(1)?,
            is_configured: row.get(2)?,
            last_contact: row.get::<_, Option<i64>>(3)?.map(UnixMs),
            frames: row.get::<_, i64>(4)? as u64,
            answers: row.get::<_, i64>(5)? as u64,
            refused_answers: row.get::<_, i64>(6)? as u64,
        });
    }
    Ok(out)
}

/// Adds a gateway or replaces it whole.
pub fn put_gateway(connection: &Connection, row: &GatewayRow) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO hub_gateways
                (eui, name, is_configured, last_contact_ms, frames, answers, refused_answers)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            row.eui.to_string(),
            row.name,
            row.is_configured,
            row.last_contact.map(|at| at.0),
            row.frames as i64,
            row.answers as i64,
            row.refused_answers as i64
        ])?;
    Ok(())
}

pub fn remove_gateway(connection: &Connection, eui: Eui) -> Result<()> {
    connection.execute("DELETE FROM hub_gateways WHERE eui = ?1", [eui.to_string()])?;
    Ok(())
}

/// A row of `hub_lora_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub dev_eui: Eui,
    pub join_eui: Option<Eui>,
    /// What the device signs its joins with: the NwkKey of a 1.1 device.
    pub key: Key,
    pub version: MacVersion,
    pub name: Option<String>,
    pub model: Option<String>,
}

pub fn key_of(connection: &Connection, dev_eui: Eui) -> Result<Option<KeyRow>> {
    let name = dev_eui.to_string();
    let found = connection
        .prepare_cached(
            "SELECT join_eui, app_key, version, name, model FROM hub_lora_keys WHERE dev_eui = ?1",
        )?
        .query_row([&name], |row| {
            let (join_eui, key): (Option<String>, String) = (row.get(0)?, row.get(1)?);
            let (version, label): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            Ok((join_eui, key, version, label, row.get::<_, Option<String>>(4)?))
        })
        .optional()?;
    let Some((join_eui, key, version, label, model)) = found else { return Ok(None) };
    Ok(Some(KeyRow {
        dev_eui,
        join_eui: join_eui.as_deref().and_then(Eui::parse),
        key: Key::parse(&key).ok_or_else(|| bad(KEYS, &name, "app_key"))?,
        version: MacVersion::parse(&version).ok_or_else(|| bad(KEYS, &name, "version"))?,
        name: label,
        model,
    }))
}

/// Adds a key or replaces it.
pub fn put_key(connection: &Connection, row: &KeyRow, now: UnixMs) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO hub_lora_keys (dev_eui, join_eui, app_key, version, name, model, imported_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            row.dev_eui.to_string(),
            row.join_eui.map(|eui| eui.to_string()),
            key_text(&row.key)?,
            row.version.as_str(),
            row.name,
            row.model,
            now.0
        ])?;
    Ok(())
}

pub fn remove_key(connection: &Connection, dev_eui: Eui) -> Result<()> {
    connection.execute("DELETE FROM hub_lora_keys WHERE dev_eui = ?1", [dev_eui.to_string()])?;
    Ok(())
}

pub fn count_keys(connection: &Connection) -> Result<usize> {
    Ok(connection.query_row("SELECT count(*) FROM hub_lora_keys", [], |row| row.get::<_, i64>(0))? as usize)
}

/// A key as the tables hold it: 32 hex digits.
pub(super) fn key_text(key: &Key) -> Result<String> {
    Ok(write(key)?.trim_matches('"').to_owned())
}

fn write<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Value { table: DEVICES, detail: format!("it has no text: {error}") })
}

/// The error does not repeat the text, which may be a key.
fn read<T: DeserializeOwned>(name: &str, column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| unreadable(name, column))
}

fn unreadable(name: &str, column: &str) -> StoreError {
    bad(DEVICES, name, column)
}

fn bad(table: &'static str, name: &str, column: &str) -> StoreError {
    StoreError::Value { table, detail: format!("column {column} of {name} cannot be read") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lorawan::ids::DevAddr;
    use crate::lorawan::session::{JoinState, Session};
    use crate::store::tests::memory;

    const EUI: Eui = Eui([0xa8, 0x40, 0x41, 0, 0, 0, 0, 1]);

    fn session(join_nonce: u32) -> Session {
        let session = Session::personalised(DevAddr(join_nonce), Key::new([1; 16]), Key::new([2; 16]));
        Session { join_nonce, ..session }
    }

    #[test]
    fn a_device_comes_back_as_it_was_written_change_by_change() {
        let connection = memory();
        let mut device = Device::otaa(EUI, MacVersion::V1_0_3, Key::new([3; 16]), UnixMs(0));
        put_device(&connection, &device, 1).unwrap();
        let join = JoinState { next_join_nonce: 9, dev_nonces: [4, 5].into() };
        let boxed = |join_nonce| Box::new(session(join_nonce));
        for change in [
            SessionChange::Join { dev_eui: EUI, join },
            SessionChange::Pending { dev_eui: EUI, session: boxed(1) },
            SessionChange::Activated { dev_eui: EUI, session: boxed(1) },
            SessionChange::Pending { dev_eui: EUI, session: boxed(2) },
            SessionChange::Current { dev_eui: EUI, session: boxed(3) },
        ] {
            apply(&connection, &change).unwrap();
            assert!(device.apply(&change));
            assert_eq!(devices(&connection).unwrap().0, [(device.clone(), 1)], "{change:?}");
        }
        remove_device(&connection, EUI).unwrap();
        apply(&connection, &SessionChange::Current { dev_eui: EUI, session: boxed(3) }).unwrap();
        assert_eq!(devices(&connection).unwrap().0, []);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named_without_its_keys() {
        let connection = memory();
        put_device(&connection, &Device::otaa(EUI, MacVersion::V1_0_3, Key::new([0xab; 16]), UnixMs(0)), 1)
            .unwrap();
        connection
            .execute("UPDATE hub_lora_devices SET activation = replace(activation, 'Otaa', 'X')", [])
            .unwrap();
        let (good, unreadable) = devices(&connection).unwrap();
        assert_eq!((good.len(), unreadable.len()), (0, 1));
        let text = format!("{} {:?}", unreadable[0], unreadable[0]);
        assert!(text.contains("A840410000000001") && !text.to_uppercase().contains("ABABAB"), "{text}");
    }

    #[test]
    fn gateways_and_keys_come_back() {
        let connection = memory();
        let row = GatewayRow { frames: 7, last_contact: Some(UnixMs(5)), ..GatewayRow::new(EUI, None, true) };
        put_gateway(&connection, &row).unwrap();
        assert_eq!(gateways(&connection).unwrap(), [row]);
        remove_gateway(&connection, EUI).unwrap();
        assert_eq!(gateways(&connection).unwrap(), []);

        let key = KeyRow {
            dev_eui: EUI,
            join_eui: Some(Eui([1; 8])),
            key: Key::new([7; 16]),
            version: MacVersion::V1_1,
            name: Some("Fridge 1".into()),
            model: None,
        };
        put_key(&connection, &key, UnixMs(1)).unwrap();
        assert_eq!(key_of(&connection, EUI).unwrap(), Some(key));
        assert_eq!(count_keys(&connection).unwrap(), 1);
        remove_key(&connection, EUI).unwrap();
        assert_eq!(key_of(&connection, EUI).unwrap(), None);
    }
}
