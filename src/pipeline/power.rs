//! Power cuts: what is committed and spared while the mains are away, and the report once they are back.
//!
//! An outage is a row from the first second on, so that a UPS that runs empty, or the plug pulled again, does not cost the
//! report: the next start goes on with it. A hub that nothing tells of the mains takes a start without a stop before it,
//! in a new boot, for one.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::audit::Entity;
use crate::audit::event_types::{POWER_BACK, POWER_LOST, POWER_REPORT};
use crate::domain::{MonoMs, Seq, Severity, Stamp, UnitNo};
use crate::power::report::{self, Point, Reason, Report, Span, Watched};
use crate::power::{Notice, PowerEvent};
use crate::rules::Gap;
use crate::store::inputs::ReplayRow;
use crate::store::outages::{self, OutageRow};
use crate::store::{epochs, inputs, meta};

use super::group::Write;
use super::settings::Mode;
use super::{Core, report as told};

/// Whether the report can be written is looked at this often: it goes over the readings since the loss.
const LOOK_MS: i64 = 60_000;
/// After days without mains there is more to go over: it is looked at so many times in as long again.
const LOOKS_MAX: i64 = 500;
/// A shorter time without the hub is a restart of the machine, not a power cut worth a report.
const UNCLEAN_MS: i64 = 120_000;
/// Readings go up this often while the hub runs on battery; alerts go at once as ever.
const UPLOAD_MS_ON_BATTERY: i64 = 300_000;
/// What can wait for the mains waits no longer than this: no battery of a hub lasts so long, so that the contact is wired
/// the wrong way round, or the battery's driver is gone.
const SPARED_MS_MAX: i64 = 12 * 3_600_000;
/// Reports that a command shows.
const REPORTS_SHOWN: u32 = 10;

/// What the core knows of its power.
#[derive(Default)]
pub(super) struct PowerState {
    is_watched: bool,
    /// Why what is watched cannot be read; what was known last goes on to count.
    unknown: Option<String>,
    /// On battery since then.
    battery_since: Option<MonoMs>,
    percent: Option<u8>,
    /// The power cut whose report is not written yet.
    outage: Option<OutageRow>,
    looked: Option<MonoMs>,
    uploaded: Option<MonoMs>,
}

impl Core {
    /// Something tells of the mains from now on; `status` shows it.
    pub fn watch_power(&mut self) {
        self.power.is_watched = true;
        self.power.unknown = Some("it was not read yet".to_owned());
    }

    /// What feeds the hub was read.
    pub fn power_is_known(&mut self) {
        self.power.unknown = None;
    }

    /// What feeds the hub cannot be read: no outage, and no mains either.
    pub fn power_is_unknown(&mut self, why: String) {
        self.power.unknown = Some(why);
    }

    /// Takes what the supply says. On a loss everything heard is committed before anything else is done.
    pub fn power_changed(&mut self, event: PowerEvent) -> Result<()> {
        let now = self.not_before(self.clock.mono());
        self.power_is_known();
        match event {
            PowerEvent::Lost { since, battery } => self.power_lost(since, battery, now),
            PowerEvent::Back { since } => self.power_back(since, now),
            PowerEvent::BatteryLow { percent } => {
                self.power.percent = Some(percent);
                tracing::error!("the battery is at {percent} %: the hub goes off when it is empty");
                let (site, zone) = (self.registry.site.clone(), self.registry.zone.clone());
                let wall = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
                self.give_notice(Severity::Critical, report::low(&site, wall.0, percent, &zone));
                self.save(now)
            }
        }
    }

    pub(super) fn is_on_battery(&self) -> bool {
        self.power.battery_since.is_some()
    }

    /// True while what can wait should.
    pub(super) fn spares_battery(&self, now: MonoMs) -> bool {
        self.power.battery_since.is_some_and(|since| now.0 - since.0 < SPARED_MS_MAX)
    }

    /// None: nothing is watched, or what is cannot be read.
    pub(super) fn supply_shown(&self) -> Option<bool> {
        (self.power.is_watched && self.power.unknown.is_none()).then(|| self.is_on_battery())
    }

