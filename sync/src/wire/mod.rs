//! The upload format, version 1: postcard, columnar for readings, rows of named columns for everything else, then zstd.
//! Frozen by golden bytes. A body is decoded through a reader that counts, so that a lying frame cannot take memory.

mod columns;
mod frame;
mod readings;
mod state;
mod times;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use state::{COLUMNS_MAX, VALUES_MAX};

use crate::ids::Epoch;
use crate::scale::Scale;

/// The version this build writes; it reads this one and up to three before.
pub const VERSION: u8 = 1;
/// A compressed body, stored and sent: 1 MiB.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// A decoded body: 16 MiB.
pub const DECODED_BYTES_MAX: usize = 16 << 20;
/// Rows or readings in a body.
pub const ROWS_MAX: usize = 20_000;

/// The body to store and send: the version, then the compressed columns. The same batch always makes the same bytes (of
/// one zstd version). Refuses what is over a limit, and readings whose seq repeats or is outside the interval.
pub fn encode(batch: &Batch) -> Result<Vec<u8>, WireError> {
    let mut plain = frame::Plain::default();
    columns::write_value(&mut plain, &batch.header);
    match (&batch.body, batch.header.lane) {
        (Body::State(rows), Lane::State) => state::write(&mut plain, rows)?,
        (Body::Readings(readings), Lane::Readings) => readings::write(&mut plain, readings)?,
        _ => return Err(WireError::Unfit("its lane is not that of its rows".into())),
    }
    frame::pack(&plain)
}

/// Reads a body from anywhere: any bytes give a batch or an error, in bounded memory. Readings come sorted by (unit,
/// device, probe, scale, recorded_ms, seq), each seq once and inside the interval; that units and devices are explained
/// and that values make sense is for the caller to check.
pub fn decode(body: &[u8]) -> Result<Batch, WireError> {
    let plain = frame::unpack(body)?;
    let mut input = columns::Input(&plain);
    let header: Header = input.value()?;
    let body = match header.lane {
        Lane::State => Body::State(state::read(&mut input)?),
        Lane::Readings => Body::Readings(readings::read(&mut input)?),
    };
    input.end()?;
    Ok(Batch { header, body })
}

/// State (alerts, audit, people's entries, devices) or readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    State,
    Readings,
}

impl Lane {
    pub fn number(self) -> u8 {
        match self {
            Lane::State => 0,
            Lane::Readings => 1,
        }
    }
}

/// What names a batch: unique at both ends by (hub, epoch, lane, seq).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub hub: Uuid,
    /// The writer's present epoch; rows name the epoch they were made under.
    pub epoch: Epoch,
    pub lane: Lane,
    /// Gapless per (epoch, lane), from 1.
    pub seq: u64,
    /// The lane-0 number that must be applied first; 0: none.
    pub needs: u64,
}

/// One batch as it travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub header: Header,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    State(Vec<RowImage>),
    Readings(Readings),
}

/// A row of one of the 22 tables: the columns that travel, by name. The same form goes up (lane 0) and down (snapshot).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowImage {
    pub table: String,
    pub id: Uuid,
    pub columns: Vec<(String, Value)>,
}

/// A value in the type of the central schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Uuid(Uuid),
    /// timestamptz(3): milliseconds since the Unix epoch.
    Millis(i64),
    /// numeric(n,2) in hundredths.
    Hundredths(i64),
}

/// Readings of one contiguous interval of seq of one row epoch; not every seq of it is a reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// The epoch the rows were made under.
    pub epoch: Epoch,
    pub seq_lo: u64,
    pub seq_hi: u64,
    /// Small integers of the hub, explained.
    pub units: Vec<(u32, Uuid)>,
    pub devices: Vec<(u32, Uuid)>,
    /// In any order; the encoding sorts by (unit, device, probe, scale, recorded_ms, seq).
    pub rows: Vec<Reading>,
}

/// One reading on the wire; its id is `ids::reading_id(epoch, seq, recorded_ms)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub seq: u64,
    pub unit: u32,
    pub device: u32,
    pub probe: u8,
    /// The scale `temperature` is in.
    pub scale: Scale,
    /// Hundredths of a degree.
    pub temperature: i32,
    /// Hundredths of a percent.
    pub humidity: Option<i32>,
    /// Percent.
    pub battery: Option<i32>,
    /// dBm.
    pub rssi: Option<i32>,
    /// Milliseconds since the Unix epoch.
    pub recorded_ms: i64,
    pub received_ms: i64,
    pub source: Source,
}

/// How a reading came to the hub: `sensor_readings.source`. Numbers are stored; never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Source {
    Serial = 0,
    Mqtt = 1,
    Lorawan = 2,
    Modbus = 3,
    OneWire = 4,
    Ble = 5,
    Import = 6,
    Current = 7,
}

impl Source {
    pub const ALL: [Source; 8] = [
        Source::Serial,
        Source::Mqtt,
        Source::Lorawan,
        Source::Modbus,
        Source::OneWire,
        Source::Ble,
        Source::Import,
        Source::Current,
    ];

    pub fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.number() == number)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Source::Serial => "serial",
            Source::Mqtt => "mqtt",
            Source::Lorawan => "lorawan",
            Source::Modbus => "modbus",
            Source::OneWire => "onewire",
            Source::Ble => "ble",
            Source::Import => "import",
            Source::Current => "current",
        }
    }
}

/// Why a body cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("body of {got} bytes is over the limit of {max}")]
    TooLarge { got: usize, max: usize },
    #[error("body holds {got} rows, over the limit of {max}")]
    TooManyRows { got: usize, max: usize },
    #[error("body holds {got} values, over the limit of {max}")]
    TooManyValues { got: usize, max: usize },
    #[error("batch cannot be written: {0}")]
    Unfit(String),
    #[error("format version {0} is not known; this build reads version {VERSION}")]
    Version(u8),
    #[error("body is damaged: {0}")]
    Damaged(String),
}
