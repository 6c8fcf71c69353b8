//! Pairing of a sensor that joins at the hub itself, or is personalised for it: by its label, its EUI and its key. And the keys of
//! a shipment, which wait for their devices.

use anyhow::{Context, Result, bail};
use rusqlite::Transaction;
use serde_json::{Value, json};

use crate::control::{PairDevice, PairImport};
use crate::domain::UnixMs;
use crate::lorawan::ids::{Eui, Key};
use crate::lorawan::personal::Personal;
use crate::lorawan::qr;
use crate::lorawan::server::{DEVICES_MAX, JoinRecord};
use crate::lorawan::session::{Activation, Device, MacVersion, Session};
use crate::pipeline::{Core, report};
use crate::store::StoreError;
use crate::store::lorawan::{self as devices, KeyRow};
use crate::store::pairing::{self, KnownDevice};

use super::network::Network;

/// Keys of shipments that wait for their devices.
const KEYS_MAX: usize = 10_000;

/// What is known of the device that a session is for.
struct Named {
    dev_eui: Eui,
    join_eui: Option<Eui>,
    secrets: Secrets,
    version: Option<MacVersion>,
    name: Option<String>,
    model: Option<String>,
}

/// What it is known by over the air.
enum Secrets {
    Joins(Key),
    Personal(Personal),
}

/// What the network server knew of a device before a session named it.
pub(in crate::pipeline) enum Former {
    Unknown(Eui),
    /// There is no network server to ask.
    Left,
    /// It is read, and goes on with the key it joined with.
    Read(Box<Device>),
}

impl Former {
    pub fn write(&self, tx: &Transaction<'_>, epoch_no: u32) -> Result<(), StoreError> {
        match self {
            Former::Left => Ok(()),
            Former::Unknown(dev_eui) => devices::remove_device(tx, *dev_eui),
            Former::Read(device) => devices::put_device(tx, device, epoch_no),
        }
    }
}

