//! Pairing as people ask for it: open a session, name its device, look how it goes, give it up, read a shipment's keys.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::event_types::PAIRING_OPENED;
use crate::audit::{Actor, Entity};
use crate::control::{PairDevice, PairImport, PairOpen, show};
use crate::domain::{MonoMs, UnixMs};
use crate::lorawan::ids::{Eui, Key};
use crate::lorawan::personal::Personal;
use crate::lorawan::qr;
use crate::lorawan::server::{DEVICES_MAX, JoinRecord};
use crate::lorawan::session::{Activation, Device, MacVersion, Session};
use crate::pipeline::Core;
use crate::pipeline::requests::check_name;
use crate::store::lorawan::{self as devices, KeyRow};
use crate::store::pairing::{self, About, PairingRow, Status};
use crate::store::unplaced;

use super::network::Network;
use super::session::{OPEN_MS, Pairing};

/// Sessions open at once: a crew that unpacks a shipment.
const OPEN_MAX: usize = 64;
/// Sessions that `pair status` shows.
const SHOWN_MAX: u32 = 20;
/// Keys of shipments that wait for their devices.
const KEYS_MAX: usize = 10_000;
/// Without what is taken for another when read out or written down: 0 O, 1 I L, U V.
const CODE_ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARS: usize = 6;

/// What is known of the device that a session is for.
struct Named {
    dev_eui: Eui,
    join_eui: Option<Eui>,
    secrets: Secrets,
    version: MacVersion,
    name: Option<String>,
    model: Option<String>,
}

/// What it is known by over the air.
enum Secrets {
    Joins(Key),
    Personal(Personal),
}

