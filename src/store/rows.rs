//! Rows of the mirror as they travel: read into images for lane 0, written from images that come down.

use rusqlite::types::{Null, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::tables::{Column, Kind, Table, Writer};
use crate::domain::UnixMs;
use frostguard_sync::wire::{RowImage, Value};

/// Notes that a row must go up (again). Rows of tables that are central's alone never do.
pub fn mark_dirty(connection: &Connection, table: &'static str, id: Uuid) -> Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO hub_dirty (table_name, row_id) VALUES (?1, ?2)")?
        .execute(params![table, id.into_bytes()])?;
    Ok(())
}

/// What of a row goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but `updated_at`, which central stamps itself.
    Whole,
    /// The columns that the hub alone writes.
    HubColumns,
}

/// The row as it goes up; None: there is no such row.
pub fn image(
    connection: &Connection,
    table: &'static Table,
    id: Uuid,
    part: Part,
) -> Result<Option<RowImage>> {
    let columns: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| match part {
            Part::Whole => column.name != "updated_at",
            Part::HubColumns => column.is_hubs,
        })
        .collect();
    read(connection, table, id, &columns)
}

/// What goes up of a row of a table that is not `Writer::Paired`.
pub fn usual_part(table: &Table) -> Part {
    match table.writer {
        Writer::Hub => Part::Whole,
        Writer::Central | Writer::Shared | Writer::Paired => Part::HubColumns,
    }
}

