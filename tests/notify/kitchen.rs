//! What is told and shown.

use std::sync::Arc;

use frostguard_hub::clock::{BUILD_TIME, CertificateTime, TestClock};
use frostguard_hub::domain::{AlertStatus, AlertType, MonoMs, Severity, UnitStatus, UnixMs};
use frostguard_hub::notify::{AlertNote, Board, Failure, Kind, Message, UnitNote};
use uuid::Uuid;

pub fn message(kind: Kind) -> Message {
    Message {
        id: Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
        kind,
        severity: Severity::Critical,
        recipient: "chef@kitchen.example".into(),
        subject: "Kühlhaus: 9.5 °C".into(),
        text: "Kühlhaus is too warm: 9.5 °C.\n.\n..\nPlease look.\n".into(),
        alerts: vec![alert(1)],
        made_ms: Some(1_784_367_855_000),
    }
}

pub fn alert(unit: u128) -> AlertNote {
    AlertNote {
        id: Uuid::from_u128(900 + unit),
        unit_id: Uuid::from_u128(unit),
        unit: format!("Unit {unit}"),
        alert_type: AlertType::AlarmActive,
        severity: Severity::Critical,
        status: AlertStatus::Active,
        level: 1,
        message: "too warm".into(),
        triggered_ms: 1_784_367_255_775,
    }
}

pub fn unit(number: u128, temperature: f64) -> UnitNote {
    UnitNote {
        id: Uuid::from_u128(number),
        name: format!("Unit {number}"),
        status: UnitStatus::Ok,
        temperature: Some(temperature),
        humidity: None,
        scale: "C".into(),
        is_door_open: None,
        read_ms: Some(1_784_367_255_775),
    }
}

pub fn board(units: &[UnitNote]) -> Board {
    Board { site: "Bistro".into(), units: units.to_vec(), ..Board::default() }
}

pub fn certificate_time(now: UnixMs) -> CertificateTime {
    CertificateTime::new(Arc::new(TestClock::new(MonoMs(0), now)), UnixMs(0))
}

pub fn present() -> CertificateTime {
    certificate_time(BUILD_TIME)
}

/// `want`: "later: part of the text", or "never: ..".
#[track_caller]
pub fn check_failure<T: std::fmt::Debug>(got: Result<T, Failure>, want: &str) {
    let (kind, text) = match got.expect_err("it fails") {
        Failure::Later(text) => ("later", text),
        Failure::Never(text) => ("never", text),
    };
    let (want_kind, want_text) = want.split_once(": ").expect("a kind and a text");
    assert!(kind == want_kind && text.contains(want_text), "{kind}: {text}\nis not {want}");
}
