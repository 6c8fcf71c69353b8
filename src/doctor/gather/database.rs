use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rusqlite::Connection;

use super::super::facts::{Database, Found, Hub};
use super::{LIMITS, seconds_since};
use crate::config::Config;
use crate::domain::UnixMs;
use crate::store::checkup::{self, Checkup, CutOff, is_cut_off};
use crate::store::figures::{self, Figures};
use crate::store::link::{self, Link};
use crate::store::{self, DATABASE, Store, StoreError, snapshots};

/// The enrolment, and the ETag of the configuration from central.
pub type Linked = Option<(Link, String)>;

/// What was read of the database; each part may fail without the others.
struct Read {
    linked: Result<Linked>,
    figures: store::Result<(Figures, u64)>,
    checked: store::Result<Checkup>,
}

/// The database, read-only: the enrolment, how sound it is, what waits in it. An enrolment that cannot be read is unknown,
/// and not missing.
pub async fn look(config: &Config, hub: &Hub, now: UnixMs) -> (Found<Linked>, Found<Database>) {
    let runs = !matches!(hub, Hub::Stopped);
    let limit = if runs { LIMITS.database_beside_hub } else { LIMITS.database };
    let dir = config.hub.state_dir.clone();
    let opened = super::aside(LIMITS.disk, move || {
        let path = dir.join(DATABASE);
        let around = checkup::surroundings(&dir);
        if !path.try_exists()? {
            return Ok((around, path, None));
        }
        // Nobody writes it: it is read as it is, so that no file of another user is made beside it.
        let connection = if runs { Store::reader(&dir) } else { Store::file_reader(&path) };
        Ok((around, path, Some(connection?)))
    });
    let (around, path, connection) = match opened.await {
        Ok(opened) => opened,
        Err(why) => return (Err(why.clone()), Err(why)),
    };
    let backed_up = around.newest_backup.and_then(|backup| std::fs::metadata(backup).ok()?.modified().ok());
    let database = Database {
        exists: connection.is_some(),
        is_suspect: around.is_suspect,
        set_aside: around.set_aside,
        newest_backup_age_s: backed_up.and_then(|then| seconds_since(then, now)),
        bytes_max: config.store.size_mib_max.map(|mib| mib << 20),
        ..Database::default()
    };
    let Some(connection) = connection else { return (Ok(None), Ok(database)) };
    match read_within(limit, connection, path).await {
        Ok(read) => found(read, database, limit),
        Err(why) => (Err(why.clone()), Err(why)),
    }
}

async fn read_within(limit: Duration, mut connection: Connection, path: PathBuf) -> Found<Read> {
    let cut_off = CutOff::default();
    let bound = cut_off.bound();
    let mut reading = tokio::task::spawn_blocking(move || {
        bound.bind(&mut connection)?;
        anyhow::Ok(read(&connection, &path))
    });
    let in_time = tokio::time::timeout(limit, &mut reading).await;
    // It ends by itself then, unless the disk hangs.
    cut_off.cut();
    let ended = match in_time {
        Ok(ended) => Ok(ended),
        Err(_) => tokio::time::timeout(LIMITS.disk, reading).await,
    };
    let ended = ended.map_err(|_| format!("no answer within {} s", (limit + LIMITS.disk).as_secs()))?;
    ended.map_err(|error| error.to_string())?.map_err(|error| format!("{error:#}"))
}

/// The enrolment first, which is one row: what comes after it may take too long.
fn read(connection: &Connection, path: &Path) -> Read {
    let linked = || {
        let Some(link) = link::find(connection)? else { return Ok(None) };
        Ok(Some((link, snapshots::etag(connection)?)))
    };
    let counted = || {
        let sql = "SELECT count(*) FROM devices WHERE is_active = 1";
        let sensors: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        Ok((figures::read(connection)?, sensors as u64))
    };
    Read { linked: linked(), figures: counted(), checked: checkup::check(connection, path) }
}

fn found(read: Read, mut database: Database, limit: Duration) -> (Found<Linked>, Found<Database>) {
    match read.checked {
        Ok(Checkup { damage, is_whole }) => {
            database.damage = damage;
            database.looked_at =
                if is_whole { "every page was looked at" } else { "all but the readings was looked at" }
                    .into();
        }
        Err(error) if is_cut_off(&error) => {
            database.looked_at =
                format!("in {} s of looking at a part of it no damage was met", limit.as_secs());
        }
        Err(error) => database.damage = Some(error.to_string()),
    }
    match read.figures {
        Ok((figures, sensors)) => (database.figures, database.sensors) = (Some(figures), sensors),
        Err(error @ StoreError::Corrupt { .. }) if database.damage.is_none() => {
            database.damage = Some(error.to_string());
        }
        // The damage says it already, or they took too long.
        Err(_) => {}
    }
    (read.linked.map_err(|error| format!("read the enrolment: {error:#}")), Ok(database))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenOptions;

    fn stored() -> (tempfile::TempDir, PathBuf, Config) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&OpenOptions::new(folder.path()), &mut |bytes| bytes.fill(7)).unwrap();
        store.close().unwrap();
        let path = folder.path().join(DATABASE);
        let mut config = Config::default();
        config.hub.state_dir = folder.path().to_owned();
        (folder, path, config)
    }

    async fn look_at(config: &Config) -> (Found<Linked>, Found<Database>) {
        look(config, &Hub::Stopped, UnixMs(0)).await
    }

    #[tokio::test]
    async fn an_enrolment_that_cannot_be_read_is_not_missing() {
        let (_folder, path, config) = stored();
        let (linked, database) = look_at(&config).await;
        assert_eq!(linked, Ok(None));
        let database = database.unwrap();
        assert!(database.damage.is_none() && database.figures.is_some(), "{database:?}");

        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("DROP TABLE hub_link").unwrap();
        connection.close().unwrap();
        let (linked, database) = look_at(&config).await;
        assert!(linked.unwrap_err().contains("hub_link"));
        assert!(database.unwrap().figures.is_some(), "one part does not cost another");
    }

    #[tokio::test]
    async fn a_damaged_one_tells_no_enrolment() {
        let (_folder, path, config) = stored();
        let mut bytes = std::fs::read(&path).unwrap();
        let after_header = 100;
        bytes[after_header..].fill(0xAA);
        std::fs::write(&path, bytes).unwrap();
        let (linked, database) = look_at(&config).await;
        assert!(linked.is_err(), "{linked:?}");
        assert!(database.as_ref().is_err() || database.as_ref().unwrap().damage.is_some(), "{database:?}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_cut_off_and_says_so() {
        let (_folder, path, _) = stored();
        let mut connection = Store::file_reader(&path).unwrap();
        let cut_off = CutOff::default();
        cut_off.bound().bind(&mut connection).unwrap();
        cut_off.cut();
        let limit = Duration::from_secs(4);
        let (linked, database) = found(read(&connection, &path), Database::default(), limit);
        assert!(linked.is_err(), "{linked:?}");
        let database = database.unwrap();
        assert_eq!((&database.damage, &database.figures), (&None, &None));
        assert!(database.looked_at.contains("4 s"), "{database:?}");
    }
}
