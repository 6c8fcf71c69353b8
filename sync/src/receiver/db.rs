//! PostgreSQL: the pool, the migrations, and how values travel.
//!
//! Works through PgBouncer in transaction mode: only unnamed statements with stated types, COPY inside a transaction.

use std::error::Error as StdError;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{BufMut, BytesMut};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use tokio_postgres::{Client, NoTls};

use super::config::Database;
use super::database_tls::DatabaseTls;
use super::tables;

pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A request that cannot get a connection in this time answers 503; a hub then comes back by itself.
const POOL_WAIT: Duration = Duration::from_secs(10);
/// A database that does not answer the connect in this time counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A database machine that died without a word is noticed by then, not after the hours TCP takes by itself.
const DEAD_PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// One statement of the receiver at most (a 20,000-row batch takes a second or two).
const STATEMENT_TIMEOUT_MS: u32 = 60_000;
/// Connections beside those that apply batches: readiness, metrics, presence.
const SIDE_CONNECTIONS: usize = 1;

mod central {
    refinery::embed_migrations!("../migrations/postgres/central");
}

mod hub_sync {
    refinery::embed_migrations!("../migrations/postgres/hub_sync");
}

/// Makes the pool; connects lazily.
pub fn pool(database: &Database, connections: usize) -> anyhow::Result<Pool> {
    let (config, tls) = read(database)?;
    let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match tls {
        None => Manager::from_config(config, NoTls, how),
        Some(tls) => Manager::from_config(config, tls, how),
    };
    Pool::builder(manager)
        .max_size(connections + SIDE_CONNECTIONS)
        .wait_timeout(Some(POOL_WAIT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .runtime(Runtime::Tokio1)
        .build()
        .context("make the connection pool")
}

/// One connection of its own, with its driver spawned on the current runtime.
pub async fn connect(database: impl Into<Database>) -> anyhow::Result<Client> {
    let (config, tls) = read(&database.into())?;
    match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await.context("connect to PostgreSQL")?;
            drive(connection);
            Ok(client)
        }
        Some(tls) => {
            let (client, connection) = config.connect(tls).await.context("connect to PostgreSQL")?;
            drive(connection);
            Ok(client)
        }
    }
}

fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = %error, "a connection to PostgreSQL ended");
        }
    });
}

/// The error never repeats the URL: it holds a password.
fn read(database: &Database) -> anyhow::Result<(tokio_postgres::Config, Option<DatabaseTls>)> {
    let mut config: tokio_postgres::Config =
        database.url.expose().parse().map_err(|_| {
            anyhow::anyhow!("read the database URL: give postgres://user:password@host/database")
        })?;
    config.connect_timeout(CONNECT_TIMEOUT);
    config.tcp_user_timeout(DEAD_PEER_TIMEOUT).keepalives_idle(DEAD_PEER_TIMEOUT);
    if config.get_application_name().is_none() {
        config.application_name("frostguard-receiver");
    }
    let tls = database.ca.as_deref().map(DatabaseTls::trusting).transpose()?;
    if tls.is_some() {
        config.ssl_mode(SslMode::Require);
    } else if config.get_ssl_mode() == SslMode::Require {
        bail!("the database URL requires TLS: name the authority of its certificate in database_ca");
    }
    Ok((config, tls))
}

/// What `migrate` did.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// The 22 tables were made: the database was empty.
    pub central_made: bool,
    /// Migrations of `hub_sync` that were applied now.
    pub hub_sync_applied: usize,
}

