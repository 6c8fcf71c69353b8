//! A row that comes: its columns checked against the table and made ready to bind.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::{MILLIS, Ms, Param};
use super::tables::{self, Kind, Table, Write};
use crate::wire::{RowImage, Value};

/// A checked row; columns in the order they came.
#[derive(Debug)]
pub struct Image {
    pub table: &'static Table,
    pub id: Uuid,
    pub columns: Vec<Column>,
    /// Columns the receiver does not write, by name.
    pub unknown: Vec<String>,
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub write: Write,
    pub bound: Bound,
}

/// A value as it is bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    Uuid(Option<Uuid>),
    Text(Option<String>),
    Int(Option<i32>),
    Bool(Option<bool>),
    Time(Option<Ms>),
    Hundredths(Option<i64>),
}

impl Bound {
    pub fn param(&self) -> Param<'_> {
        match self {
            Bound::Uuid(value) => (value, Type::UUID),
            Bound::Text(value) => (value, Type::TEXT),
            Bound::Int(value) => (value, Type::INT4),
            Bound::Bool(value) => (value, Type::BOOL),
            Bound::Time(value) => (value, Type::TIMESTAMPTZ),
            Bound::Hundredths(value) => (value, Type::INT8),
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(
            self,
            Bound::Uuid(None)
                | Bound::Text(None)
                | Bound::Int(None)
                | Bound::Bool(None)
                | Bound::Time(None)
                | Bound::Hundredths(None)
        )
    }
}

impl Image {
    /// Checks types, lengths and ranges; the error says which column and why.
    pub fn read(row: &RowImage) -> Result<Self, String> {
        let table = tables::writable(&row.table)
            .ok_or_else(|| format!("{} is not a table a hub writes", shorten(&row.table)))?;
        let mut image =
            Image { table, id: row.id, columns: Vec::with_capacity(row.columns.len()), unknown: Vec::new() };
        for (name, value) in &row.columns {
            if name == "id" {
                continue;
            }
            let Some((name, kind, write)) = table.column(name) else {
                image.unknown.push(shorten(name));
                continue;
            };
            if image.get(name).is_some() {
                return Err(format!("column {name} stands twice"));
            }
            if write == Write::Stamp {
                continue;
            }
            let bound = bind(kind, value).map_err(|reason| format!("column {name}: {reason}"))?;
            image.columns.push(Column { name, kind, write, bound });
        }
        Ok(image)
    }

    pub fn get(&self, name: &str) -> Option<&Bound> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.bound)
    }

    /// Sets a column, whether it came or not.
    pub fn set(&mut self, name: &'static str, bound: Bound) {
        if let Some(column) = self.columns.iter_mut().find(|column| column.name == name) {
            column.bound = bound;
        } else if let Some((name, kind, write)) = self.table.column(name) {
            self.columns.push(Column { name, kind, write, bound });
        }
    }

    pub fn time(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Bound::Time(value) => value.map(|ms| ms.0),
            _ => None,
        }
    }

    pub fn uuid(&self, name: &str) -> Option<Uuid> {
        match self.get(name)? {
            Bound::Uuid(value) => *value,
            _ => None,
        }
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Bound::Int(value) => value.map(i64::from),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Bound::Text(value) => value.as_deref(),
            _ => None,
        }
    }
}

