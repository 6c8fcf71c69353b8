//! Lane 1: readings are checked, converted to the unit's scale and written by COPY; two ways to fall back.

use std::collections::{HashMap, HashSet};

use futures_util::SinkExt;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::auth::Hub;
use super::copy::{self, COPY_READINGS, Row};
use super::db::{self, MILLIS, Ms};
use super::dead_letters::{DeadRow, Refused};
use crate::ids::{Epoch, reading_id};
use crate::scale::{Scale, convert};
use crate::wire::{Reading, Readings};

/// A reading later than this after the receiver's time: the hub's clock is wrong, nothing of the batch is taken.
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1_000;
/// `sensor_readings.temperature`, hundredths of a degree in the unit's scale.
const TEMPERATURE: std::ops::RangeInclusive<i64> = -10_000..=30_000;
/// `sensor_readings.humidity`, hundredths of a percent.
const HUMIDITY: std::ops::RangeInclusive<i32> = 0..=10_000;

/// What a batch of readings may name, with the unit rows locked against a change of scale until the commit, and
/// the devices against deletion.
struct Known {
    units: HashMap<Uuid, Scale>,
    devices: HashSet<Uuid>,
}

/// Writes the readings; returns those that were refused.
pub async fn apply(
    tx: &Transaction<'_>,
    hub: &Hub,
    readings: &Readings,
) -> Result<Vec<Refused>, tokio_postgres::Error> {
    let known = look_up(tx, hub, readings).await?;
    let (rows, mut refused) = check(readings, &known);
    tx.batch_execute("SAVEPOINT readings").await?;
    match copy(tx, &rows).await {
        Ok(()) => {}
        Err(error) if db::is_fatal(&error) => return Err(error),
        Err(error) => {
            tx.batch_execute("ROLLBACK TO SAVEPOINT readings").await?;
            // A row that is there already is a replay. Anything else is one row's fault: it is found by halving.
            let duplicate = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
            tracing::info!(hub.id = %hub.id, duplicate, error = %db::reason(&error), "a COPY of readings fell back");
            let failed = insert_by_halves(tx, &rows).await?;
            refused.extend(failed_rows(readings, failed));
        }
    }
    tx.batch_execute("RELEASE SAVEPOINT readings").await?;
    Ok(refused)
}

/// Refuses every reading, as it came.
pub fn refuse_all(readings: &Readings, reason: &str) -> Vec<Refused> {
    let units: HashMap<u32, Uuid> = readings.units.iter().copied().collect();
    let devices: HashMap<u32, Uuid> = readings.devices.iter().copied().collect();
    let refuse = |reading: &Reading| Refused {
        table: "sensor_readings".to_owned(),
        key: format!("{}:{}", readings.epoch, reading.seq),
        reason: reason.to_owned(),
        row: Some(DeadRow::Reading {
            epoch: readings.epoch,
            reading: *reading,
            unit: units.get(&reading.unit).copied().unwrap_or(Uuid::nil()),
            device: devices.get(&reading.device).copied(),
        }),
        foreign: false,
    };
    readings.rows.iter().map(refuse).collect()
}

/// The first reading that lies too far in the future, if any: (seq, Unix ms).
pub fn future(readings: &Readings, now_ms: i64) -> Option<(u64, i64)> {
    let latest = now_ms.saturating_add(FUTURE_MS_MAX);
    readings.rows.iter().find(|row| row.recorded_ms > latest).map(|row| (row.seq, row.recorded_ms))
}