/// Brings `hub_sync` up to date; makes the 22 tables only in a database that has no table at all. They belong to the
/// central product, so an existing one sees no DDL outside `hub_sync`.
pub async fn migrate(database: impl Into<Database>) -> anyhow::Result<Migrated> {
    let database = database.into();
    // Two receivers that migrate at once wait for each other here: a lock inside a transaction works through a pooler.
    let mut guard = connect(&database).await?;
    let lock = guard.transaction().await?;
    lock.batch_execute("SELECT pg_advisory_xact_lock(hashtext('frostguard hub_sync migrations'))").await?;

    let mut client = connect(&database).await?;
    let tables: i64 = client
        .query_typed_one(
            "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
            &[],
        )
        .await?
        .get(0);
    client.batch_execute("CREATE SCHEMA IF NOT EXISTS hub_sync").await?;
    if tables == 0 {
        let mut runner = central::migrations::runner();
        runner.set_migration_table_name("hub_sync.central_migrations");
        runner.run_async(&mut client).await.context("create the central tables")?;
    }
    let mut runner = hub_sync::migrations::runner();
    runner.set_migration_table_name("hub_sync.migrations");
    let report = runner.run_async(&mut client).await.context("migrate the schema hub_sync")?;
    check_catalogue(&client).await?;
    lock.commit().await?;
    Ok(Migrated { central_made: tables == 0, hub_sync_applied: report.applied_migrations().len() })
}

/// Compares the catalogue with what the receiver names in its statements; the error names what is missing.
pub async fn check_catalogue(client: &Client) -> anyhow::Result<()> {
    let rows = client
        .query_typed(
            "SELECT table_name::text, column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() OR (table_schema = 'hub_sync' AND table_name = 'lane')",
            &[],
        )
        .await
        .context("read the catalogue")?;
    let present: std::collections::HashSet<(String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    if !present.iter().any(|(table, _)| table == "lane") {
        bail!("the schema hub_sync is missing: run `frostguard-receiver migrate`");
    }
    let missing: Vec<String> = tables::named_columns()
        .filter(|(table, column)| !present.contains(&((*table).to_owned(), (*column).to_owned())))
        .map(|(table, column)| format!("{table}.{column}"))
        .collect();
    if !missing.is_empty() {
        bail!("this is not the central database the receiver knows; missing: {}", missing.join(", "));
    }
    Ok(())
}

/// First statement of every transaction that applies something.
pub async fn bound_statements(tx: &tokio_postgres::Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    tx.batch_execute(&format!("SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")).await
}

/// The transaction may be tried again as it stands: a deadlock or a serialization failure.
pub fn is_repeatable(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(code) if *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Ends the transaction, not only the statement: nothing in it may be tried again row by row.
pub fn is_fatal(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => true,
        // 08 connection, 40 rollback, 53 resources, 57 operator, 58 system, XX internal.
        Some(code) => ["08", "40", "53", "57", "58", "XX"].iter().any(|class| code.code().starts_with(class)),
    }
}

/// What PostgreSQL said, in one line, without values of the row.
pub fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => match db.constraint() {
            Some(constraint) => format!("{} ({constraint})", db.message()),
            None => db.message().to_owned(),
        },
        None => error.to_string(),
    }
}

/// `timestamptz(3)`: Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ms(pub i64);

/// 2000-01-01, where PostgreSQL counts from, in Unix milliseconds.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;
/// Times the receiver takes: 1970 up to the end of the year 9999.
pub const MILLIS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999;

impl Ms {
    /// Microseconds since 2000, as PostgreSQL's binary format has them; the value lies in `MILLIS`.
    pub fn to_postgres(self) -> i64 {
        (self.0 - POSTGRES_EPOCH_MS).saturating_mul(1_000)
    }
}

impl ToSql for Ms {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_i64(self.to_postgres());
        Ok(IsNull::No)
    }
    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Ms {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Ms(micros.div_euclid(1_000) + POSTGRES_EPOCH_MS))
    }
    accepts!(TIMESTAMPTZ);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_binary_format() {
        for ms in [0, 1, POSTGRES_EPOCH_MS, 1_764_000_000_123, *MILLIS.end()] {
            let mut out = BytesMut::new();
            Ms(ms).to_sql(&Type::TIMESTAMPTZ, &mut out).unwrap();
            assert_eq!(Ms::from_sql(&Type::TIMESTAMPTZ, &out).unwrap(), Ms(ms));
        }
    }
}
