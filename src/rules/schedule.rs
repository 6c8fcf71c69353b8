//! When a rule holds, by the wall clock of the site.

use std::cmp::Ordering;

use jiff::civil::DateTime;
use serde::Deserialize;

use super::Schedule;

/// A schedule that cannot be read; its rule counts as always holding, and the caller warns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("schedule is not {{\"days\":[0-6],\"startHour\":h,\"endHour\":h}}: {0}")]
    Form(String),
    #[error("schedule has day {0}; days are 0 (Sunday) to 6")]
    Day(u8),
    #[error("schedule has hour {0}; hours are 0 to 24")]
    Hour(u8),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    days: Vec<u8>,
    start_hour: u8,
    end_hour: u8,
}

impl Schedule {
    /// Reads `alert_rules.schedule`. Empty text and `null` are no schedule.
    pub fn parse(text: &str) -> Result<Option<Self>, ScheduleError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let Some(Text { mut days, start_hour, end_hour }) =
            serde_json::from_str(text).map_err(|error| ScheduleError::Form(error.to_string()))?
        else {
            return Ok(None);
        };
        if let Some(day) = days.iter().find(|day| **day > 6) {
            return Err(ScheduleError::Day(*day));
        }
        if let Some(hour) = [start_hour, end_hour].into_iter().find(|hour| *hour > 24) {
            return Err(ScheduleError::Hour(hour));
        }
        days.sort_unstable();
        days.dedup();
        Ok(Some(Self { days, start_hour, end_hour }))
    }

    pub(super) fn holds(&self, wall: DateTime) -> bool {
        let today = wall.weekday().to_sunday_zero_offset() as u8;
        let yesterday = (today + 6) % 7;
        let hour = wall.hour() as u8;
        let has = |day| self.days.contains(&day);
        match self.start_hour.cmp(&self.end_hour) {
            Ordering::Equal => has(today),
            Ordering::Less => has(today) && (self.start_hour..self.end_hour).contains(&hour),
            Ordering::Greater => {
                (has(today) && hour >= self.start_hour) || (has(yesterday) && hour < self.end_hour)
            }
        }
    }
}
