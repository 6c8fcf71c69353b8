//! Pairing as people ask for it: open a session, name its sensor, look how it goes, give it up.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::event_types::PAIRING_OPENED;
use crate::audit::{Actor, Entity};
use crate::control::{PairDevice, PairOpen, show};
use crate::domain::{MonoMs, Stamp, UnixMs};
use crate::pipeline::Core;
use crate::pipeline::requests::check_name;
use crate::pipeline::vitals::Astray;
use crate::store::pairing::{self as rows, About, PairingRow, Status};
use crate::store::unplaced;

use super::{OPEN_MS, Pairing};

/// Sessions open at once: a crew that unpacks a shipment.
const OPEN_MAX: usize = 64;
/// Sessions that `pair status` shows.
const SHOWN_MAX: u32 = 20;
/// Without what is taken for another when read out or written down: 0 O, 1 I L, U V.
const CODE_ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARS: usize = 6;

impl Core {
    pub(in crate::pipeline) fn pair_open(&mut self, open: &PairOpen) -> Result<Value> {
        if self.pairings.len() >= OPEN_MAX {
            bail!("{OPEN_MAX} pairing sessions are open: finish or cancel one first");
        }
        let mut about = About::default();
        self.describe(&mut about, open.unit.as_deref(), open.model.as_deref(), open.name.as_deref())?;
        let code = self.new_code();
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, is_placed) = self.wall_of(stamp);
        let row = PairingRow {
            id: self.new_id(stamp),
            device: None,
            status: Status::Pending,
            code: code.clone(),
            started: now,
            completed: None,
            expires: UnixMs(now.0 + OPEN_MS),
            about,
        };
        let until = MonoMs(stamp.mono.0 + OPEN_MS);
        self.store.write(|tx| {
            rows::put(tx, &row, now)?;
            if is_placed {
                return Ok(());
            }
            for column in ["started_at", "created_at", "updated_at"] {
                unplaced::add(tx, "pairing_sessions", row.id, column, stamp)?;
            }
            let expires = Stamp { mono: until, ..stamp };
            unplaced::add(tx, "pairing_sessions", row.id, "expires_at", expires)
        })?;
        let unit = row.about.unit.clone();
        self.pairings.push(Pairing::new(row, until));
        let fields = [("code", code.clone().into()), ("unit", unit.into())];
        self.note_by(Actor::Installer, PAIRING_OPENED, Entity::Hub, fields, stamp.mono);
        self.flush()?;
        let minutes = OPEN_MS / 60_000;
        let by_address = "ADDRESS --source SOURCE --port PORT`";
        let how = match self.network {
            Some(_) => {
                format!("DEVEUI-OR-LABEL` names the sensor (one that does not join here: `... {by_address})")
            }
            None => format!("{by_address} names the sensor"),
        };
        let said =
            format!("pairing {code} is open for {minutes} minutes: `frostguard-hub pair device {code} {how}");
        Ok(json!({ "said": said, "code": code }))
    }

    pub(in crate::pipeline) fn pair_device(&mut self, pair: &PairDevice) -> Result<Value> {
        match pair.source.as_deref() {
            Some(source) => self.pair_sender(pair, source),
            None => self.pair_joining(pair),
        }
    }

    pub(in crate::pipeline) fn pair_cancel(&mut self, code: &str) -> Result<Value> {
        let id = self.open_pairing(code)?;
        self.end_pairing(id, Status::Failed, "cancelled".to_owned())?;
        self.flush()?;
        Ok(json!({ "said": format!("pairing {} is cancelled", spelled(code)) }))
    }

    pub(in crate::pipeline) fn pair_status(&mut self, code: Option<&str>) -> Result<Value> {
        let wanted = code.map(spelled);
        let zone = self.registry.zone.clone();
        let sessions: Vec<Value> = rows::latest(self.store.connection(), SHOWN_MAX)?
            .into_iter()
            .filter(|row| wanted.as_ref().is_none_or(|code| *code == row.code))
            .map(|row| {
                json!({
                    "code": row.code, "status": row.status.as_str(), "eui": row.about.dev_eui,
                    "sensor": row.about.named(), "unit": row.about.unit, "model": row.about.model,
                    "expires": show::local(row.expires.0, &zone), "now": self.progress(&row),
                })
            })
            .collect();
        if let Some(code) = wanted.filter(|_| sessions.is_empty()) {
            bail!("no pairing {code}: `frostguard-hub pair open` begins one");
        }
        Ok(json!({ "sessions": sessions, "strangers": self.strangers_joining() }))
    }

    /// What a session waits for, or how it ended.
    fn progress(&self, row: &PairingRow) -> String {
        match row.status {
            Status::Completed => {
                let device = self.registry.devices.iter().find(|device| Some(device.id) == row.device);
                let astray = device.and_then(|device| self.astray(device));
                astray.map_or("paired".to_owned(), |Astray { found, todo }| {
                    format!("paired; it {found}: {todo}")
                })
            }
            Status::Failed | Status::Expired => row.about.reason.clone().unwrap_or_default(),
            Status::Pending => match (&row.about.sender, row.about.dev_eui) {
                (Some(_), _) => {
                    let open = self.pairings.iter().find(|open| open.row.id == row.id);
                    let trouble = open.and_then(Pairing::undecoded);
                    trouble.unwrap_or_else(|| "waits for its first frame".to_owned())
                }
                (None, Some(dev_eui)) => self.join_progress(dev_eui),
                (None, None) => "waits for its sensor to be named".to_owned(),
            },
        }
    }

    /// Says in a session what is known of its sensor.
    pub(in crate::pipeline) fn describe(
        &self,
        about: &mut About,
        unit: Option<&str>,
        model: Option<&str>,
        name: Option<&str>,
    ) -> Result<()> {
        if let Some(text) = unit {
            let unit = self.registry.find_unit(text);
            let unit =
                unit.with_context(|| format!("no unit {text:?}: `frostguard-hub units list` shows them"))?;
            (about.unit_no, about.unit) = (Some(unit.no.0), Some(unit.name.clone()));
        }
        if let Some(text) = model {
            let model = self.settings.codecs.find(text).with_context(|| {
                format!("no codec for model {text:?}; `frostguard-hub devices models` lists the known ones")
            })?;
            about.model = Some(model.name.to_owned());
        }
        if let Some(name) = name {
            check_name(name)?;
            about.name = Some(name.to_owned());
        }
        Ok(())
    }

    pub(in crate::pipeline) fn open_pairing(&self, code: &str) -> Result<Uuid> {
        let code = spelled(code);
        let open = self.pairings.iter().find(|open| open.row.code == code);
        let open = open
            .with_context(|| format!("no pairing {code} is open: `frostguard-hub pair open` begins one"))?;
        Ok(open.row.id)
    }

    /// Every character as likely as another: bytes beyond the last whole alphabet are left out.
    fn new_code(&mut self) -> String {
        let mut code = String::new();
        while code.len() < CODE_CHARS {
            let [byte] = self.random_bytes();
            if byte < 240 {
                code.push(char::from(CODE_ALPHABET[usize::from(byte % 30)]));
            }
        }
        code
    }
}

/// As people type a code.
fn spelled(code: &str) -> String {
    code.chars().filter(|c| !matches!(c, '-' | ' ')).collect::<String>().to_ascii_uppercase()
}
