//! Which readings of a device there are: so that a frame that is decoded again adds none twice.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::boots::{self, Segment};
use super::error::Result;
use super::history::{self, HOUR_MS, HourKey};
use super::log::{self, Tag};
use crate::domain::{DeviceNo, Probe, UnixMs};

/// Times of a device's readings, Unix ms, by probe.
#[derive(Clone, Debug, Default)]
pub struct Known {
    recorded: HashSet<(Probe, i64)>,
    /// Of readings at their reception, also where the network told another time.
    received: HashSet<(Probe, i64)>,
}

impl Known {
    /// Readings in the log, and those of history with `from <= recorded <= to`.
    pub fn of(connection: &Connection, device: DeviceNo, from: UnixMs, to: UnixMs) -> Result<Self> {
        let mut known = Self::default();
        let sql = "SELECT hour, unit_no, epoch_no FROM hub_hours WHERE hour BETWEEN ?1 AND ?2
            AND unit_no IN (SELECT unit_no FROM hub_assignments WHERE device_no = ?3)";
        let mut statement = connection.prepare_cached(sql)?;
        let hours = params![from.0.div_euclid(HOUR_MS), to.0.div_euclid(HOUR_MS), device.0];
        let keys: Vec<HourKey> = statement
            .query_map(hours, |row| {
                Ok(HourKey { hour: row.get(0)?, unit_no: row.get(1)?, epoch_no: row.get(2)? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        for key in keys {
            for row in
                history::read_hour(connection, key)?.iter().filter(|row| row.device_no == i64::from(device.0))
            {
                known.add(
                    Tag::unpack(row.tag),
                    UnixMs(row.recorded_ms),
                    UnixMs(row.recorded_ms + row.lag_ms),
                );
            }
        }
        let segments = boots::all(connection)?;
        let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms,
            own_ms FROM hub_log WHERE device_no = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        for row in statement.query_map([device.0], log::read)? {
            let row = row?;
            let segment: Option<&Segment> = segments.iter().rfind(|segment| segment.no == row.stamp.segment);
            let received = segment.map_or(UnixMs(row.stamp.mono.0), |segment| segment.wall(row.stamp.mono));
            known.add(row.tag(), row.own_time.unwrap_or(received), received);
        }
        Ok(known)
    }

    fn add(&mut self, tag: Tag, recorded: UnixMs, received: UnixMs) {
        self.recorded.insert((tag.probe, recorded.0));
        // What is late was in a history, and says nothing about the present value of its frame.
        if !tag.is_late {
            self.received.insert((tag.probe, received.0));
        }
    }

    /// A reading of this time was added.
    pub fn note(&mut self, probe: Probe, at: UnixMs) {
        self.recorded.insert((probe, at.0));
    }

    pub fn has_recorded(&self, probe: Probe, at: UnixMs) -> bool {
        self.recorded.contains(&(probe, at.0))
    }

    pub fn has_received(&self, probe: Probe, at: UnixMs) -> bool {
        self.received.contains(&(probe, at.0))
    }
}