/// Some columns of a row; None: there is no such row.
pub fn read(
    connection: &Connection,
    table: &'static Table,
    id: Uuid,
    columns: &[&Column],
) -> Result<Option<RowImage>> {
    let names: Vec<String> = columns.iter().map(|column| quoted(column.name)).collect();
    let sql = format!("SELECT {} FROM {} WHERE id = ?1", names.join(", "), table.name);
    let mut statement = connection.prepare_cached(&sql)?;
    let values = statement
        .query_row([id.into_bytes()], |row| {
            columns
                .iter()
                .enumerate()
                .map(|(i, column)| Ok((column, value(column.kind, row.get_ref(i)?))))
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .optional()?;
    let Some(values) = values else { return Ok(None) };
    let columns = values
        .into_iter()
        .map(|(column, value)| match value {
            Some(value) => Ok((column.name.to_owned(), value)),
            None => Err(StoreError::Value {
                table: table.name,
                detail: format!("column {} of row {id} has another type", column.name),
            }),
        })
        .collect::<Result<_>>()?;
    Ok(Some(RowImage { table: table.name.to_owned(), id, columns }))
}

/// Writes a row that came down: a new row whole, an old one without the columns that the hub alone writes. Returns
/// whether anything changed. `now` becomes `updated_at` where the image has none. The image must fit the table
/// (`misfits` is empty); what the table does not have is left out.
pub fn upsert(connection: &Connection, table: &'static Table, image: &RowImage, now: UnixMs) -> Result<bool> {
    let mut given: Vec<(&Column, Value)> =
        image.columns.iter().filter_map(|(name, value)| Some((table.column(name)?, value.clone()))).collect();
    for name in ["created_at", "updated_at"] {
        let is_given = given.iter().any(|(column, _)| column.name == name);
        if let Some(column) = table.column(name).filter(|_| !is_given) {
            given.push((column, Value::Millis(now.0)));
        }
    }
    if exists(connection, table, image.id)? {
        update(connection, table, image, given)
    } else {
        insert(connection, table, image.id, &given)
    }
}

pub fn exists(connection: &Connection, table: &'static Table, id: Uuid) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {} WHERE id = ?1", table.name);
    Ok(connection.prepare_cached(&sql)?.exists([id.into_bytes()])?)
}

/// What of an image does not fit the mirror: unknown columns, wrong types. The first list is only worth telling; with
/// something in the second the row cannot be written.
pub fn misfits(table: &Table, image: &RowImage) -> (Vec<String>, Vec<String>) {
    let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
    for (name, value) in &image.columns {
        match table.column(name) {
            None => unknown.push(format!("{}.{name}", table.name)),
            Some(column) if !fits(column.kind, value) => wrong.push(format!("{}.{name}", table.name)),
            Some(_) => {}
        }
    }
    (unknown, wrong)
}

fn insert(connection: &Connection, table: &Table, id: Uuid, given: &[(&Column, Value)]) -> Result<bool> {
    let names: Vec<String> = given.iter().map(|(column, _)| quoted(column.name)).collect();
    let places: Vec<String> = (2..given.len() + 2).map(|i| format!("?{i}")).collect();
    let separator = if given.is_empty() { "" } else { ", " };
    let sql = format!(
        "INSERT INTO {} (id{separator}{}) VALUES (?1{separator}{})",
        table.name,
        names.join(", "),
        places.join(", ")
    );
    let values = std::iter::once(Value::Uuid(id)).chain(given.iter().map(|(_, value)| value.clone()));
    connection.prepare_cached(&sql)?.execute(params_from_iter(values.map(Stored)))?;
    Ok(true)
}

fn update(
    connection: &Connection,
    table: &'static Table,
    image: &RowImage,
    mut given: Vec<(&Column, Value)>,
) -> Result<bool> {
    given.retain(|(column, _)| !column.is_hubs);
    let is_stamp = |column: &Column| matches!(column.name, "created_at" | "updated_at");
    let columns: Vec<&Column> = given.iter().map(|(column, _)| *column).collect();
    let there = read(connection, table, image.id, &columns)?;
    let there = there.map(|row| row.columns).unwrap_or_default();
    let differs =
        given.iter().zip(&there).any(|((column, value), (_, old))| !is_stamp(column) && value != old);
    if !differs {
        return Ok(false);
    }
    given.retain(|(column, _)| column.name != "created_at");
    let sets: Vec<String> = given
        .iter()
        .enumerate()
        .map(|(i, (column, _))| format!("{} = ?{}", quoted(column.name), i + 2))
        .collect();
    let sql = format!("UPDATE {} SET {} WHERE id = ?1", table.name, sets.join(", "));
    let values = std::iter::once(Value::Uuid(image.id)).chain(given.into_iter().map(|(_, value)| value));
    connection.prepare_cached(&sql)?.execute(params_from_iter(values.map(Stored)))?;
    Ok(true)
}

fn fits(kind: Kind, value: &Value) -> bool {
    matches!(
        (kind, value),
        (_, Value::Null)
            | (Kind::Uuid, Value::Uuid(_))
            | (Kind::Text, Value::Text(_))
            | (Kind::Int, Value::Int(_))
            | (Kind::Bool, Value::Bool(_))
            | (Kind::Millis, Value::Millis(_))
            | (Kind::Hundredths, Value::Hundredths(_))
    )
}

fn value(kind: Kind, stored: ValueRef<'_>) -> Option<Value> {
    Some(match (kind, stored) {
        (_, ValueRef::Null) => Value::Null,
        (Kind::Uuid, ValueRef::Blob(bytes)) => Value::Uuid(Uuid::from_slice(bytes).ok()?),
        (Kind::Text, ValueRef::Text(bytes)) => Value::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
        (Kind::Int, ValueRef::Integer(int)) => Value::Int(int),
        (Kind::Bool, ValueRef::Integer(int)) => Value::Bool(int == 1),
        (Kind::Millis, ValueRef::Integer(int)) => Value::Millis(int),
        (Kind::Hundredths, ValueRef::Integer(int)) => Value::Hundredths(int),
        _ => return None,
    })
}

/// `timestamp` is a column's name and a word of SQL.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A value in the mirror's type.
struct Stored(Value);

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match &self.0 {
            Value::Null => Null.to_sql(),
            Value::Bool(is) => Ok(ToSqlOutput::from(i64::from(*is))),
            Value::Int(int) | Value::Millis(int) | Value::Hundredths(int) => Ok(ToSqlOutput::from(*int)),
            Value::Text(text) => text.to_sql(),
            Value::Uuid(id) => Ok(ToSqlOutput::from(id.into_bytes().to_vec())),
        }
    }
}
