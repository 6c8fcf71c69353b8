//! The central database as the central product leaves it: an organization with a site, and what the tests look at.

use tokio::runtime::Runtime;
use tokio_postgres::Client;

use crate::support::{Postgres, connect};

pub const SITE: &str = "5f0c0000-0000-4000-8000-000000000002";

/// In a database of its own; filled once the receiver has made the tables.
pub struct Central {
    runtime: Runtime,
    client: Client,
    url: String,
    _postgres: std::sync::Arc<Postgres>,
}

#[derive(Clone, Debug)]
pub struct Reading {
    pub unit: String,
    /// As stored: in the unit's scale.
    pub hundredths: i64,
    pub recorded_ms: i64,
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub id: String,
    pub unit: String,
    pub alert_type: String,
    pub severity: String,
    pub status: String,
    pub triggered_ms: i64,
    pub resolved_ms: Option<i64>,
}

impl Central {
    pub fn start() -> Self {
        let postgres = Postgres::shared();
        let runtime = Runtime::new().expect("start a runtime");
        let (url, client) = runtime.block_on(async {
            let url = postgres.make_database("central").await;
            frostguard_sync::receiver::migrate(&url).await.expect("make the central tables");
            let client = connect(&url).await;
            (url, client)
        });
        let site = format!(
            "INSERT INTO organizations (id, name, slug) VALUES ('5f0c0000-0000-4000-8000-000000000001', 'Kitchens', 'kitchens');
             INSERT INTO sites (id, organization_id, name)
             VALUES ('{SITE}', '5f0c0000-0000-4000-8000-000000000001', 'Kitchen');
             INSERT INTO areas (id, site_id, name) VALUES ('5f0c0000-0000-4000-8000-000000000003', '{SITE}', 'Line');"
        );
        runtime.block_on(client.batch_execute(&site)).expect("make an organization and its site");
        Self { runtime, client, url, _postgres: postgres }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn readings(&self) -> Vec<Reading> {
        let sql = "SELECT u.name::text, (r.temperature * 100)::bigint, (extract(epoch FROM r.recorded_at) * 1000)::bigint,
            r.source::text FROM sensor_readings r JOIN units u ON u.id = r.unit_id";
        let rows = self.runtime.block_on(self.client.query(sql, &[])).expect("read the readings");
        let reading = |row: &tokio_postgres::Row| Reading {
            unit: row.get(0),
            hundredths: row.get(1),
            recorded_ms: row.get(2),
            source: row.get(3),
        };
        rows.iter().map(reading).collect()
    }

    /// By id.
    pub fn alerts(&self) -> Vec<Alert> {
        let sql = "SELECT a.id::text, u.name::text, a.alert_type::text, a.severity::text, a.status::text,
            (extract(epoch FROM a.triggered_at) * 1000)::bigint, (extract(epoch FROM a.resolved_at) * 1000)::bigint
            FROM alerts a JOIN units u ON u.id = a.unit_id ORDER BY a.id::text";
        let rows = self.runtime.block_on(self.client.query(sql, &[])).expect("read the alerts");
        let alert = |row: &tokio_postgres::Row| Alert {
            id: row.get(0),
            unit: row.get(1),
            alert_type: row.get(2),
            severity: row.get(3),
            status: row.get(4),
            triggered_ms: row.get(5),
            resolved_ms: row.get(6),
        };
        rows.iter().map(alert).collect()
    }
}
