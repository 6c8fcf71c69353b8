//! After a codec was mended: kept frames are decoded again, and what they say now joins the log as late readings of the
//! time when they were heard. Nothing that stands there is changed, and nothing joins it twice.

use anyhow::{Context, Result, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::audit::event_types::FRAMES_REDECODED;
use crate::audit::{Actor, Entity};
use crate::codec::{Measurement, Quantity};
use crate::control::{Redecode, RedecodeNext};
use crate::domain::{DeviceNo, Probe, Seq, UnitNo, UnixMs};
use crate::rules::{Event, ReadingEvent};
use crate::store::frames::{self, KeptFrame, Outcome};
use crate::store::known::Known;
use crate::store::log::LogRow;
use crate::store::registry::{self as rows, AssignmentSpan};

use super::Core;
use super::group::Write;
use super::reading_time::{HISTORY_MS_MAX, ReadingTime, Times};

/// Frames of one request.
const FRAMES_MAX: usize = 500;
/// Numbers looked through by one request: most are other devices'.
const NUMBERS_MAX: i64 = 20_000;
/// Time of one request, after which its part ends: sensors wait meanwhile.
const PART_MS: i64 = 500;

/// What a part did.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    frames: u64,
    decoded: u64,
    readings: u64,
    /// Readings that were there already.
    known: u64,
    /// Frames whose time nothing vouches for, and measurements of probes that measured nothing then.
    unplaced: u64,
    unassigned: u64,
    /// Frames whose script is set aside.
    set_aside: u64,
    /// Frames of devices whose model their network server says, which is not kept.
    without_model: u64,
}

/// What came of a kept frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redecoded {
    Decoded,
    /// Nothing vouches for its time yet.
    Unplaced,
    WithoutModel,
    SetAside,
    /// The codec's own reason.
    Failed(String),
}

impl Core {
    pub(super) fn redecode(&mut self, request: &Redecode) -> Result<Value> {
        if request.device.is_none() && !request.all {
            bail!("name a device, or say --all for every frame of every device");
        }
        let zone = self.registry.zone.clone();
        let from = request.from.as_deref().map_or(Ok(UnixMs(0)), |day| day_start(day, &zone, 0))?;
        let to = request.to.as_deref().map_or(Ok(UnixMs(i64::MAX)), |day| day_start(day, &zone, 1))?;
        if from >= to {
            bail!("--to lies before --from");
        }
        // The store must say what there is, and nothing may be decoded here that is about to be.
        self.flush_decoded()?;
        let devices: Vec<DeviceNo> = match request.device.as_deref() {
            None => self.registry.devices.iter().map(|device| device.no).collect(),
            Some(text) => match self.registry.find_device(text) {
                Some(device) => vec![device.no],
                None => bail!("no device {text:?}: `frostguard-hub devices list` shows the paired ones"),
            },
        };
        let (first, end) = frames::numbers(self.store.connection(), from, to)?;
        let mut next = request.next.unwrap_or(RedecodeNext { device: 0, frame: first });
        next.frame = next.frame.max(first);
        let mut done = Done::default();
        if let Some(&device) = devices.get(next.device) {
            let stop = next.frame.saturating_add(NUMBERS_MAX).min(end);
            let reached = self.redecode_device(device, next.frame..stop, request.all, &mut done)?;
            next.frame = reached;
            if reached >= end {
                next = RedecodeNext { device: next.device + 1, frame: first };
            }
            self.note_redecoded(device, done);
            self.flush()?;
        }
        Ok(json!({
            "frames": done.frames,
            "decoded": done.decoded,
            "readings": done.readings,
            "known": done.known,
            "unplaced": done.unplaced,
            "unassigned": done.unassigned,
            "set_aside": done.set_aside,
            "without_model": done.without_model,
            "next": (next.device < devices.len()).then_some(next),
        }))
    }

    /// One frame that has no readings yet.
    pub(super) fn redecode_one(&mut self, device: DeviceNo, frame: &KeptFrame) -> Result<Redecoded> {
        let (wall, _) = self.wall_of(frame.stamp);
        let from = UnixMs(wall.0.saturating_sub(HISTORY_MS_MAX));
        let mut known = Known::of(self.store.connection(), device, from, wall)?;
        let spans = rows::assignment_spans(self.store.connection(), device)?;
        let redecoded = self.redecode_frame(device, frame, &mut known, &spans, &mut Done::default());
        self.flush()?;
        Ok(redecoded)
    }

    /// Returns the number of the first frame that was not looked at.
    fn redecode_device(
        &mut self,
        device: DeviceNo,
        numbers: std::ops::Range<i64>,
        decoded: bool,
        done: &mut Done,
    ) -> Result<i64> {
        let kept = frames::of_device(self.store.connection(), device, numbers.clone(), decoded, FRAMES_MAX)?;
        let walls = kept.iter().map(|frame| self.wall_of(frame.stamp).0);
        let (Some(oldest), Some(newest)) = (walls.clone().min(), walls.max()) else { return Ok(numbers.end) };
        let mut known = Known::of(
            self.store.connection(),
            device,
            UnixMs(oldest.0.saturating_sub(HISTORY_MS_MAX)),
            newest,
        )?;
        let spans = rows::assignment_spans(self.store.connection(), device)?;
        let began = self.clock.mono();
        let is_full = kept.len() == FRAMES_MAX;
        let mut reached = numbers.start;
        for frame in &kept {
            if self.clock.mono().0 - began.0 > PART_MS {
                return Ok(reached);
            }
            self.redecode_frame(device, frame, &mut known, &spans, done);
            reached = frame.no + 1;
        }
        Ok(if is_full { reached } else { numbers.end })
    }

