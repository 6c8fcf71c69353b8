use anyhow::Result;
use rusqlite::Connection;

use super::super::facts::{Database, Found, Hub};
use super::{LIMITS, seconds_since};
use crate::config::Config;
use crate::domain::UnixMs;
use crate::store::checkup::{self, Checkup};
use crate::store::link::{self, Link};
use crate::store::{DATABASE, Store, figures, snapshots};

/// The enrolment, and the ETag of the configuration from central.
pub type Linked = Option<(Link, String)>;

/// The database, read-only: how sound it is, what waits in it, the enrolment.
pub async fn look(config: &Config, hub: &Hub, now: UnixMs) -> Found<(Linked, Database)> {
    let dir = config.hub.state_dir.clone();
    let runs = !matches!(hub, Hub::Stopped);
    let limit = if runs { LIMITS.database_beside_hub } else { LIMITS.database };
    let bytes_max = config.store.size_mib_max.map(|mib| mib << 20);
    let opened = super::aside(LIMITS.disk, move || {
        let path = dir.join(DATABASE);
        let around = checkup::surroundings(&dir);
        if !path.try_exists()? {
            return Ok((None, path, around));
        }
        // Nobody writes it: it is read as it is, so that no file of another user is made beside it.
        let connection = if runs { Store::reader(&dir)? } else { Store::file_reader(&path)? };
        Ok((Some(connection), path, around))
    });
    let (connection, path, around) = opened.await?;
    let backed_up = around.newest_backup.and_then(|backup| std::fs::metadata(backup).ok()?.modified().ok());
    let mut database = Database {
        exists: connection.is_some(),
        is_suspect: around.is_suspect,
        set_aside: around.set_aside,
        newest_backup_age_s: backed_up.and_then(|then| seconds_since(then, now)),
        bytes_max,
        ..Database::default()
    };
    let Some(connection) = connection else { return Ok((None, database)) };
    let interrupt = connection.get_interrupt_handle();
    let mut read = tokio::task::spawn_blocking(move || {
        let read = read(&connection);
        let checked = checkup::check(&connection, &path);
        (read, checked)
    });
    let (read, checked) = match tokio::time::timeout(limit, &mut read).await {
        Ok(done) => done,
        Err(_) => {
            interrupt.interrupt();
            read.await
        }
    }
    .map_err(|error| error.to_string())?;
    match checked {
        Ok(Checkup { damage, is_whole }) => {
            database.damage = damage;
            database.looked_at =
                if is_whole { "every page was looked at" } else { "all but the readings was looked at" }
                    .into();
        }
        Err(error) if is_interrupted(&error) => {
            database.looked_at = format!("after {} s of looking no damage was met", limit.as_secs());
        }
        Err(error) => database.damage = Some(error.to_string()),
    }
    let linked = match read {
        Ok((linked, figures, sensors)) => {
            (database.figures, database.sensors) = (Some(figures), sensors);
            linked
        }
        // The damage says it already, or the figures took too long.
        Err(_) => None,
    };
    Ok((linked, database))
}

fn read(connection: &Connection) -> Result<(Linked, figures::Figures, u64)> {
    let link = link::find(connection)?;
    let etag = snapshots::etag(connection)?;
    let sensors: i64 =
        connection.query_row("SELECT count(*) FROM devices WHERE is_active = 1", [], |row| row.get(0))?;
    Ok((link.map(|link| (link, etag)), figures::read(connection)?, sensors as u64))
}

fn is_interrupted(error: &crate::store::StoreError) -> bool {
    matches!(error, crate::store::StoreError::Sqlite(error)
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted))
}
