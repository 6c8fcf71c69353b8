//! What the store's unit tests share.

use rusqlite::Connection;

use super::{connection, migrate};

/// An empty database of the present schema in memory, foreign keys off: a test inserts only the rows it is about.
pub(crate) fn memory() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    connection::register_functions(&connection).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    migrate::Migrations::embedded().apply(&mut connection).unwrap();
    connection
}