    /// False while readings should wait to go up.
    pub(super) fn may_upload_readings(&mut self) -> bool {
        let now = self.clock.mono();
        let waits = self.spares_battery(now)
            && self.power.uploaded.is_some_and(|last| now.0 - last.0 < UPLOAD_MS_ON_BATTERY);
        if !waits {
            self.power.uploaded = Some(now);
        }
        !waits
    }

    fn power_lost(&mut self, since: MonoMs, battery: Option<u8>, now: MonoMs) -> Result<()> {
        tracing::error!("MAINS LOST: the hub runs on battery");
        self.counters.add("power.lost", "", 1);
        (self.power.battery_since, self.power.percent) = (Some(since), battery);
        let lost = Stamp { segment: self.segment, mono: since };
        let wall = self.wall_of(lost).0;
        let percent =
            battery.map_or("battery unknown".to_owned(), |percent| format!("battery at {percent} %"));
        let fields = [("battery", percent.into()), ("for_ms", (now.0 - since.0).into())];
        self.note(POWER_LOST, Entity::Hub, fields, now);
        self.group.is_urgent = true;
        let committed = self.flush();
        let saved = self.save(now);
        let (site, zone) = (self.registry.site.clone(), self.registry.zone.clone());
        self.give_notice(Severity::Critical, report::lost(&site, wall.0, battery, &zone));
        let begun = match self.power.outage.clone() {
            // Gone again before it had all recovered: one power cut for people.
            Some(row) => self.set_back(row, None),
            None => self.begin_outage(Reason::Mains, lost, None),
        };
        committed.and(saved).and(begun)
    }

    fn power_back(&mut self, since: MonoMs, now: MonoMs) -> Result<()> {
        let lost = self.power.battery_since.take();
        let seconds = lost.map(|lost| (since.0 - lost.0) / 1_000);
        tracing::warn!("the mains are back after {} s", seconds.unwrap_or(0));
        let fields = [("seconds", seconds.into()), ("by", "supply".into())];
        self.note(POWER_BACK, Entity::Hub, fields, now);
        self.group.is_urgent = true;
        // What the disk refuses is in memory still, and so must be that the mains are back.
        let flushed = self.flush();
        if let Some(row) = self.power.outage.clone() {
            self.set_back(row, Some(Stamp { segment: self.segment, mono: since }))?;
        }
        flushed
    }

    /// At the start of the service: goes on with an outage that is open, and finds one that nothing told of. `last`: of
    /// what was written before.
    pub(super) fn begin_power(&mut self, last: Option<Stamp>, is_new_boot: bool, gap: Gap) -> Result<()> {
        if self.settings.mode != Mode::Service {
            return Ok(());
        }
        let was_running = meta::get(self.store.connection(), meta::RUNNING)?.is_some();
        if !was_running {
            self.store.write(|tx| meta::set(tx, meta::RUNNING, "1"))?;
        }
        self.power.outage = outages::open(self.store.connection())?;
        let is_long = match gap {
            Gap::Known { ms } => ms >= UNCLEAN_MS,
            // How long is not known, and may be the night.
            Gap::AtLeast { .. } => true,
        };
        let is_cut = was_running && is_new_boot && is_long;
        let now = self.stamp_now();
        match (self.power.outage.clone(), last) {
            (Some(row), _) if row.back.is_none() || is_cut => {
                // The hub runs, so there is power; if it is a battery's, the supply says so in a few seconds.
                let fields = [("seconds", Value::Null), ("by", "start".into())];
                self.note(POWER_BACK, Entity::Hub, fields, now.mono);
                self.set_back(row, Some(now))
            }
            (None, Some(last)) if is_cut => {
                tracing::warn!("the hub was not stopped before this start: probably a power cut");
                self.begin_outage(Reason::Unclean, last, Some(now))
            }
            _ => Ok(()),
        }
    }

