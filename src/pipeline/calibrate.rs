//! From what a probe said to what is stored: calibration in Celsius, then one exact conversion. Pure.

use crate::domain::{CentiCelsius, Scale, Temperature, UnixMs};

/// A larger offset would hide an alarm: 5.00 °C.
pub const TEMPERATURE_OFFSET_MAX: i32 = 500;
/// Hundredths of a percent.
const HUMIDITY_MAX: i32 = 10_000;
/// What the central column is meant to hold, in hundredths of a degree of either scale.
const STORED_MIN: i32 = -10_000;
const STORED_MAX: i32 = 30_000;

/// A row of `calibration_records`, as far as it corrects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalibrationRecord {
    pub calibrated_at: UnixMs,
    /// Hundredths of a degree Celsius, added to what the probe says.
    pub temperature_offset: Option<i32>,
    /// Hundredths of a percent.
    pub humidity_offset: Option<i32>,
}

/// Why a calibration is refused when it is entered, or ignored and reported when central sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    #[error(
        "offset of {0} hundredths of a degree is beyond 5.00 °C and would hide alarms; replace the sensor"
    )]
    OffsetTooLarge(i32),
}

/// A corrected temperature that no column can hold; the probe is faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corrected temperature of {hundredths} hundredths {} is outside -100..+300", .scale.as_str())]
pub struct OutOfRange {
    pub hundredths: i32,
    pub scale: Scale,
}

/// A device's calibrations, by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calibrations(Vec<CalibrationRecord>);

impl CalibrationRecord {
    pub fn check(&self) -> Result<(), CalibrationError> {
        match self.temperature_offset {
            Some(offset) if offset.unsigned_abs() > TEMPERATURE_OFFSET_MAX as u32 => {
                Err(CalibrationError::OffsetTooLarge(offset))
            }
            _ => Ok(()),
        }
    }
}

impl Calibrations {
    /// Takes a device's records in any order (of two at one instant the later given counts). Those that `check`
    /// refuses correct nothing and come back to be reported.
    pub fn new(
        records: impl IntoIterator<Item = CalibrationRecord>,
    ) -> (Self, Vec<(CalibrationRecord, CalibrationError)>) {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for record in records {
            match record.check() {
                Ok(()) => good.push(record),
                Err(error) => refused.push((record, error)),
            }
        }
        good.sort_by_key(|record| record.calibrated_at);
        (Self(good), refused)
    }

    /// Corrects by the latest record with an offset that was made at or before `at`, and converts once, half away from
    /// zero. `at` is None while wall time is unknown: the latest of all records then counts.
    pub fn temperature(
        &self,
        raw: CentiCelsius,
        at: Option<UnixMs>,
        scale: Scale,
    ) -> Result<Temperature, OutOfRange> {
        let offset = self.latest(at, |record| record.temperature_offset);
        let celsius = Temperature { hundredths: raw.0.saturating_add(offset), scale: Scale::C };
        let is_storable =
            |temperature: Temperature| (STORED_MIN..=STORED_MAX).contains(&temperature.hundredths);
        let converted = celsius.to(scale);
        if is_storable(celsius) && is_storable(converted) {
            Ok(converted)
        } else {
            Err(OutOfRange { hundredths: celsius.hundredths, scale: Scale::C })
        }
    }

    /// Hundredths of a percent, held within 0 to 100 %.
    pub fn humidity(&self, raw: i32, at: Option<UnixMs>) -> i32 {
        raw.saturating_add(self.latest(at, |record| record.humidity_offset)).clamp(0, HUMIDITY_MAX)
    }

    fn latest(&self, at: Option<UnixMs>, offset: impl Fn(&CalibrationRecord) -> Option<i32>) -> i32 {
        let until = at.map_or(self.0.len(), |at| self.0.partition_point(|record| record.calibrated_at <= at));
        self.0[..until].iter().rev().find_map(offset).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(
        at: i64,
        temperature: impl Into<Option<i32>>,
        humidity: impl Into<Option<i32>>,
    ) -> CalibrationRecord {
        CalibrationRecord {
            calibrated_at: UnixMs(at),
            temperature_offset: temperature.into(),
            humidity_offset: humidity.into(),
        }
    }

    #[track_caller]
    fn check(records: &[CalibrationRecord], at: Option<i64>, raw: i32, scale: Scale, want: i32) {
        let (calibrations, refused) = Calibrations::new(records.iter().copied());
        assert_eq!(refused, vec![]);
        let got = calibrations.temperature(CentiCelsius(raw), at.map(UnixMs), scale);
        assert_eq!(got, Ok(Temperature { hundredths: want, scale }));
    }

    #[test]
    fn the_latest_record_at_the_readings_time_corrects() {
        let records = [record(200, -30, None), record(100, 50, None)];
        check(&[], Some(0), 400, Scale::C, 400);
        check(&records, Some(99), 400, Scale::C, 400);
        check(&records, Some(100), 400, Scale::C, 450);
        check(&records, Some(199), 400, Scale::C, 450);
        check(&records, Some(200), 400, Scale::C, 370);
        check(&records, None, 400, Scale::C, 370);
        // A record of humidity alone says nothing about temperature.
        check(&[record(100, 50, None), record(200, None, 100)], Some(300), 400, Scale::C, 450);
        check(&[record(100, 50, None), record(100, 60, None)], Some(100), 400, Scale::C, 460);
    }

    #[test]
    fn it_is_converted_once_and_after_the_correction() {
        check(&[record(0, 3, None)], Some(0), -1_828, Scale::F, -85);
        check(&[], Some(0), 1, Scale::F, 3_202);
        check(&[], Some(0), -1, Scale::F, 3_198);
        check(&[], Some(0), 3, Scale::F, 3_205);
    }

    #[test]
    fn an_offset_that_would_hide_an_alarm_is_refused() {
        for (offset, is_refused) in [(500, false), (-500, false), (501, true), (-501, true), (i32::MIN, true)]
        {
            let (calibrations, refused) = Calibrations::new([record(0, 10, None), record(1, offset, None)]);
            assert_eq!(!refused.is_empty(), is_refused, "{offset}");
            let want = if is_refused { 10 } else { offset };
            let got = calibrations.temperature(CentiCelsius(0), None, Scale::C);
            assert_eq!(got.map(|temperature| temperature.hundredths), Ok(want), "{offset}");
        }
    }

    #[test]
    fn humidity_is_held_within_its_range() {
        let (calibrations, _) = Calibrations::new([record(0, None, 250)]);
        for (raw, want) in [(0, 250), (9_800, 10_000), (10_000, 10_000), (-300, 0), (i32::MAX, 10_000)] {
            assert_eq!(calibrations.humidity(raw, Some(UnixMs(0))), want, "{raw}");
        }
        assert_eq!(calibrations.humidity(9_800, Some(UnixMs(-1))), 9_800);
    }

    #[test]
    fn what_no_column_holds_is_an_error() {
        let calibrations = Calibrations::default();
        for (raw, scale, is_ok) in [
            (30_000, Scale::C, true),
            (30_001, Scale::C, false),
            (-10_000, Scale::C, true),
            (-10_001, Scale::C, false),
            (14_889, Scale::F, true),
            (14_890, Scale::F, false),
            (-7_333, Scale::F, true),
            (-7_334, Scale::F, false),
            (i32::MAX, Scale::F, false),
            (i32::MIN, Scale::F, false),
        ] {
            let got = calibrations.temperature(CentiCelsius(raw), None, scale);
            assert_eq!(got.is_ok(), is_ok, "{raw} {scale:?}: {got:?}");
        }
    }
}
