//! `rules replay --from --to`: the stored history judged again, beside what the hub decided when it happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use super::out;
use crate::config::Config;
use crate::control::show::local;
use crate::domain::UnixMs;
use crate::replay::overlay::Overlay;
use crate::replay::stored::{self, Outcome, ReplayedAlert, Window};
use crate::store::{Store, registry};

/// A file of rules is a page.
const OVERLAY_BYTES_MAX: u64 = 256 << 10;

/// What to replay.
pub struct Wanted<'a> {
    /// The first day, in the site's time zone.
    pub from: Date,
    /// The last day; None: today.
    pub to: Option<Date>,
    /// What to try.
    pub with: Option<&'a PathBuf>,
    pub json: bool,
}

pub fn run(config: Option<&Path>, wanted: &Wanted<'_>) -> Result<()> {
    let config = Config::load(config)?;
    let overlay = wanted.with.map(|path| read(path)).transpose()?;
    let connection = Store::reader(&config.hub.state_dir)?;
    let zone = match registry::place(&connection)? {
        Some(place) => registry::zone(&connection, place.site)?,
        None => config.zone(),
    };
    let window = window(wanted, &zone)?;
    let outcome = stored::replay(&connection, window, overlay.as_ref())?;
    let raised = stored::raised(&connection, window)?;
    if wanted.json {
        return out::json(&to_json(&outcome, &raised));
    }
    print(&outcome, &raised, &zone, overlay.is_some())
}

fn read(path: &Path) -> Result<Overlay> {
    let size = std::fs::metadata(path).with_context(|| format!("open {}", path.display()))?.len();
    if size > OVERLAY_BYTES_MAX {
        bail!("{} is larger than {OVERLAY_BYTES_MAX} bytes", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Overlay::parse(&text).with_context(|| format!("read {}", path.display()))
}

fn window(wanted: &Wanted<'_>, zone: &str) -> Result<Window> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let start = |date: Date| -> Result<UnixMs> {
        let start = date.to_zoned(zone.clone()).context("find the day")?;
        Ok(UnixMs(start.timestamp().as_millisecond()))
    };
    let to = match wanted.to {
        Some(to) => UnixMs(start(to.tomorrow().context("find the day after --to")?)?.0 - 1),
        None => UnixMs(i64::MAX),
    };
    let from = start(wanted.from)?;
    if to < from {
        bail!("--to lies before --from");
    }
    Ok(Window { from, to })
}

fn to_json(outcome: &Outcome, raised: &[ReplayedAlert]) -> Value {
    json!({
        "replayed": outcome.alerts,
        "raised": raised,
        "readings": outcome.readings,
        "started_ms": outcome.started_ms,
        "passed_over": outcome.passed_over,
    })
}

/// One alert: (as replayed, as raised then).
type Pair<'a> = (Option<&'a ReplayedAlert>, Option<&'a ReplayedAlert>);

/// Alerts that both have are one line.
fn print(outcome: &Outcome, raised: &[ReplayedAlert], zone: &str, is_tried: bool) -> Result<()> {
    let mut lines: BTreeMap<(i64, Uuid), Pair<'_>> = BTreeMap::new();
    for alert in &outcome.alerts {
        lines.entry((alert.opened_ms, alert.id)).or_default().0 = Some(alert);
    }
    for alert in raised {
        lines.entry((alert.opened_ms, alert.id)).or_default().1 = Some(alert);
    }
    let rows: Vec<Vec<String>> = lines.values().map(|pair| row(*pair, zone)).collect();
    out::table(&["UNIT", "TYPE", "OPENED", "CONFIRMED", "RESOLVED", "REPLAYED", "RAISED"], &rows)?;
    let called =
        |alerts: &[ReplayedAlert]| alerts.iter().filter(|alert| alert.confirmed_ms.is_some()).count();
    let tried = if is_tried { " with what is tried" } else { "" };
    out::line("")?;
    out::line(&format!(
        "{} readings replayed{tried}: {} alerts, {} of them called somebody; the hub raised {}, and called about {}",
        outcome.readings,
        outcome.alerts.len(),
        called(&outcome.alerts),
        raised.len(),
        called(raised),
    ))?;
    if outcome.passed_over > 0 {
        out::line(&format!(
            "{} inputs are of a former version and were passed over: the replay may differ",
            outcome.passed_over
        ))?;
    }
    Ok(())
}

fn row((replayed, raised): Pair<'_>, zone: &str) -> Vec<String> {
    let time = |ms: Option<i64>| ms.map_or_else(|| "-".into(), |ms| local(ms, zone));
    let severity =
        |alert: Option<&ReplayedAlert>| alert.map_or_else(|| "-".into(), |a| a.severity.to_string());
    let Some(alert) = replayed.or(raised) else { return Vec::new() };
    vec![
        alert.unit.clone(),
        alert.alert_type.to_string(),
        time(Some(alert.opened_ms)),
        time(alert.confirmed_ms),
        time(alert.resolved_ms),
        severity(replayed),
        severity(raised),
    ]
}
