//! `hub_log`: the append-only log of readings, the one place that a normal frame writes.

use rusqlite::{Connection, Row, params};

use super::error::Result;
use crate::domain::{DeviceNo, MonoMs, Probe, Scale, Seq, Source, Stamp, Temperature, UnitNo, UnixMs};

/// What the column `tag` packs: bit 0 scale (1 = F), bit 1 late, bits 2-5 source, bits 6- probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub scale: Scale,
    /// Out of a history, or older than the newest judged reading of its probe.
    pub is_late: bool,
    pub source: Source,
    pub probe: Probe,
}

impl Tag {
    pub fn pack(self) -> i64 {
        i64::from(self.scale == Scale::F)
            | i64::from(self.is_late) << 1
            | i64::from(self.source.number()) << 2
            | i64::from(self.probe.0) << 6
    }

    /// A source number of a later version is shown as an import; everything else has a meaning for every number.
    pub fn unpack(tag: i64) -> Self {
        Self {
            scale: if tag & 1 == 1 { Scale::F } else { Scale::C },
            is_late: tag & 2 == 2,
            source: Source::from_number((tag >> 2 & 15) as u8).unwrap_or(Source::Import),
            probe: Probe((tag >> 6) as u8),
        }
    }
}

/// A reading as the log holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub epoch_no: u32,
    pub seq: Seq,
    pub unit: UnitNo,
    pub device: DeviceNo,
    pub is_late: bool,
    pub source: Source,
    pub probe: Probe,
    /// Calibrated, in the scale the unit had then.
    pub temperature: Temperature,
    /// Hundredths of a percent.
    pub humidity: Option<i32>,
    /// Percent.
    pub battery: Option<i32>,
    /// dBm.
    pub rssi: Option<i32>,
    /// When the hub received it.
    pub stamp: Stamp,
    /// The reading's own time; None: the hub's at reception.
    pub own_time: Option<UnixMs>,
}

impl LogRow {
    pub fn tag(&self) -> Tag {
        Tag { scale: self.temperature.scale, is_late: self.is_late, source: self.source, probe: self.probe }
    }
}

/// Appends a reading. The caller draws `seq` from the epoch's counter, in rising order.
pub fn append(connection: &Connection, row: &LogRow) -> Result<()> {
    let sql =
        "INSERT INTO hub_log (epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi,
        segment, mono_ms, own_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    connection.prepare_cached(sql)?.execute(params![
        row.epoch_no,
        row.seq.0 as i64,
        row.unit.0,
        row.device.0,
        row.tag().pack(),
        row.temperature.hundredths,
        row.humidity,
        row.battery,
        row.rssi,
        row.stamp.segment,
        row.stamp.mono.0,
        row.own_time.map(|time| time.0),
    ])?;
    Ok(())
}

/// Rows of the log with `seq_lo <= seq <= seq_hi`, in order.
pub fn rows(connection: &Connection, epoch_no: u32, seq_lo: Seq, seq_hi: Seq) -> Result<Vec<LogRow>> {
    let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment,
        mono_ms, own_ms FROM hub_log WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map(params![epoch_no, seq_lo.0 as i64, seq_hi.0 as i64], read)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// Columns in the order of `rows`.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    let tag = Tag::unpack(row.get(4)?);
    Ok(LogRow {
        epoch_no: row.get(0)?,
        seq: Seq(row.get::<_, i64>(1)? as u64),
        unit: UnitNo(row.get(2)?),
        device: DeviceNo(row.get(3)?),
        is_late: tag.is_late,
        source: tag.source,
        probe: tag.probe,
        temperature: Temperature { hundredths: row.get(5)?, scale: tag.scale },
        humidity: row.get(6)?,
        battery: row.get(7)?,
        rssi: row.get(8)?,
        stamp: Stamp { segment: row.get(9)?, mono: MonoMs(row.get(10)?) },
        own_time: row.get::<_, Option<i64>>(11)?.map(UnixMs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_back_what_it_packed() {
        for source in Source::ALL {
            for probe in [Probe::INTERNAL, Probe::EXTERNAL, Probe::numbered(1), Probe(255)] {
                for (scale, is_late) in [(Scale::C, false), (Scale::F, true), (Scale::F, false)] {
                    let tag = Tag { scale, is_late, source, probe };
                    assert_eq!(Tag::unpack(tag.pack()), tag);
                }
            }
        }
        // Frozen: rows on disk hold these numbers.
        let tag = Tag { scale: Scale::F, is_late: true, source: Source::Lorawan, probe: Probe::EXTERNAL };
        assert_eq!(tag.pack(), 0b0100_1011);
    }
}
