//! Wall time of what the hub made: by the placement of its boot segment, provisional until there is one.

use std::collections::BTreeMap;

use crate::audit::event_types::{BOOT_PLACED, CLOCK_STEPPED, EventType};
use crate::audit::{Actor, Entity, Payload};
use crate::clock::trust::ClockEvent;
use crate::domain::{MonoMs, Stamp, UnixMs};
use crate::rules::Event;
use crate::store::boots::Segment;
use serde_json::Value;

use super::group::{EventDraft, Write};
use super::{Core, Told};

/// Where segments lie in wall time. Old segments are placed or estimated at start, so few are ever kept here.
#[derive(Clone, Debug, Default)]
pub struct Times(BTreeMap<u32, Lies>);

#[derive(Clone, Copy, Debug)]
struct Lies {
    offset_ms: i64,
    is_placed: bool,
}

/// A moment in wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub ms: i64,
    pub is_placed: bool,
}

impl Times {
    pub fn of_segments(segments: &[Segment]) -> Self {
        let mut times = Self::default();
        for segment in segments {
            match segment.offset_ms() {
                Some(offset) => times.place(segment.no, offset),
                None => times.begin(segment.no, segment.boot.first_mono, segment.boot.floor),
            }
        }
        times
    }

    /// A segment whose place is not known yet: it cannot have begun before `floor`.
    pub fn begin(&mut self, segment: u32, first: MonoMs, floor: UnixMs) {
        self.0.insert(segment, Lies { offset_ms: floor.0 - first.0, is_placed: false });
    }

    pub fn place(&mut self, segment: u32, offset_ms: i64) {
        self.0.insert(segment, Lies { offset_ms, is_placed: true });
    }

    pub fn of(&self, stamp: Stamp) -> Moment {
        match self.0.get(&stamp.segment) {
            Some(segment) => Moment { ms: stamp.mono.0 + segment.offset_ms, is_placed: segment.is_placed },
            None => Moment { ms: stamp.mono.0, is_placed: false },
        }
    }

    /// wall = mono + offset; None while the segment is not placed.
    pub fn offset(&self, segment: u32) -> Option<i64> {
        self.0.get(&segment).filter(|segment| segment.is_placed).map(|segment| segment.offset_ms)
    }
}

/// The clocks are looked at this often; a step is found at most this late, and costs nothing: rows carry monotonic time.
const OBSERVE_MS: i64 = 1_000;

impl Core {
    pub(super) fn observe_clock(&mut self, now: MonoMs) {
        if self.timers.observed.is_some_and(|last| now.0 - last.0 < OBSERVE_MS) {
            return;
        }
        self.timers.observed = Some(now);
        let events = self.trust.look(self.clock.as_ref());
        self.take_clock_events(events);
    }

    /// Takes what the clocks, or the receiver about them, said.
    pub(crate) fn take_clock_events(&mut self, events: Vec<ClockEvent>) {
        self.note_clock_events(events);
        self.tell_offset();
    }

    /// What the clocks said, as rows; the rules do not hear of it.
    pub(super) fn note_clock_events(&mut self, events: Vec<ClockEvent>) {
        for event in events {
            let at = self.not_before(self.clock.mono());
            self.group.opened.get_or_insert(at);
            self.group.push(Write::Clock(event.clone()));
            match event {
                ClockEvent::Began(boot) => {
                    self.segment = boot.segment;
                    self.live.forget_times();
                    self.times.begin(boot.segment, boot.first_mono, boot.floor);
                }
                ClockEvent::Placed { segment, placement } => {
                    self.times.place(segment, placement.offset_ms);
                    self.group.is_urgent = true;
                    let fields = [
                        ("segment", segment.into()),
                        ("quality", placement.quality.as_str().into()),
                        ("uncertainty_ms", placement.uncertainty_ms.into()),
                    ];
                    self.note(BOOT_PLACED, Entity::Boot(segment), fields, at);
                }
                ClockEvent::Stepped { by_ms, .. } => {
                    tracing::warn!(clock.step_ms = by_ms, "the system clock stepped by {by_ms} ms");
                    self.note(CLOCK_STEPPED, Entity::Hub, [("step", format!("{by_ms} ms").into())], at);
                }
                ClockEvent::Refuted { segment, by_ms } => {
                    tracing::warn!(clock.off_ms = by_ms, "the clock was wrong by {by_ms} ms");
                    let fields = [("step", format!("{} ms: it was wrong", -by_ms).into())];
                    self.note(CLOCK_STEPPED, Entity::Boot(segment), fields, at);
                }
                ClockEvent::Persist { wall } => {
                    if let Some(certificates) = &self.certificates {
                        certificates.raise(wall);
                    }
                }
            }
        }
    }

    /// Schedules judge by wall time, so the rules hear of every change of it.
    pub(super) fn tell_offset(&mut self) {
        let offset_ms = self.times.offset(self.segment).map(|offset| offset - self.tick_base);
        if self.told_offset != Some(Told(offset_ms)) {
            self.told_offset = Some(Told(offset_ms));
            let at = self.not_before(self.clock.mono());
            self.take_input(Event::Placed { offset_ms }, Stamp { segment: self.segment, mono: at });
        }
    }

    /// Wall time at `mono` where it is trusted.
    pub(crate) fn wall_now(&self, mono: MonoMs) -> Option<UnixMs> {
        self.trust.wall(mono)
    }

    /// Wall time of a stamp, and whether it is known; else the earliest it can be.
    pub(crate) fn wall_of(&self, stamp: Stamp) -> (UnixMs, bool) {
        let moment = self.times.of(stamp);
        (UnixMs(moment.ms), moment.is_placed)
    }

    pub(crate) fn stamp_now(&mut self) -> Stamp {
        let mono = self.not_before(self.clock.mono());
        Stamp { segment: self.segment, mono }
    }

    /// Adds an audit row about the hub's own doing to the open group.
    pub(crate) fn note<const N: usize>(
        &mut self,
        event_type: EventType,
        entity: Entity,
        fields: [(&'static str, Value); N],
        at: MonoMs,
    ) {
        self.note_by(Actor::Hub, event_type, entity, fields, at);
    }

    pub(crate) fn note_by<const N: usize>(
        &mut self,
        actor: Actor,
        event_type: EventType,
        entity: Entity,
        fields: [(&'static str, Value); N],
        at: MonoMs,
    ) {
        let texts: Vec<(&str, String)> = fields.iter().map(|(name, value)| (*name, text(value))).collect();
        let mut words: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let unit = match entity {
            Entity::Unit(no) => self.registry.unit(no).map(|unit| (unit.id, unit.name.clone())),
            _ => None,
        };
        let device = match entity {
            Entity::Device(no) => self
                .registry
                .device(no)
                .map(|device| (device.id, device.name.clone().unwrap_or_else(|| device.address.clone()))),
            _ => None,
        };
        words.extend(unit.as_ref().map(|(_, name)| ("unit", name.as_str())));
        words.extend(device.as_ref().map(|(_, name)| ("device", name.as_str())));
        let draft = EventDraft {
            stamp: Stamp { segment: self.segment, mono: at },
            event_type,
            actor,
            entity,
            entity_id: unit.as_ref().or(device.as_ref()).map(|(id, _)| *id),
            description: event_type.describe(&words),
            payload: Payload::of(fields),
            id: None,
        };
        self.group.opened.get_or_insert(at);
        self.group.push(Write::Event(Box::new(draft)));
    }

    /// A span of this clock as the operating system must wait for it.
    pub(crate) fn real_duration(&self, span: std::time::Duration) -> std::time::Duration {
        span / self.clock.factor().max(1)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