    fn redecode_frame(
        &mut self,
        device: DeviceNo,
        frame: &KeptFrame,
        known: &mut Known,
        spans: &[AssignmentSpan],
        done: &mut Done,
    ) -> Redecoded {
        done.frames += 1;
        let (wall, is_placed) = self.wall_of(frame.stamp);
        if !is_placed {
            done.unplaced += 1;
            return Redecoded::Unplaced;
        }
        let model = self.model_of(device).to_owned();
        if model.is_empty() {
            done.without_model += 1;
            return Redecoded::WithoutModel;
        }
        if self.scripts.is_set_aside(&model.to_ascii_lowercase()) {
            done.set_aside += 1;
            return Redecoded::SetAside;
        }
        let measurements = match self.decode_payload(&model, frame.f_port, &frame.bytes, Some(wall)) {
            Ok(measurements) => measurements,
            Err(reason) => return Redecoded::Failed(reason),
        };
        done.decoded += 1;
        let before = done.readings + done.known;
        // Several values of one frame may have one time; of another frame they are repeats of its history.
        let mut added = Vec::new();
        for measurement in &measurements {
            let Quantity::Temperature(_) = measurement.quantity else { continue };
            let times = Times { reception: Some(wall), inside: measurement.at, ..Times::default() };
            let Ok(time) = ReadingTime::of(times) else { continue };
            let at = time.own().unwrap_or(wall);
            let is_known = known.has_recorded(measurement.probe, at)
                || measurement.at.is_none() && known.has_received(measurement.probe, wall);
            if is_known {
                done.known += 1;
                continue;
            }
            // Where the probe was when the frame came, not where it is now.
            match self.unit_then(spans, measurement.probe, wall) {
                Some(unit) if self.add_late((device, unit), frame, &measurements, measurement, at) => {
                    done.readings += 1;
                    added.push((measurement.probe, at));
                }
                Some(_) => {}
                None => done.unassigned += 1,
            }
        }
        for (probe, at) in added {
            known.note(probe, at);
        }
        if frame.outcome == Outcome::Undecodable {
            let gave = done.readings + done.known > before;
            let outcome = if gave { Outcome::Reading } else { Outcome::Event };
            let detail = "decoded again".to_owned();
            self.group.push(Write::Redecoded { frame: frame.no, outcome, detail });
        }
        Redecoded::Decoded
    }

    fn unit_then(&self, spans: &[AssignmentSpan], probe: Probe, at: UnixMs) -> Option<UnitNo> {
        let covers = |span: &&AssignmentSpan| {
            span.probe == probe
                && self.wall_of(span.opened).0 <= at
                && span.closed.is_none_or(|closed| at < self.wall_of(closed).0)
        };
        spans.iter().rev().find(covers).map(|span| span.unit)
    }

    /// False: the temperature fits no column.
    fn add_late(
        &mut self,
        (device, unit): (DeviceNo, UnitNo),
        frame: &KeptFrame,
        all: &[Measurement],
        measurement: &Measurement,
        at: UnixMs,
    ) -> bool {
        let Quantity::Temperature(raw) = measurement.quantity else { return false };
        let Some(scale) = self.registry.unit(unit).map(|unit| unit.scale) else { return false };
        let calibrations = self.registry.calibrations(device);
        let Ok(temperature) = calibrations.temperature(raw, Some(at), scale) else { return false };
        let humidity = all.iter().find_map(|other| match other.quantity {
            Quantity::Humidity(value) if (other.at, other.probe) == (measurement.at, measurement.probe) => {
                Some(value)
            }
            _ => None,
        });
        let battery = all.iter().find_map(|other| match other.quantity {
            Quantity::BatteryPercent(percent) => Some(i32::from(percent)),
            _ => None,
        });
        let stamp = self.stamp_now();
        let seq = self.next_seq();
        self.group.opened.get_or_insert(stamp.mono);
        self.group.push(Write::Log(LogRow {
            epoch_no: self.epoch.no,
            seq,
            unit,
            device,
            is_late: true,
            source: frame.source,
            probe: measurement.probe,
            temperature,
            humidity: humidity.map(|raw| calibrations.humidity(raw, Some(at))),
            battery,
            rssi: frame.rssi.map(|dbm| dbm.clamp(-300, 100)),
            stamp,
            own_time: Some(at),
        }));
        let event = ReadingEvent {
            unit,
            device,
            probe: measurement.probe,
            temperature,
            is_late: true,
            measured_ms: Some(at.0),
        };
        self.judge(&Event::Reading(event), stamp.mono, Seq(seq.0 - 1));
        true
    }

    fn note_redecoded(&mut self, device: DeviceNo, done: Done) {
        if done.readings == 0 {
            return;
        }
        let fields = [
            ("frames", done.frames.into()),
            ("decoded", done.decoded.into()),
            ("readings", done.readings.into()),
            ("known", done.known.into()),
        ];
        let at = self.stamp_now().mono;
        self.note_by(Actor::Installer, FRAMES_REDECODED, Entity::Device(device), fields, at);
    }
}

/// The beginning of a day in the site's zone, `days` later.
fn day_start(text: &str, zone: &str, days: i64) -> Result<UnixMs> {
    let wrong = || format!("{text:?} is no day; write it as 2026-11-24");
    let day: Date = text.parse().with_context(wrong)?;
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let day = day.checked_add(jiff::Span::new().days(days)).with_context(wrong)?;
    Ok(UnixMs(day.to_zoned(zone).with_context(wrong)?.timestamp().as_millisecond()))
}
