//! A recorded series: a header line, then `time_iso,temperature_c[,door][,defrost]`, columns in any order, others
//! ignored. No quoting: these files have numbers in them.
//!
//! A time has an offset or `Z`, or it is local to a zone: then the rows are taken in the order given. An hour that
//! comes twice at a clock change is first the earlier one, and the later one as soon as the earlier would go back; an
//! hour that does not exist is moved forward, as a clock would be. A row before the newest one is counted and left out.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::domain::{Scale, Temperature};

/// Longer lines are not a series.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Beyond it a number is no temperature of anything in a kitchen, in either scale.
const DEGREES_MAX: f64 = 1_000.0;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub unix_ms: i64,
    /// None: no reading.
    pub temperature: Option<Temperature>,
    pub is_open: Option<bool>,
    pub is_defrosting: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the header has no column time_iso")]
    NoTime,
    #[error("the header has neither a column temperature_c nor temperature_f")]
    NoTemperature,
    #[error("the time zone {0:?} is unknown; zones look like \"Europe/Berlin\"")]
    Zone(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("too few columns")]
    Short,
    #[error("{0:?} is no time")]
    Time(String),
    #[error("{0:?} is no temperature")]
    Temperature(String),
    #[error("{0:?} is neither 1, 0, open nor closed")]
    Switch(String),
    #[error("it is before the row above")]
    Back,
}

/// Which column is what, and how far the series has come.
#[derive(Debug)]
pub struct Reader {
    time: usize,
    temperature: (usize, Scale),
    door: Option<usize>,
    defrost: Option<usize>,
    zone: TimeZone,
    newest_ms: i64,
}

impl Reader {
    pub fn new(header: &str, zone: &str) -> Result<Self, HeaderError> {
        let names: Vec<String> = header
            .trim_start_matches('\u{feff}')
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let celsius = find("temperature_c").map(|at| (at, Scale::C));
        let fahrenheit = find("temperature_f").map(|at| (at, Scale::F));
        Ok(Self {
            time: find("time_iso").ok_or(HeaderError::NoTime)?,
            temperature: celsius.or(fahrenheit).ok_or(HeaderError::NoTemperature)?,
            door: find("door"),
            defrost: find("defrost"),
            zone: TimeZoneDatabase::bundled().get(zone).map_err(|_| HeaderError::Zone(zone.to_owned()))?,
            newest_ms: i64::MIN,
        })
    }

    /// Reads the next line.
    pub fn row(&mut self, line: &str) -> Result<Row, RowError> {
        let cell = |at: usize| line.split(',').nth(at).map(str::trim);
        let time = cell(self.time).ok_or(RowError::Short)?;
        let (at, scale) = self.temperature;
        let temperature = temperature(cell(at).ok_or(RowError::Short)?, scale)?;
        let is_open = self.door.and_then(cell).map_or(Ok(None), switch)?;
        let is_defrosting = self.defrost.and_then(cell).map_or(Ok(None), switch)?;
        let unix_ms = self.unix_ms(time).ok_or_else(|| RowError::Time(shorten(time)))?;
        if unix_ms < self.newest_ms {
            return Err(RowError::Back);
        }
        self.newest_ms = unix_ms;
        Ok(Row { unix_ms, temperature, is_open, is_defrosting })
    }

    fn unix_ms(&self, text: &str) -> Option<i64> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time.as_millisecond());
        }
        let local = self.zone.to_ambiguous_timestamp(text.parse::<DateTime>().ok()?);
        let first = local.compatible().ok()?.as_millisecond();
        if first >= self.newest_ms {
            return Some(first);
        }
        Some(local.later().ok()?.as_millisecond())
    }
}

/// Empty and NaN: no reading.
fn temperature(text: &str, scale: Scale) -> Result<Option<Temperature>, RowError> {
    if text.is_empty() || ["nan", "null", "none", "na"].iter().any(|none| text.eq_ignore_ascii_case(none)) {
        return Ok(None);
    }
    let degrees: f64 = text.parse().map_err(|_| RowError::Temperature(shorten(text)))?;
    if degrees.is_nan() {
        return Ok(None);
    }
    if degrees.abs() > DEGREES_MAX {
        return Err(RowError::Temperature(shorten(text)));
    }
    Ok(Some(Temperature { hundredths: (degrees * 100.0).round() as i32, scale }))
}

fn switch(text: &str) -> Result<Option<bool>, RowError> {
    match text.to_ascii_lowercase().as_str() {
        "" | "nan" => Ok(None),
        "1" | "1.0" | "open" | "on" | "true" => Ok(Some(true)),
        "0" | "0.0" | "closed" | "off" | "false" => Ok(Some(false)),
        _ => Err(RowError::Switch(shorten(text))),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}