/// `kind` and `value` as what is bound, or why not.
fn bind(kind: Kind, value: &Value) -> Result<Bound, String> {
    let null = matches!(value, Value::Null);
    Ok(match (kind, value) {
        (Kind::Uuid, Value::Uuid(id)) => Bound::Uuid(Some(*id)),
        (Kind::Uuid, _) if null => Bound::Uuid(None),
        (Kind::Text(max), Value::Text(text)) => Bound::Text(Some(check_text(text, max)?)),
        (Kind::Enum(_), Value::Text(text)) => Bound::Text(Some(check_text(text, ENUM_CHARS_MAX)?)),
        (Kind::Eui, Value::Text(text)) if is_eui(text) => Bound::Text(Some(text.clone())),
        (Kind::Eui, Value::Text(_)) => return Err("an EUI is 16 hex digits in upper case".to_owned()),
        (Kind::Mac, Value::Text(text)) if is_mac(text) => Bound::Text(Some(text.clone())),
        (Kind::Mac, Value::Text(_)) => return Err("a MAC address is upper case with colons".to_owned()),
        (Kind::Text(_) | Kind::Enum(_) | Kind::Eui | Kind::Mac, _) if null => Bound::Text(None),
        (Kind::Int, Value::Int(int)) => {
            Bound::Int(Some(i32::try_from(*int).map_err(|_| format!("{int} is no 32-bit integer"))?))
        }
        (Kind::Int, _) if null => Bound::Int(None),
        (Kind::Bool, Value::Bool(value)) => Bound::Bool(Some(*value)),
        (Kind::Bool, _) if null => Bound::Bool(None),
        (Kind::Time, Value::Millis(ms)) if MILLIS.contains(ms) => Bound::Time(Some(Ms(*ms))),
        (Kind::Time, Value::Millis(ms)) => {
            return Err(format!("{ms} ms lies outside the years 1970 to 9999"));
        }
        (Kind::Time, _) if null => Bound::Time(None),
        (Kind::Hundredths(min, max), Value::Hundredths(value)) if (min..=max).contains(value) => {
            Bound::Hundredths(Some(*value))
        }
        (Kind::Hundredths(min, max), Value::Hundredths(value)) => {
            return Err(format!("{value} hundredths lies outside {min} to {max}"));
        }
        (Kind::Hundredths(..), _) if null => Bound::Hundredths(None),
        _ => return Err(format!("has the wrong type; {kind:?} is wanted")),
    })
}

/// The longest value of the central enums has 22 characters.
const ENUM_CHARS_MAX: usize = 64;

/// A text of at most `max` characters (0: as long as the batch allows) that PostgreSQL can hold.
fn check_text(text: &str, max: usize) -> Result<String, String> {
    if text.contains('\0') {
        return Err("holds a zero byte".to_owned());
    }
    if max > 0 && text.chars().count() > max {
        return Err(format!("is longer than {max} characters"));
    }
    Ok(text.to_owned())
}

/// 16 hex digits, upper case.
pub fn is_eui(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(is_upper_hex)
}

/// Six bytes, upper case, with colons.
pub fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { is_upper_hex(byte) })
}

fn is_upper_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)
}

/// A name from outside, short enough to stand in a reason.
fn shorten(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &str, column: &str, value: Value, want: Result<Bound, &str>) {
        let row = RowImage { table: table.into(), id: Uuid::nil(), columns: vec![(column.into(), value)] };
        match (Image::read(&row), want) {
            (Ok(image), Ok(want)) => assert_eq!(image.get(column), Some(&want)),
            (Err(reason), Err(want)) => assert!(reason.contains(want), "{reason}"),
            (got, want) => panic!("{table}.{column}: got {got:?}, wanted {want:?}"),
        }
    }

    #[test]
    fn values_are_checked_before_they_reach_the_database() {
        let text = |text: &str| Value::Text(text.to_owned());
        check("devices", "battery", Value::Int(55), Ok(Bound::Int(Some(55))));
        check("devices", "battery", Value::Null, Ok(Bound::Int(None)));
        check("devices", "battery", Value::Int(1 << 40), Err("32-bit"));
        check("devices", "battery", text("55"), Err("wrong type"));
        check(
            "devices",
            "device_eui",
            text("A84041FFFF123456"),
            Ok(Bound::Text(Some("A84041FFFF123456".into()))),
        );
        check("devices", "device_eui", text("a84041ffff123456"), Err("upper case"));
        check(
            "hubs",
            "mac_address",
            text("AA:BB:CC:00:11:22"),
            Ok(Bound::Text(Some("AA:BB:CC:00:11:22".into()))),
        );
        check("hubs", "mac_address", text("AABB:CC:00:11:22:"), Err("colons"));
        check("alerts", "message", text("a\0b"), Err("zero byte"));
        check("alerts", "threshold_violated", text("maximum and minimum"), Err("16 characters"));
        check("alerts", "triggered_at", Value::Millis(-1), Err("1970"));
        check("manual_temperature_logs", "temperature", Value::Hundredths(30_001), Err("outside"));
        check("organizations", "name", text("mine"), Err("not a table a hub writes"));
    }

    #[test]
    fn unknown_columns_are_named_and_the_receivers_own_are_left() {
        let columns = vec![
            ("temp_max".into(), Value::Int(400)),
            ("updated_at".into(), Value::Millis(1)),
            ("last_temperature".into(), Value::Int(412)),
        ];
        let image = Image::read(&RowImage { table: "units".into(), id: Uuid::nil(), columns }).unwrap();
        assert_eq!(image.unknown, ["temp_max"]);
        assert_eq!(image.columns.len(), 1);
    }
}