impl Core {
    pub(in crate::pipeline) fn pair_joining(&mut self, pair: &PairDevice) -> Result<Value> {
        self.network()?;
        let id = self.open_pairing(&pair.code)?;
        let named = self.name_device(pair)?;
        let dev_eui = named.dev_eui;
        if self.pairing_of(dev_eui).is_some_and(|other| other != id) {
            bail!("{dev_eui} is being paired by another session: `frostguard-hub pair status` shows it");
        }
        if let Some(KnownDevice { is_active: false, .. }) =
            pairing::known_device(self.store.connection(), &dev_eui.to_string())?
        {
            bail!("{dev_eui} is switched off in the central product: activate it there");
        }
        let lns = &self.network()?.lns;
        if lns.device(dev_eui).is_none() && lns.devices().count() >= DEVICES_MAX {
            bail!("{DEVICES_MAX} devices are the most one hub serves");
        }
        let heard = lns.joins_of(dev_eui).cloned();
        let mut row = self.pairing(id)?.row.clone();
        let is_again = row.about.dev_eui == Some(dev_eui);
        let former = row.about.dev_eui.filter(|former| *former != dev_eui);
        let former = former.map(|former| self.as_before(former));
        self.describe(&mut row.about, pair.unit.as_deref(), named.model.as_deref(), named.name.as_deref())?;
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, epoch_no) = (self.wall_of(stamp).0, self.epoch.no);
        let device = self.device_to_join(dev_eui, named.secrets, named.version, (is_again, now))?;
        (row.about.dev_eui, row.about.sender) = (Some(dev_eui), None);
        row.about.join_eui = named.join_eui.or(heard.as_ref().map(|record| record.join_eui));
        row.about.version = Some(device.version);
        let is_personal = device.is_personalised();
        self.store.write(|tx| {
            former.as_ref().map_or(Ok(()), |former| former.write(tx, epoch_no))?;
            devices::put_device(tx, &device, epoch_no)?;
            pairing::put(tx, &row, now)
        })?;
        if let Some(former) = former {
            self.take_back(former);
        }
        self.network_mut()?.lns.put_device(device)?;
        if let Some(open) = self.pairings.iter_mut().find(|open| open.row.id == id) {
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

    /// The device as the network server is to know it. `again`: its session named it before, and now is the time.
    fn device_to_join(
        &self,
        dev_eui: Eui,
        secrets: Secrets,
        version: Option<MacVersion>,
        (is_again, now): (bool, UnixMs),
    ) -> Result<Device> {
        let known = self.network()?.lns.device(dev_eui);
        let read = known.filter(|_| self.is_read(dev_eui));
        let key = match secrets {
            Secrets::Joins(key) => key,
            Secrets::Personal(_) if read.is_some() => bail!("{}", paired_already(dev_eui)),
            Secrets::Personal(Personal { dev_addr, nwk_s_key, app_s_key, accepts_reset }) => {
                let session = Session::personalised(dev_addr, nwk_s_key, app_s_key);
                return Ok(Device::abp(dev_eui, version.unwrap_or_default(), session, accepts_reset));
            }
        };
        let is_same = known.is_some_and(|known| {
            let is_key = matches!(&known.activation, Activation::Otaa { app_key, .. } if *app_key == key);
            is_key && version.is_none_or(|version| version == known.version)
        });
        match (known, read) {
            // Named once more, perhaps with its unit: a join it made meanwhile still stands.
            (Some(known), _) if is_same && is_again => Ok(known.clone()),
            (_, Some(_)) if is_same => bail!("{}", paired_already(dev_eui)),
            // One that central made, or whose join an earlier session saw.
            (Some(known), None) if is_same => Ok(known.clone()),
            (_, Some(read)) if read.is_personalised() => bail!("{}", paired_already(dev_eui)),
            // It was given another key, or the one it was paired with got lost.
            (_, Some(read)) => Ok(read.clone().with_key(version.unwrap_or(read.version), key)),
            (_, None) => Ok(Device::otaa(dev_eui, version.unwrap_or_default(), key, now)),
        }
    }

    /// It is a device of this hub, and its frames are taken.
    fn is_read(&self, dev_eui: Eui) -> bool {
        let device = self.network.as_ref().and_then(|network| network.lns.device(dev_eui));
        device.is_some_and(Device::was_heard) && self.device_no(dev_eui).is_some()
    }

    /// What the network server would know of a device if no session had named it.
    pub(in crate::pipeline) fn as_before(&self, dev_eui: Eui) -> Former {
        let Some(network) = &self.network else {
            let is_device = self.device_no(dev_eui).is_some();
            return if is_device { Former::Left } else { Former::Unknown(dev_eui) };
        };
        let Some(device) = network.lns.device(dev_eui).filter(|_| self.is_read(dev_eui)) else {
            return Former::Unknown(dev_eui);
        };
        Former::Read(Box::new(device.clone().with_former_key()))
    }

    pub(in crate::pipeline) fn take_back(&mut self, former: Former) {
        let Some(network) = &mut self.network else { return };
        match former {
            Former::Left => {}
            Former::Unknown(dev_eui) => {
                network.lns.remove_device(dev_eui);
                // Central may have a key for it, all the same.
                report(self.load_central_sensors(), "let a sensor of central join again");
            }
            Former::Read(device) => {
                report(network.lns.put_device(*device).map_err(Into::into), "keep a sensor's former key");
            }
        }
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

    /// The device by its label or EUI, with the key from wherever there is one.
    fn name_device(&self, pair: &PairDevice) -> Result<Named> {
        let text = pair.device.trim();
        let (dev_eui, label) = match Eui::parse(text) {
            Some(dev_eui) => (dev_eui, None),
            None => match qr::parse(text) {
                Ok(label) => (label.dev_eui, Some(label)),
                // The text is not repeated: it may be most of a key.
                Err(qr::LabelError::NotALabel) => {
                    bail!(
                        "that is neither a DevEUI (16 hex digits) nor the text of a label (LW:D0:...); what does not join here is \
                         named with --source and --port"
                    )
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
            (None, None) if self.is_read(dev_eui) => bail!("{}", paired_already(dev_eui)),
            (None, None) => bail!(
                "no key of {dev_eui} is known: give it by --key-file (\"-\": standard input), or import its shipment"
            ),
        };
        let version = match pair.version.as_deref() {
            Some(text) => Some(MacVersion::parse(text).with_context(|| {
                format!("LoRaWAN version {text:?} is not known; use 1.0.2, 1.0.3, 1.0.4 or 1.1")
            })?),
            None => shipped.as_ref().map(|row| row.version),
        };
        if version == Some(MacVersion::V1_1) && matches!(secrets, Secrets::Personal(_)) {
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

    pub(super) fn network(&self) -> Result<&Network> {
        self.network.as_deref().context(NO_NETWORK)
    }

    pub(super) fn network_mut(&mut self) -> Result<&mut Network> {
        self.network.as_deref_mut().context(NO_NETWORK)
    }
}

const NO_NETWORK: &str = "the hub has no network server of its own: add a [lorawan] section to its configuration; a sensor that \
                          does not join is named with --source and --port";

fn paired_already(dev_eui: Eui) -> String {
    format!(
        "{dev_eui} is paired already; if it was reset, `frostguard-hub devices flush-nonces {dev_eui}`; if it has another key \
         now, give that by --key-file"
    )
}

pub(super) fn heard_text(record: &JoinRecord) -> String {
    let rssi = record.rssi_dbm.map_or_else(String::new, |dbm| format!(" at {dbm} dBm"));
    format!("it was heard joining {} times{rssi}", record.heard)
}