async fn look_up(
    tx: &Transaction<'_>,
    hub: &Hub,
    readings: &Readings,
) -> Result<Known, tokio_postgres::Error> {
    let unit_ids: Vec<Uuid> = readings.units.iter().map(|(_, id)| *id).collect();
    let device_ids: Vec<Uuid> = readings.devices.iter().map(|(_, id)| *id).collect();
    // Sorted, so that two batches lock in the same order.
    let units = tx
        .query_typed(
            "SELECT u.id, u.temp_unit::text FROM units u WHERE u.id = ANY($1) \
             AND EXISTS (SELECT 1 FROM areas a WHERE a.id = u.area_id AND a.site_id = $2) ORDER BY u.id FOR SHARE OF u",
            &[(&unit_ids, Type::UUID_ARRAY), (&hub.site, Type::UUID)],
        )
        .await?;
    let devices = tx
        .query_typed(
            "SELECT d.id FROM devices d WHERE d.id = ANY($1) AND (EXISTS (SELECT 1 FROM units u \
             JOIN areas a ON a.id = u.area_id JOIN sites s ON s.id = a.site_id \
             WHERE u.id = d.unit_id AND s.organization_id = $2) OR EXISTS (SELECT 1 FROM hubs h \
             JOIN sites s ON s.id = h.site_id WHERE h.id = d.hub_id AND s.organization_id = $2)) \
             ORDER BY d.id FOR KEY SHARE OF d",
            &[(&device_ids, Type::UUID_ARRAY), (&hub.organization, Type::UUID)],
        )
        .await?;
    Ok(Known {
        units: units.iter().filter_map(|row| Some((row.get(0), Scale::parse(row.get(1))?))).collect(),
        devices: devices.iter().map(|row| row.get(0)).collect(),
    })
}

/// Splits the readings into rows to write and rows to refuse; a reading is refused for its unit or values, never for
/// its device.
fn check(readings: &Readings, known: &Known) -> (Vec<Row>, Vec<Refused>) {
    let units: HashMap<u32, Uuid> = readings.units.iter().copied().collect();
    let devices: HashMap<u32, Uuid> = readings.devices.iter().copied().collect();
    let mut rows = Vec::with_capacity(readings.rows.len());
    let mut refused = Vec::new();
    for reading in &readings.rows {
        let unit = units.get(&reading.unit).copied();
        let device = devices.get(&reading.device).copied();
        let in_range = (readings.seq_lo..=readings.seq_hi).contains(&reading.seq);
        let row = match unit {
            _ if !in_range => Err("its number lies outside the interval of the batch".to_owned()),
            None => Err(format!("the batch does not explain unit {}", reading.unit)),
            Some(unit) => match known.units.get(&unit) {
                None => Err(format!("unit {unit} is not a unit of this hub's site")),
                Some(scale) => {
                    let device = device.filter(|id| known.devices.contains(id));
                    convert_row(readings.epoch, reading, unit, *scale, device)
                }
            },
        };
        match row {
            Ok(row) => rows.push(row),
            Err(reason) => refused.push(Refused {
                table: "sensor_readings".to_owned(),
                key: format!("{}:{}", readings.epoch, reading.seq),
                reason,
                row: Some(DeadRow::Reading {
                    epoch: readings.epoch,
                    reading: *reading,
                    unit: unit.unwrap_or(Uuid::nil()),
                    device,
                }),
                foreign: false,
            }),
        }
    }
    (rows, refused)
}

fn convert_row(
    epoch: Epoch,
    reading: &Reading,
    unit: Uuid,
    scale: Scale,
    device: Option<Uuid>,
) -> Result<Row, String> {
    let temperature = convert(i64::from(reading.temperature), reading.scale, scale);
    if !TEMPERATURE.contains(&temperature) {
        return Err(format!(
            "temperature {temperature} hundredths is outside -100.00 to 300.00 °{}",
            scale.as_str()
        ));
    }
    if let Some(humidity) = reading.humidity.filter(|value| !HUMIDITY.contains(value)) {
        return Err(format!("humidity {humidity} hundredths is outside 0.00 to 100.00 %"));
    }
    if !MILLIS.contains(&reading.recorded_ms) || !MILLIS.contains(&reading.received_ms) {
        return Err("its time is outside the years 1970 to 9999".to_owned());
    }
    Ok(Row {
        id: reading_id(epoch, reading.seq, reading.recorded_ms),
        seq: reading.seq,
        unit,
        device,
        temperature: temperature as i32,
        humidity: reading.humidity,
        battery: reading.battery,
        rssi: reading.rssi,
        recorded_ms: reading.recorded_ms,
        received_ms: reading.received_ms,
        source: reading.source,
    })
}

