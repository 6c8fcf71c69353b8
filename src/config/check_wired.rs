//! What sections of wired sensors may get wrong.

use std::collections::BTreeSet;

use super::check::Findings;
use super::{Config, CurrentSection, ModbusDevice, ModbusSection, OneWireSection};
use crate::codec::Measures;
use crate::framing::modbus::{ID_MAX, Register, RegisterKind};

/// A bus of RS-485 carries 32 loads, repeaters and light loads more; at a second each they are read once a minute.
const DEVICES_MAX: usize = 64;
/// A controller shows a dozen values that matter.
const REGISTERS_MAX: usize = 32;
/// Some makers have a sentinel for each way to fail.
const INVALID_MAX: usize = 16;

pub fn check(config: &Config, found: &mut Findings) {
    config.modbus.iter().for_each(|bus| modbus(bus, found));
    if let Some(section) = &config.onewire {
        onewire(section, found);
    }
    config.current.iter().for_each(|section| current(section, found));
    let mut inputs = BTreeSet::new();
    for section in &config.current {
        found.require(inputs.insert((&section.path, section.channel)), || {
            format!("two [[current]] sections read channel {} of {}", section.channel, section.path.display())
        });
    }
}

/// A value of a cold room changes within minutes; central expects one within a day at least.
fn interval(section: &str, seconds: u32, found: &mut Findings) {
    found.require_within(&format!("{section}: interval_s"), seconds.into(), 1..=86_400);
}

fn modbus(bus: &ModbusSection, found: &mut Findings) {
    let section = format!("[[modbus]] {}", bus.name);
    found.require(bus.path.is_absolute(), || {
        format!("{section}: path = {} must be absolute", bus.path.display())
    });
    found.require_within(&format!("{section}: baud"), bus.baud.into(), 300..=4_000_000);
    found.require_within(&format!("{section}: stop_bits"), bus.stop_bits.into(), 1..=2);
    interval(&section, bus.interval_s, found);
    // Shorter ones cut slow devices off and gain nothing; longer ones let one dead device hold up the others.
    found.require_within(&format!("{section}: timeout_ms"), bus.timeout_ms.into(), 500..=10_000);
    found.require_within(&format!("{section}: gap_ms"), bus.gap_ms.into(), 2..=1_000);
    found.require((1..=DEVICES_MAX).contains(&bus.device.len()), || {
        format!("{section} must have 1 to {DEVICES_MAX} [[modbus.device]] sections")
    });
    let mut ids = BTreeSet::new();
    for device in &bus.device {
        found.require(ids.insert(device.id), || format!("{section}: two devices have the id {}", device.id));
        self::device(&format!("{section}: device {}", device.id), device, found);
    }
}

fn device(section: &str, device: &ModbusDevice, found: &mut Findings) {
    found.require_within(&format!("{section}: id"), device.id.into(), 1..=ID_MAX.into());
    if let Some(seconds) = device.interval_s {
        interval(section, seconds, found);
    }
    found.require(device.preset.is_some() == device.register.is_empty(), || {
        format!("{section} must have either a preset or [[modbus.device.register]] sections")
    });
    found.require(device.preset.is_some() || !device.swapped, || {
        format!("{section}: swapped is only for a preset; registers say their own addresses")
    });
    found.require(device.register.len() <= REGISTERS_MAX, || {
        format!("{section} has more than {REGISTERS_MAX} registers")
    });
    let mut measured = BTreeSet::new();
    for register in &device.register {
        let section = format!("{section}, register {}", register.address);
        // Two values of one kind at one probe: only one of them could be the unit's.
        found.require(measured.insert((register.probe, register.quantity)), || {
            format!("{section}: another register measures the same at the probe {}", register.probe)
        });
        self::register(&section, register, found);
    }
}

fn register(section: &str, register: &Register, found: &mut Findings) {
    found.require(register.address.checked_add(register.kind.count() - 1).is_some(), || {
        format!("{section}: its second half would be beyond 65535")
    });
    found.require(register.scale.is_finite() && register.scale != 0.0 && register.offset.is_finite(), || {
        format!("{section}: scale and offset must be numbers, and scale not 0")
    });
    found.require(register.invalid.len() <= INVALID_MAX, || {
        format!("{section}: more than {INVALID_MAX} invalid values")
    });
    let (least, most) = match register.kind {
        RegisterKind::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        RegisterKind::U16 => (0, i64::from(u16::MAX)),
        RegisterKind::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        // Whole numbers that it can hold.
        RegisterKind::F32 => (-(1 << 24), 1 << 24),
    };
    for invalid in register.invalid.iter().filter(|invalid| !(least..=most).contains(*invalid)) {
        found
            .errors
            .push(format!("{section}: invalid value {invalid} is outside {least} to {most} of its type"));
    }
    found.require(register.at_4_ma.is_some() == register.at_20_ma.is_some(), || {
        format!("{section}: at_4_ma and at_20_ma go together")
    });
    if let Some(span) = register.span() {
        self::span(section, span.at_4_ma, span.at_20_ma, register.quantity, found);
    }
}

fn span(section: &str, at_4_ma: f64, at_20_ma: f64, quantity: Measures, found: &mut Findings) {
    found.require((at_20_ma - at_4_ma).abs() > 0.0 && (at_20_ma - at_4_ma).is_finite(), || {
        format!("{section}: at_4_ma and at_20_ma must be two different numbers")
    });
    found.require(quantity != Measures::Door, || format!("{section}: a current tells of no door"));
}

fn onewire(section: &OneWireSection, found: &mut Findings) {
    found.require(section.path.is_absolute(), || {
        format!("[onewire] path = {} must be absolute", section.path.display())
    });
    // Reading warms a sensor up a little.
    found.require_within("[onewire] interval_s", section.interval_s.into(), 1..=86_400);
}

fn current(section: &CurrentSection, found: &mut Findings) {
    let name = format!("[[current]] {}", section.name);
    found.require(section.path.is_absolute(), || {
        format!("{name}: path = {} must be absolute", section.path.display())
    });
    found.require(section.shunt_ohm.is_finite() && section.shunt_ohm > 0.0, || {
        format!("{name}: shunt_ohm must be a number above 0")
    });
    span(&name, section.at_4_ma, section.at_20_ma, section.quantity, found);
    interval(&name, section.interval_s, found);
}
