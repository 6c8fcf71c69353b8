//! Rows of named columns, one after the other in postcard; zstd takes care of the names.

use uuid::Uuid;

use super::columns::{Input, write_value};
use super::frame::Plain;
use super::{ROWS_MAX, RowImage, Value, WireError};

/// Columns of a row: the widest table of the central schema has 19.
pub const COLUMNS_MAX: usize = 64;
/// Values of a body: 20 for each of 20,000 rows. An empty one takes 3 bytes on the wire and 56 in memory.
pub const VALUES_MAX: usize = 400_000;

pub(super) fn write(plain: &mut Plain, rows: &[RowImage]) -> Result<(), WireError> {
    check_limits(rows.len(), 0, 0)?;
    write_value(plain, &(rows.len() as u32));
    let mut values = 0;
    for row in rows {
        values += row.columns.len();
        check_limits(rows.len(), row.columns.len(), values)?;
        write_value(plain, &(&row.table, row.id, row.columns.len() as u32));
        for column in &row.columns {
            write_value(plain, column);
        }
    }
    Ok(())
}

pub(super) fn read(input: &mut Input<'_>) -> Result<Vec<RowImage>, WireError> {
    let count = input.value::<u32>()? as usize;
    check_limits(count, 0, 0)?;
    let mut rows = Vec::new();
    let mut values = 0;
    for _ in 0..count {
        let (table, id, width): (String, Uuid, u32) = input.value()?;
        values += width as usize;
        check_limits(count, width as usize, values)?;
        let columns: Vec<(String, Value)> = (0..width).map(|_| input.value()).collect::<Result<_, _>>()?;
        rows.push(RowImage { table, id, columns });
    }
    Ok(rows)
}

fn check_limits(rows: usize, columns: usize, values: usize) -> Result<(), WireError> {
    if rows > ROWS_MAX {
        return Err(WireError::TooManyRows { got: rows, max: ROWS_MAX });
    }
    if columns > COLUMNS_MAX {
        return Err(WireError::TooManyValues { got: columns, max: COLUMNS_MAX });
    }
    if values > VALUES_MAX {
        return Err(WireError::TooManyValues { got: values, max: VALUES_MAX });
    }
    Ok(())
}
