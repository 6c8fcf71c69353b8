//! A central database with one site, and receivers in front of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Postgres, Receiver, connect, wait_for_async};

/// A reading as both sides have it. Temperature and humidity in hundredths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub id: String,
    pub unit: String,
    pub recorded_ms: i64,
    pub temperature: i64,
    /// The tests number their readings by it.
    pub number: i64,
}

pub struct Central {
    // Before the cluster: fields drop in order.
    pub receiver: Receiver,
    pub sql: Client,
    pub url: String,
    pub site: Uuid,
    _postgres: Arc<Postgres>,
}

impl Central {
    pub async fn start() -> Self {
        let postgres = Postgres::shared();
        let url = postgres.make_database("central").await;
        let receiver = Receiver::start(&url);
        let sql = connect(&url).await;
        let (organization, site) = (Uuid::from_u128(1), Uuid::from_u128(2));
        sql.batch_execute(&format!(
            "INSERT INTO organizations (id, name, slug) VALUES ('{organization}', 'Diners', 'diners');
             INSERT INTO profiles (id, user_id, organization_id, email, full_name)
               VALUES ('{chef}', '{chef}', '{organization}', 'chef@example.org', 'The chef');
             INSERT INTO sites (id, organization_id, name) VALUES ('{site}', '{organization}', 'Harbour');
             INSERT INTO areas (id, site_id, name) VALUES ('{area}', '{site}', 'Kitchen')",
            chef = Self::CHEF,
            area = Uuid::from_u128(3),
        ))
        .await
        .expect("furnish the central database");
        Self { receiver, sql, url, site, _postgres: postgres }
    }

    /// A person of the organization.
    pub const CHEF: Uuid = Uuid::from_u128(4);

    /// Adds a hub to the site; gives its id and its one-time code. `more`: arguments of `hub add`.
    #[track_caller]
    pub fn add_hub(&self, name: &str, more: &[&str]) -> (Uuid, String) {
        let site = self.site.to_string();
        let arguments = [
            &["hub", "add", "--site", &site, "--name", name, "--threshold-scale", "tenths", "--json"][..],
            more,
        ];
        let added: Value = serde_json::from_str(&self.receiver.command(&arguments.concat()))
            .expect("hub add answers in JSON");
        let text = |key: &str| added[key].as_str().expect("hub add names the hub and its code");
        (text("hub_id").parse().expect("an id is a UUID"), text("code").to_owned())
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// One column of text, in the order of the query.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.sql.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Waits until a query that gives a boolean gives true.
    pub async fn wait(&self, what: &str, sql: &str) {
        wait_for_async(what, async || {
            let row = self.sql.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            row.get::<_, bool>(0).then_some(())
        })
        .await;
    }

    /// All readings, by id.
    pub async fn readings(&self) -> Vec<Row> {
        let sql = "SELECT id::text, unit_id::text, (extract(epoch FROM recorded_at) * 1000)::bigint, \
             (temperature * 100)::bigint, (humidity * 100)::bigint FROM sensor_readings ORDER BY id::text";
        let rows = self.sql.query(sql, &[]).await.expect("read the readings");
        let row = |row: &tokio_postgres::Row| Row {
            id: row.get(0),
            unit: row.get(1),
            recorded_ms: row.get(2),
            temperature: row.get(3),
            number: row.get(4),
        };
        rows.iter().map(row).collect()
    }

    /// Every reading of `numbers` is there once, and no other.
    pub async fn assert_numbers(&self, numbers: impl IntoIterator<Item = u32>) {
        let mut counts: BTreeMap<i64, i32> =
            numbers.into_iter().map(|number| (i64::from(number), 0)).collect();
        for row in self.readings().await {
            *counts.entry(row.number).or_default() += 1;
        }
        counts.retain(|_, count| *count != 1);
        assert!(counts.is_empty(), "readings not there once, by number: {counts:?}");
        let doubled = "SELECT count(*) FROM (SELECT 1 FROM sensor_readings \
             GROUP BY unit_id, recorded_at, temperature, humidity HAVING count(*) > 1) AS doubled";
        assert_eq!(self.number(doubled).await, 0);
    }
}