impl Core {
    pub(in crate::pipeline) fn pair_open(&mut self, open: &PairOpen) -> Result<Value> {
        if self.network()?.pairings.len() >= OPEN_MAX {
            bail!("{OPEN_MAX} pairing sessions are open: finish or cancel one first");
        }
        let mut about = About::default();
        self.describe(&mut about, open.unit.as_deref(), open.model.as_deref(), open.name.as_deref())?;
        let code = self.new_code();
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, is_placed) = self.wall_of(stamp);
        let row = PairingRow {
            id: frostguard_sync::ids::time_ordered_id(now.0, self.random_bytes()),
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
            pairing::put(tx, &row, now)?;
            if is_placed {
                return Ok(());
            }
            for column in ["started_at", "created_at", "updated_at"] {
                unplaced::add(tx, "pairing_sessions", row.id, column, stamp)?;
            }
            let expires = crate::domain::Stamp { mono: until, ..stamp };
            unplaced::add(tx, "pairing_sessions", row.id, "expires_at", expires)
        })?;
        let unit = row.about.unit.clone();
        self.network_mut()?.pairings.push(Pairing { row, until });
        let fields = [("code", code.clone().into()), ("unit", unit.into())];
        self.note_by(Actor::Installer, PAIRING_OPENED, Entity::Hub, fields, stamp.mono);
        self.flush()?;
        let minutes = OPEN_MS / 60_000;
        let said = format!(
            "pairing {code} is open for {minutes} minutes: `frostguard-hub pair device {code} DEVEUI-OR-LABEL` names the sensor"
        );
        Ok(json!({ "said": said, "code": code }))
    }

    pub(in crate::pipeline) fn pair_device(&mut self, pair: &PairDevice) -> Result<Value> {
        let id = self.open_session(&pair.code)?;
        let named = self.name_device(pair)?;
        let dev_eui = named.dev_eui;
        if self.pairing_of(dev_eui).is_some_and(|other| other != id) {
            bail!("{dev_eui} is being paired by another session: `frostguard-hub pair status` shows it");
        }
        let network = self.network()?;
        let known = network.lns.device(dev_eui);
        let is_known = known.is_some();
        // One that never joined may have a wrong key.
        if known.is_some_and(|known| known.session.is_some()) && self.device_no(dev_eui).is_some() {
            bail!(
                "{dev_eui} is paired already; if it was reset, `frostguard-hub devices flush-nonces {dev_eui}`"
            );
        }
        if !is_known && network.lns.devices().count() >= DEVICES_MAX {
            bail!("{DEVICES_MAX} devices are the most one hub serves");
        }
        let heard = network.lns.joins_of(dev_eui).cloned();
        let mut row = self.session(id)?.row.clone();
        let is_again = row.about.dev_eui == Some(dev_eui);
        let former = row.about.dev_eui.filter(|former| *former != dev_eui);
        row.about.dev_eui = Some(dev_eui);
        row.about.join_eui = named.join_eui.or(heard.as_ref().map(|record| record.join_eui));
        row.about.version = Some(named.version);
        self.describe(&mut row.about, pair.unit.as_deref(), named.model.as_deref(), named.name.as_deref())?;
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, epoch_no) = (self.wall_of(stamp).0, self.epoch.no);
        let fresh = match named.secrets {
            Secrets::Joins(key) => Device::otaa(dev_eui, named.version, key, now),
            Secrets::Personal(Personal { dev_addr, nwk_s_key, app_s_key, accepts_reset }) => {
                let session = Session::personalised(dev_addr, nwk_s_key, app_s_key);
                Device::abp(dev_eui, named.version, session, accepts_reset)
            }
        };
        // Named once more, perhaps with its unit: a join it made meanwhile still stands.
        let key_of = |device: &Device| match &device.activation {
            Activation::Otaa { app_key } => Some(app_key.clone()),
            Activation::Abp { .. } => None,
        };
        let is_same = |device: &&Device| {
            let key = key_of(device);
            is_again && key.is_some() && key == key_of(&fresh) && device.version == fresh.version
        };
        let device = self.network()?.lns.device(dev_eui).filter(is_same).cloned().unwrap_or(fresh);
        let is_personal = device.is_personalised();
        self.store.write(|tx| {
            if let Some(former) = former {
                devices::remove_device(tx, former)?;
            }
            devices::put_device(tx, &device, epoch_no)?;
            pairing::put(tx, &row, now)
        })?;
        let network = self.network_mut()?;
        former.and_then(|former| network.lns.remove_device(former));
        network.lns.put_device(device)?;
        if let Some(open) = network.pairings.iter_mut().find(|open| open.row.id == id) {
            open.row = row;
        }
        let said = if is_personal {
            format!("waiting for the first frame of {dev_eui}; switch it on now")
        } else {
            let heard = heard.map_or_else(|| "switch it on now".to_owned(), |record| heard_text(&record));
            format!("waiting for {dev_eui} to join; {heard}")
        };
        Ok(json!({ "said": said, "eui": dev_eui }))
    }

    pub(in crate::pipeline) fn pair_cancel(&mut self, code: &str) -> Result<Value> {
        let id = self.open_session(code)?;
        self.end_pairing(id, Status::Failed, "cancelled".to_owned())?;
        self.flush()?;
        Ok(json!({ "said": format!("pairing {} is cancelled", spelled(code)) }))
    }

    pub(in crate::pipeline) fn pair_status(&mut self, code: Option<&str>) -> Result<Value> {
        self.network()?;
        let wanted = code.map(spelled);
        let zone = self.registry.zone.clone();
        let sessions: Vec<Value> = pairing::latest(self.store.connection(), SHOWN_MAX)?
            .into_iter()
            .filter(|row| wanted.as_ref().is_none_or(|code| *code == row.code))
            .map(|row| {
                json!({
                    "code": row.code, "status": row.status.as_str(), "eui": row.about.dev_eui,
                    "unit": row.about.unit, "model": row.about.model, "expires": show::local(row.expires.0, &zone),
                    "now": self.progress(&row),
                })
            })
            .collect();
        if let Some(code) = wanted.filter(|_| sessions.is_empty()) {
            bail!("no pairing {code}: `frostguard-hub pair open` begins one");
        }
        let strangers: Vec<Value> = self
            .network()?
            .lns
            .strangers()
            .into_iter()
            .map(|(eui, record)| {
                json!({
                    "eui": eui, "join_eui": record.join_eui, "joins": record.heard, "rssi": record.rssi_dbm,
                    "snr_tenths": record.snr_tenths,
                })
            })
            .collect();
        Ok(json!({ "sessions": sessions, "strangers": strangers }))
    }

    /// Keeps the keys of a shipment until its devices are paired.
    pub(in crate::pipeline) fn pair_import(&mut self, import: &PairImport) -> Result<Value> {
        let kept = devices::count_keys(self.store.connection())?;
        if kept + import.rows.len() > KEYS_MAX {
            bail!(
                "{kept} keys wait for their devices; with {} more it is over {KEYS_MAX}",
                import.rows.len()
            );
        }
        let codecs = self.settings.codecs.clone();
        let known = |name: &str| codecs.find(name).map(|model| model.name.to_owned());
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        self.store.write(|tx| {
            import.rows.iter().try_for_each(|row| {
                let row = KeyRow {
                    dev_eui: row.dev_eui,
                    join_eui: row.join_eui,
                    key: row.key.clone(),
                    version: row.version.unwrap_or_default(),
                    name: row.name.clone(),
                    model: row.model.as_deref().and_then(known),
                };
                devices::put_key(tx, &row, now)
            })
        })?;
        let count = import.rows.len();
        Ok(json!({ "said": format!("keys of {count} devices wait for their pairing"), "imported": count }))
    }

    /// What a session waits for, or how it ended.
    fn progress(&self, row: &PairingRow) -> String {
        let heard = || {
            let (dev_eui, lns) = (row.about.dev_eui?, &self.network.as_ref()?.lns);
            if lns.device(dev_eui)?.is_personalised() {
                return self.unsigned_text(dev_eui).or_else(|| Some("waits for its first frame".to_owned()));
            }
            let record = lns.joins_of(dev_eui)?;
            Some(record.trouble().map_or_else(|| heard_text(record), |trouble| trouble.to_string()))
        };
        match row.status {
            Status::Completed => "paired".to_owned(),
            Status::Failed | Status::Expired => row.about.reason.clone().unwrap_or_default(),
            Status::Pending if row.about.dev_eui.is_none() => "waits for its device to be named".to_owned(),
            Status::Pending => heard().unwrap_or_else(|| "waits for the device to join".to_owned()),
        }
    }

    /// The device by its label or EUI, with the key from wherever there is one.
    fn name_device(&self, pair: &PairDevice) -> Result<Named> {
        let text = pair.device.trim();
        let (dev_eui, label) = match Eui::parse(text) {
            Some(dev_eui) => (dev_eui, None),
            None => match qr::parse(text) {
                Ok(label) => (label.dev_eui, Some(label)),
                Err(qr::LabelError::NotALabel) => {
                    bail!("{text:?} is neither a DevEUI (16 hex digits) nor the text of a label (LW:D0:...)")
                }
                Err(error) => bail!("the label cannot be read: {error}"),
            },
        };
        let shipped = devices::key_of(self.store.connection(), dev_eui)?;
        let on_label = label.as_ref().and_then(qr::Label::app_key);
        let key = pair.key.clone().or(on_label).or(shipped.as_ref().map(|row| row.key.clone()));
        let secrets = match (pair.personal.clone(), key) {
            (Some(personal), _) => Secrets::Personal(personal),
            (None, Some(key)) => Secrets::Joins(key),
            (None, None) => bail!(
                "no key of {dev_eui} is known: give it by --key-file (\"-\": standard input), or import its shipment"
            ),
        };
        let version = match pair.version.as_deref() {
            Some(text) => MacVersion::parse(text).with_context(|| {
                format!("LoRaWAN version {text:?} is not known; use 1.0.2, 1.0.3, 1.0.4 or 1.1")
            })?,
            None => shipped.as_ref().map(|row| row.version).unwrap_or_default(),
        };
        if version == MacVersion::V1_1 && matches!(secrets, Secrets::Personal(_)) {
            bail!(
                "a personalised device of LoRaWAN 1.1 has four keys and is not served: set it to 1.0.x, or let it join"
            );
        }
        Ok(Named {
            dev_eui,
            join_eui: label.map(|label| label.join_eui).or(shipped.as_ref().and_then(|row| row.join_eui)),
            secrets,
            version,
            name: pair.name.clone().or(shipped.as_ref().and_then(|row| row.name.clone())),
            model: pair.model.clone().or(shipped.and_then(|row| row.model)),
        })
    }

    fn describe(
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

    fn open_session(&self, code: &str) -> Result<Uuid> {
        let code = spelled(code);
        let open = self.network()?.pairings.iter().find(|open| open.row.code == code);
        let open = open
            .with_context(|| format!("no pairing {code} is open: `frostguard-hub pair open` begins one"))?;
        Ok(open.row.id)
    }

    fn session(&self, id: Uuid) -> Result<&Pairing> {
        self.network()?
            .pairings
            .iter()
            .find(|open| open.row.id == id)
            .context("the pairing session has ended")
    }

    pub(super) fn network(&self) -> Result<&Network> {
        self.network.as_deref().context(NO_NETWORK)
    }

    pub(super) fn network_mut(&mut self) -> Result<&mut Network> {
        self.network.as_deref_mut().context(NO_NETWORK)
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

const NO_NETWORK: &str =
    "the hub has no network server of its own: add a [lorawan] section to its configuration";

/// As people type a code.
fn spelled(code: &str) -> String {
    code.chars().filter(|c| !matches!(c, '-' | ' ')).collect::<String>().to_ascii_uppercase()
}

fn heard_text(record: &JoinRecord) -> String {
    let rssi = record.rssi_dbm.map_or_else(String::new, |dbm| format!(" at {dbm} dBm"));
    format!("it was heard joining {} times{rssi}", record.heard)
}