    /// At a clean stop, so that the next start takes it for none.
    pub(super) fn end_power(&mut self) -> Result<()> {
        self.store.write(|tx| meta::remove(tx, meta::RUNNING))?;
        Ok(())
    }

    fn begin_outage(&mut self, reason: Reason, lost: Stamp, back: Option<Stamp>) -> Result<()> {
        let mut row = OutageRow {
            no: 0,
            reason,
            lost,
            epoch_no: self.epoch.no,
            first_seq: Seq(self.next_seq),
            back,
            report: None,
        };
        // Known also where the disk refuses it: then a restart forgets it, and the report is in the audit chain only.
        self.power.outage = Some(row.clone());
        row.no = self.store.write(|tx| outages::begin(tx, &row))?;
        self.power.outage = Some(row);
        Ok(())
    }

    fn set_back(&mut self, row: OutageRow, back: Option<Stamp>) -> Result<()> {
        self.power.looked = None;
        self.power.outage = Some(OutageRow { back, ..row.clone() });
        self.store.write(|tx| outages::set_back(tx, row.no, back))?;
        Ok(())
    }

    /// Writes the report of a power cut once all units have recovered, or it has waited long enough.
    pub(super) fn tend_power(&mut self, now: MonoMs) {
        let Some((row, back)) = self.power.outage.clone().and_then(|row| Some((row.clone(), row.back?)))
        else {
            return;
        };
        let (lost, until) =
            (self.wall_of(row.lost).0, self.wall_of(Stamp { segment: self.segment, mono: now }).0);
        let pause_ms = LOOK_MS.max((until.0 - lost.0) / LOOKS_MAX);
        let is_due = self.power.looked.is_none_or(|last| now.0 - last.0 >= pause_ms);
        if self.failing.is_some() || !is_due || self.settings.mode != Mode::Service {
            return;
        }
        self.power.looked = Some(now);
        told(self.try_report(&row, back, now), "write the report of the power cut");
    }

    fn try_report(&mut self, row: &OutageRow, back: Stamp, now: MonoMs) -> Result<()> {
        let report = self.report_of(row, back, now)?;
        let wall = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
        // A supply that cannot be read may be a battery still.
        let is_known = !self.power.is_watched || self.power.unknown.is_none();
        if !(report.is_complete() && is_known) && wall.0 - report.power.to_ms < report::WAIT_MS_MAX {
            return Ok(());
        }
        let (site, zone) = (self.registry.site.clone(), self.registry.zone.clone());
        let notice = report::told(&report, &site, &zone);
        tracing::warn!("{}", notice.text.trim_end());
        self.note_report(&report, &notice, &zone, now);
        let json = serde_json::to_string(&report).context("write the report as JSON")?;
        self.group.push(Write::PowerReport { no: row.no, report: json });
        self.group.is_urgent = true;
        self.power.outage = None;
        // Somebody who was woken by the loss wants to know how it ended; all the more where food is warm.
        let severity = if report.is_complete() { Severity::Warning } else { Severity::Critical };
        self.give_notice(severity, notice);
        self.flush()
    }

    fn report_of(&mut self, row: &OutageRow, back: Stamp, now: MonoMs) -> Result<Report> {
        // What was just heard counts.
        self.flush()?;
        let mut readings: BTreeMap<UnitNo, Vec<Point>> = BTreeMap::new();
        let connection = self.store.connection();
        for epoch in epochs::all(connection)?.iter().filter(|epoch| epoch.no >= row.epoch_no) {
            // A later epoch's numbers go on where this one's ended.
            let after = Seq(row.first_seq.0.saturating_sub(1));
            for found in inputs::replay_after(connection, epoch.no, after)? {
                if let ReplayRow::Log(log) = found? {
                    let at_ms = log.own_time.map_or_else(|| self.wall_of(log.stamp).0.0, |own| own.0);
                    readings.entry(log.unit).or_default().push(Point { at_ms, temperature: log.temperature });
                }
            }
        }
        let ((from, is_from_known), (to, is_to_known)) = (self.wall_of(row.lost), self.wall_of(back));
        let power = Span { from_ms: from.0, to_ms: to.0.max(from.0) };
        let until = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
        let is_known = is_from_known && is_to_known;
        let units = self.watched_units(&readings);
        Ok(report::report(row.reason, power, is_known, until.0, &units, &readings))
    }