async fn copy(tx: &Transaction<'_>, rows: &[Row]) -> Result<(), tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sink = tx.copy_in(COPY_READINGS).await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(copy::encode(rows)).await?;
    sink.as_mut().finish().await?;
    Ok(())
}

/// Inserts what can be inserted, each part in a savepoint of its own; returns the rows that cannot, with the reason.
async fn insert_by_halves<'r>(
    tx: &Transaction<'_>,
    rows: &'r [Row],
) -> Result<Vec<(&'r Row, String)>, tokio_postgres::Error> {
    let mut refused = Vec::new();
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        tx.batch_execute("SAVEPOINT part").await?;
        match insert(tx, part).await {
            Ok(()) => tx.batch_execute("RELEASE SAVEPOINT part").await?,
            Err(error) if db::is_fatal(&error) => return Err(error),
            Err(error) => {
                tx.batch_execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await?;
                if let [row] = part {
                    refused.push((row, db::reason(&error)));
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
    }
    Ok(refused)
}

/// No conflict target: the primary key is `(id)` here and `(id, recorded_at)` where the table is partitioned.
async fn insert(tx: &Transaction<'_>, rows: &[Row]) -> Result<(), tokio_postgres::Error> {
    fn column<T>(rows: &[Row], get: impl Fn(&Row) -> T) -> Vec<T> {
        rows.iter().map(get).collect()
    }
    tx.execute_typed(
        "INSERT INTO sensor_readings (id, unit_id, device_id, temperature, humidity, battery, signal_strength, \
         recorded_at, received_at, source) \
         SELECT id, unit_id, device_id, temperature::numeric / 100, humidity::numeric / 100, battery, signal_strength, \
         recorded_at, received_at, source \
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::int[], $6::int[], $7::int[], $8::timestamptz[], \
         $9::timestamptz[], $10::text[]) AS r (id, unit_id, device_id, temperature, humidity, battery, signal_strength, \
         recorded_at, received_at, source) \
         ON CONFLICT DO NOTHING",
        &[
            (&column(rows, |row| row.id), Type::UUID_ARRAY),
            (&column(rows, |row| row.unit), Type::UUID_ARRAY),
            (&column(rows, |row| row.device), Type::UUID_ARRAY),
            (&column(rows, |row| row.temperature), Type::INT4_ARRAY),
            (&column(rows, |row| row.humidity), Type::INT4_ARRAY),
            (&column(rows, |row| row.battery), Type::INT4_ARRAY),
            (&column(rows, |row| row.rssi), Type::INT4_ARRAY),
            (&column(rows, |row| Ms(row.recorded_ms)), Type::TIMESTAMPTZ_ARRAY),
            (&column(rows, |row| Ms(row.received_ms)), Type::TIMESTAMPTZ_ARRAY),
            (&column(rows, |row| row.source.as_str()), Type::TEXT_ARRAY),
        ],
    )
    .await?;
    Ok(())
}

fn failed_rows(readings: &Readings, failed: Vec<(&Row, String)>) -> Vec<Refused> {
    if failed.is_empty() {
        return Vec::new();
    }
    let sent: HashMap<u64, &Reading> = readings.rows.iter().map(|reading| (reading.seq, reading)).collect();
    let refuse = |(row, reason): (&Row, String)| Refused {
        table: "sensor_readings".to_owned(),
        key: format!("{}:{}", readings.epoch, row.seq),
        reason,
        row: sent.get(&row.seq).map(|reading| DeadRow::Reading {
            epoch: readings.epoch,
            reading: **reading,
            unit: row.unit,
            device: row.device,
        }),
        foreign: false,
    };
    failed.into_iter().map(refuse).collect()
}
