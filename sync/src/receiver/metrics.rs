//! Figures in Prometheus' text format (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::App;
use super::batches::{Done, Outcome};
use super::db::Ms;
use super::presence::SILENT_MS;
use super::problem::Failure;
use crate::wire::Lane;

/// Silent hubs named one by one; their number is always whole.
const NAMED_MAX: i64 = 1_000;
/// Figures that come from the database are left out, and say so, when it does not answer by then.
const DATABASE_MAX: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Metrics {
    /// By lane number.
    batches: [AtomicU64; 2],
    repeats: [AtomicU64; 2],
    rows: [AtomicU64; 2],
    refused: [AtomicU64; 2],
    foreign: AtomicU64,
    /// (path, status) of every answer; both are the receiver's own words, so there are few.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

impl Metrics {
    pub fn batch(&self, lane: Lane, done: &Done) {
        let lane = usize::from(lane.number());
        let counter = if done.outcome == Outcome::Applied { &self.batches } else { &self.repeats };
        counter[lane].fetch_add(1, Ordering::Relaxed);
        if done.outcome == Outcome::Applied {
            self.rows[lane].fetch_add(done.rows as u64, Ordering::Relaxed);
            self.refused[lane].fetch_add(done.refused.len() as u64, Ordering::Relaxed);
            self.foreign.fetch_add(done.foreign as u64, Ordering::Relaxed);
        }
    }

    pub fn answered(&self, path: &'static str, status: StatusCode) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((path, status.as_u16())).or_default() += 1;
    }
}

/// Everything, those of the database as they are now.
pub(super) async fn show(app: &App) -> String {
    let mut out = String::new();
    let metrics = &app.metrics;
    let by_lane: [(&str, &str, &[AtomicU64; 2]); 4] = [
        ("frostguard_batches_total", "Batches applied.", &metrics.batches),
        ("frostguard_repeats_total", "Batches that had been applied before.", &metrics.repeats),
        ("frostguard_rows_total", "Rows in applied batches, refused ones included.", &metrics.rows),
        (
            "frostguard_refused_rows_total",
            "Rows, or columns of rows, that were not written.",
            &metrics.refused,
        ),
    ];
    for (name, help, counters) in by_lane {
        head(&mut out, name, "counter", help);
        for (lane, counter) in ["state", "readings"].iter().zip(counters) {
            line(&mut out, name, &format!("lane=\"{lane}\""), counter.load(Ordering::Relaxed));
        }
    }
    let name = "frostguard_foreign_rows_total";
    head(&mut out, name, "counter", "Rows a hub sent that are somebody else's.");
    line(&mut out, name, "", metrics.foreign.load(Ordering::Relaxed));

    let name = "frostguard_answers_total";
    head(&mut out, name, "counter", "Answers by path and status.");
    for ((path, status), count) in metrics.answers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        line(&mut out, name, &format!("path=\"{path}\",status=\"{status}\""), *count);
    }
    let name = "frostguard_waiting_requests";
    head(&mut out, name, "gauge", "Requests that wait for their turn.");
    for (lane, waiting) in ["state", "readings"].iter().zip(app.gate.waiting()) {
        line(&mut out, name, &format!("lane=\"{lane}\""), waiting as u64);
    }

    let asked = tokio::time::timeout(DATABASE_MAX, figures(app)).await;
    let name = "frostguard_database_up";
    head(&mut out, name, "gauge", "Whether the database answered for the figures below.");
    line(&mut out, name, "", u64::from(matches!(asked, Ok(Ok(_)))));
    if let Ok(Ok(figures)) = asked {
        show_figures(&mut out, &figures);
    }
    out
}

struct Figures {
    hubs: u64,
    enrolled: u64,
    silent: u64,
    silent_hubs: Vec<(Uuid, Option<i64>)>,
    dead_letters: u64,
    security_events: u64,
}

async fn figures(app: &App) -> Result<Figures, Failure> {
    let client = app.pool.get().await?;
    let before = Ms(app.now_ms() - SILENT_MS);
    let silent =
        "token_sha256 IS NOT NULL AND revoked_at IS NULL AND (last_seen_at IS NULL OR last_seen_at < $1)";
    let counts = client
        .query_typed_one(
            &format!(
                "SELECT count(*) FILTER (WHERE revoked_at IS NULL), \
                 count(*) FILTER (WHERE token_sha256 IS NOT NULL AND revoked_at IS NULL), \
                 count(*) FILTER (WHERE {silent}), \
                 (SELECT count(*) FROM hub_sync.dead_letters), (SELECT count(*) FROM hub_sync.security_events) \
                 FROM hub_sync.hubs"
            ),
            &[(&before, Type::TIMESTAMPTZ)],
        )
        .await?;
    let named = client
        .query_typed(
            &format!(
                "SELECT hub_id, last_seen_at FROM hub_sync.hubs WHERE {silent} ORDER BY last_seen_at NULLS FIRST LIMIT $2"
            ),
            &[(&before, Type::TIMESTAMPTZ), (&NAMED_MAX, Type::INT8)],
        )
        .await?;
    let count = |column: usize| counts.get::<_, i64>(column) as u64;
    Ok(Figures {
        hubs: count(0),
        enrolled: count(1),
        silent: count(2),
        silent_hubs: named
            .iter()
            .map(|row| (row.get(0), row.get::<_, Option<Ms>>(1).map(|ms| ms.0)))
            .collect(),
        dead_letters: count(3),
        security_events: count(4),
    })
}

fn show_figures(out: &mut String, figures: &Figures) {
    let gauges = [
        ("frostguard_hubs", "Hubs that were added and not revoked.", figures.hubs),
        ("frostguard_enrolled_hubs", "Of those, hubs that are enrolled.", figures.enrolled),
        ("frostguard_silent_hubs", "Enrolled hubs that missed three polls.", figures.silent),
        ("frostguard_dead_letters", "Dead letters kept, of all hubs.", figures.dead_letters),
        ("frostguard_security_events", "Security events kept, of all hubs.", figures.security_events),
    ];
    for (name, help, value) in gauges {
        head(out, name, "gauge", help);
        line(out, name, "", value);
    }
    let name = "frostguard_hub_last_seen_seconds";
    head(out, name, "gauge", "When a silent hub was last heard, Unix seconds; 0: never.");
    for (hub, seen) in &figures.silent_hubs {
        line(out, name, &format!("hub=\"{hub}\""), (seen.unwrap_or(0) / 1_000) as u64);
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(out, "{name}{labels} {value}").expect("a string takes all");
}
