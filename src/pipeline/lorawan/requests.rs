//! Gateways and nonces as people ask for them.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::audit::event_types::{GATEWAY_LISTED, GATEWAY_UNLISTED, NONCES_FLUSHED};
use crate::audit::{Actor, Entity};
use crate::control::{GatewaysAdd, show};
use crate::lorawan::ids::Eui;
use crate::pipeline::Core;
use crate::pipeline::group::Write;
use crate::pipeline::requests::check_name;
use crate::store::lorawan::{self as rows, GatewayRow};

use super::network::{GATEWAYS_MAX, Gateway};

impl Core {
    pub(in crate::pipeline) fn list_gateways(&mut self) -> Result<Value> {
        self.date_contacts();
        let zone = self.registry.zone.clone();
        let network = self.network()?;
        let listed: Vec<Value> = network
            .gateways
            .values()
            .map(|gateway| {
                let row = &gateway.row;
                json!({
                    "eui": row.eui, "name": row.name,
                    "listed_by": if row.is_configured { "configuration" } else { "command" },
                    "last_contact": row.last_contact.map(|at| show::local(at.0, &zone)),
                    "last_contact_ms": row.last_contact.map(|at| at.0),
                    "frames": row.frames, "answers": row.answers, "refused_answers": row.refused_answers,
                    "radio": gateway.radio.shown(),
                })
            })
            .collect();
        let strangers: Vec<&Eui> = network.strangers.keys().collect();
        Ok(json!({ "gateways": listed, "strangers": strangers }))
    }

    pub(in crate::pipeline) fn add_gateway(&mut self, add: &GatewaysAdd) -> Result<Value> {
        let eui = gateway_eui(&add.eui)?;
        if let Some(name) = &add.name {
            check_name(name)?;
        }
        let network = self.network()?;
        if network.gateways.contains_key(&eui) {
            bail!("gateway {eui} is listed already");
        }
        if network.gateways.len() >= GATEWAYS_MAX {
            bail!("a hub has at most {GATEWAYS_MAX} gateways");
        }
        let row = GatewayRow::new(eui, add.name.clone(), false);
        self.store.write(|tx| rows::put_gateway(tx, &row))?;
        let network = self.network_mut()?;
        network.gateways.insert(eui, Gateway::new(row));
        network.tell_listed();
        let at = self.stamp_now().mono;
        self.note_by(Actor::Installer, GATEWAY_LISTED, Entity::Hub, [("eui", eui.to_string().into())], at);
        self.flush()?;
        Ok(json!({ "said": format!("frames of gateway {eui} are taken now") }))
    }

    pub(in crate::pipeline) fn remove_gateway(&mut self, eui: &str) -> Result<Value> {
        let eui = gateway_eui(eui)?;
        let gateway = self.network()?.gateways.get(&eui);
        let gateway = gateway.with_context(|| format!("gateway {eui} is not listed"))?;
        if gateway.row.is_configured {
            bail!("gateway {eui} stands in the configuration under [lorawan] gateways: take it out there");
        }
        self.store.write(|tx| rows::remove_gateway(tx, eui))?;
        let network = self.network_mut()?;
        network.gateways.remove(&eui);
        network.tell_listed();
        let at = self.stamp_now().mono;
        self.note_by(Actor::Installer, GATEWAY_UNLISTED, Entity::Hub, [("eui", eui.to_string().into())], at);
        self.flush()?;
        Ok(json!({ "said": format!("frames of gateway {eui} are taken no more") }))
    }

    /// Lets a device that was reset join with nonces it used before.
    pub(in crate::pipeline) fn flush_nonces(&mut self, device: &str) -> Result<Value> {
        let known = self.registry.find_device(device).and_then(|device| Eui::parse(&device.eui));
        let dev_eui = known.or_else(|| Eui::parse(device));
        let flushed =
            dev_eui.map(|eui| Ok::<_, anyhow::Error>(self.network_mut()?.lns.flush_dev_nonces(eui)));
        let Some(change) = flushed.transpose()?.flatten() else {
            bail!(
                "no device {device:?} joins at this hub: `frostguard-hub devices list` shows the paired ones"
            );
        };
        let (at, dev_eui) = (self.stamp_now().mono, change.dev_eui());
        self.group.opened.get_or_insert(at);
        self.group.push(Write::Session(Box::new(change)));
        let fields = [("eui", dev_eui.to_string().into())];
        self.note_by(Actor::Installer, NONCES_FLUSHED, Entity::Hub, fields, at);
        self.flush()?;
        Ok(json!({ "said": format!("{dev_eui} may join anew: switch it off and on") }))
    }
}

fn gateway_eui(text: &str) -> Result<Eui> {
    Eui::parse(text)
        .with_context(|| format!("{text:?} is no gateway EUI: 16 hex digits, as its own page shows"))
}