    /// Units that a sensor measures, or did since.
    fn watched_units(&self, readings: &BTreeMap<UnitNo, Vec<Point>>) -> Vec<Watched> {
        let constants = &self.settings.constants;
        let is_measured = |no: UnitNo| {
            readings.contains_key(&no) || self.registry.assignments.iter().any(|row| row.unit == no)
        };
        self.registry
            .units
            .iter()
            .filter(|unit| unit.is_active && is_measured(unit.no))
            .map(|unit| Watched {
                unit: unit.no,
                name: unit.name.clone(),
                scale: unit.scale,
                temp_min: unit.temp_min,
                temp_max: unit.temp_max,
                hysteresis: constants.hysteresis_hundredths as i32,
                good_readings: constants.good_readings,
            })
            .collect()
    }

    fn note_report(&mut self, report: &Report, notice: &Notice, zone: &str, now: MonoMs) {
        for unit in &report.units {
            let fields = [
                ("verdict", serde_json::to_value(unit.verdict).unwrap_or_default()),
                ("above_ms", unit.above_ms.into()),
                ("limit_tenths", unit.temp_max.into()),
                ("highest_hundredths", unit.highest.map(|highest| highest.0).into()),
                ("highest_ms", unit.highest.map(|highest| highest.1).into()),
                ("scale", unit.scale.as_str().into()),
                ("recovered_ms", unit.recovered_ms.into()),
                ("gaps", unit.gaps.len().into()),
                ("text", report::unit_line(unit, zone).into()),
            ];
            self.note(POWER_REPORT, Entity::Unit(unit.unit), fields, now);
        }
        let fields = [
            ("reason", report.reason.as_str().into()),
            ("from_ms", report.power.from_ms.into()),
            ("to_ms", report.power.to_ms.into()),
            ("time_known", report.is_time_known.into()),
            ("text", notice.text.clone().into()),
        ];
        self.note(POWER_REPORT, Entity::Hub, fields, now);
    }

    /// For `status`.
    pub(crate) fn power_status(&self) -> Value {
        let zone = &self.registry.zone;
        let since = self.power.battery_since.map(|since| {
            let (wall, _) = self.wall_of(Stamp { segment: self.segment, mono: since });
            format!("BATTERY since {}", crate::control::show::local(wall.0, zone))
        });
        let supply = match (since, &self.power.unknown) {
            (None, _) if !self.power.is_watched => "not watched".to_owned(),
            (None, None) => "mains".to_owned(),
            (None, Some(why)) => format!("unknown: {why}"),
            (Some(since), None) => since,
            (Some(since), Some(why)) => format!("unknown: {why}; last seen: {since}"),
        };
        let outage = self.power.outage.as_ref().map(|row| match row.back {
            None => "power cut",
            Some(_) => "after a power cut: its report waits until all units are back inside",
        });
        json!({
            "supply": supply,
            "battery": self.power.percent.map(|percent| format!("{percent} %")),
            "outage": outage,
        })
    }

    /// The last reports, the newest first, in the site's time zone.
    pub(super) fn power_reports(&self) -> Result<Value> {
        let (site, zone) = (self.registry.site.clone(), &self.registry.zone);
        let mut list = Vec::new();
        for row in outages::list(self.store.connection(), REPORTS_SHOWN)? {
            let Some(text) = &row.report else { continue };
            let report: Report = serde_json::from_str(text)
                .with_context(|| format!("read the report of power cut {}", row.no))?;
            let notice = report::told(&report, &site, zone);
            list.push(json!({ "subject": notice.subject, "text": notice.text, "report": report }));
        }
        let waits = self.power.outage.as_ref().map(|row| row.back.is_some());
        Ok(json!({ "reports": list, "is_open": waits.is_some(), "is_back": waits }))
    }
}
