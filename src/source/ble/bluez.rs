//! What BlueZ shows on the D-Bus: an adapter that discovers, and the devices it hears.
//!
//! Discovery rather than `AdvertisementMonitor1`: a monitor tells that a device is there, not each of its advertisements;
//! it listens passively, so that what sensors say only when asked (Govee's values stand in the scan response) is not heard;
//! and many releases of BlueZ offer it only with `--experimental`.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_core::Stream;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::message::{Message, Type};
use zbus::names::OwnedUniqueName;
use zbus::{Connection, MessageStream, ObjectPath, OwnedObjectPath, Variant};

use crate::config::{BleAddress, BleSection};

/// Connecting and all calls together. BlueZ answers within a second; a bus that hangs must not.
const OPEN_MAX: Duration = Duration::from_secs(20);
/// Signals that wait while the pipeline is busy; then the bus keeps them, as far as its own limit goes.
const SIGNALS_QUEUED_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

const BLUEZ: &str = "org.bluez";
const ADAPTER: &str = "org.bluez.Adapter1";
const DEVICE: &str = "org.bluez.Device1";
const DBUS: &str = "org.freedesktop.DBus";
const MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

type Interfaces<'a> = HashMap<&'a str, HashMap<&'a str, Variant<'a>>>;

/// Something a device of the adapter advertised, or only that it did.
#[derive(Debug, Default, PartialEq)]
pub struct Advertisement {
    /// By company.
    pub manufacturer: HashMap<u16, Vec<u8>>,
    /// By UUID, as BlueZ writes it.
    pub service: HashMap<String, Vec<u8>>,
    /// dBm.
    pub rssi: Option<i16>,
}

/// What a signal says.
#[derive(Debug)]
pub enum Said {
    /// A listed device.
    Heard(BleAddress, Advertisement),
    /// Another one, by its object's name.
    HeardOther(String, Advertisement),
    Discovering(bool),
    /// The adapter or BlueZ is gone, or switched off.
    Lost(anyhow::Error),
    /// It does not have the form it should have.
    NotUnderstood(String),
    /// Of something else.
    Other,
}

/// A discovery that goes on as long as this is kept: BlueZ ends it with the connection.
pub struct Bluez {
    // Its own: what another program says in the name of BlueZ is not believed.
    owner: OwnedUniqueName,
    adapter: String,
    listed: BTreeSet<BleAddress>,
    /// Of listed devices.
    devices: HashMap<OwnedObjectPath, BleAddress>,
    stream: MessageStream,
}

impl Bluez {
    /// Begins discovery. What BlueZ remembers of devices is not taken for an advertisement: nobody knows when it was heard.
    pub async fn open(config: &BleSection) -> Result<Self> {
        match timeout(OPEN_MAX, Self::begin(config)).await {
            Ok(opened) => opened,
            Err(_elapsed) => {
                bail!("begin discovery on {}: no answer in {} s", config.adapter, OPEN_MAX.as_secs())
            }
        }
    }

    async fn begin(config: &BleSection) -> Result<Self> {
        let builder = match &config.bus {
            Some(bus) => Builder::address(bus.as_str()),
            None => Builder::system(),
        };
        let connection = builder.build().await.with_context(|| {
            let bus = config.bus.as_deref().unwrap_or("the system's");
            format!("connect to the D-Bus {bus} (is dbus installed and running?)")
        })?;
        let mut stream = MessageStream::from(&connection);
        // Nothing is read while the calls below wait for their answers.
        stream.set_max_queued(SIGNALS_QUEUED_MAX);
        for rule in [
            format!("type='signal',sender='{BLUEZ}'"),
            format!("type='signal',sender='{DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'"),
        ] {
            call(&connection, DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", &rule).await?;
        }
        let objects = call(&connection, BLUEZ, "/", MANAGER, "GetManagedObjects", &()).await?;
        let owner = objects.header().sender().context("an answer of a bus has a sender")?.to_owned().into();
        let adapter = format!("/org/bluez/{}", config.adapter);
        let listed = config.device.iter().map(|device| device.address).collect();
        let mut bluez = Self { owner, adapter, listed, devices: HashMap::new(), stream };
        bluez.look_at(&objects, config)?;

        let adapter = bluez.adapter.as_str();
        let filter = HashMap::from([
            ("Transport", Variant::from("le")),
            // Without it a value that does not change is told once.
            ("DuplicateData", Variant::from(true)),
        ]);
        call(&connection, BLUEZ, adapter, ADAPTER, "SetDiscoveryFilter", &filter).await?;
        call(&connection, BLUEZ, adapter, ADAPTER, "StartDiscovery", &()).await?;
        Ok(bluez)
    }

    fn look_at(&mut self, objects: &Message, config: &BleSection) -> Result<()> {
        let body = objects.body();
        let objects: HashMap<ObjectPath<'_>, Interfaces<'_>> =
            body.deserialize().context("read what BlueZ knows")?;
        let name = &config.adapter;
        let adapters = objects.iter().filter_map(|(path, interfaces)| {
            interfaces.get(ADAPTER).map(|properties| (path.as_str(), properties))
        });
        let adapters: HashMap<&str, _> = adapters.collect();
        let Some(properties) = adapters.get(self.adapter.as_str()) else {
            let mut others: Vec<&str> = adapters.keys().map(|path| last(path)).collect();
            others.sort_unstable();
            let others = if others.is_empty() { "no other".to_owned() } else { others.join(", ") };
            bail!(
                "there is no Bluetooth adapter {name} ({others}); is it plugged in, and not switched off by rfkill?"
            );
        };
        if properties.get("Powered") == Some(&Variant::from(false)) {
            return Err(self.off());
        }
        for (path, interfaces) in &objects {
            if let Some(device) = interfaces.get(DEVICE).filter(|_| self.is_ours(path)) {
                self.learn(path, device);
            }
        }
        Ok(())
    }

    /// The next signal.
    pub async fn next(&mut self) -> Said {
        loop {
            let message = poll_fn(|context| Pin::new(&mut self.stream).poll_next(context)).await;
            match message {
                Some(Ok(message)) if message.message_type() == Type::Signal => return self.read(&message),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Said::Lost(anyhow::Error::new(error).context("read from the D-Bus"));
                }
                None => return Said::Lost(anyhow!("the D-Bus closed the connection")),
            }
        }
    }

    fn read(&mut self, message: &Message) -> Said {
        let header = message.header();
        let sender = header.sender().map_or("", |sender| sender.as_str());
        let member = header.member().map_or("", |member| member.as_str());
        let interface = header.interface().map_or("", |interface| interface.as_str());
        let said = match (interface, member) {
            (DBUS, "NameOwnerChanged") if sender == DBUS => self.owner_changed(message),
            _ if sender != self.owner.as_str() => Ok(Said::Other),
            (MANAGER, "InterfacesAdded") => self.added(message),
            (MANAGER, "InterfacesRemoved") => self.removed(message),
            (PROPERTIES, "PropertiesChanged") => match header.path() {
                Some(path) => self.changed(path, message),
                None => Ok(Said::Other),
            },
            _ => Ok(Said::Other),
        };
        said.unwrap_or_else(|error: zbus::Error| Said::NotUnderstood(format!("{member}: {error}")))
    }

    fn owner_changed(&self, message: &Message) -> zbus::Result<Said> {
        let body = message.body();
        let (name, _, new): (&str, &str, &str) = body.deserialize()?;
        let is_lost = name == BLUEZ && new != self.owner.as_str();
        Ok(if is_lost { Said::Lost(anyhow!("BlueZ has ended or was restarted")) } else { Said::Other })
    }

    fn added(&mut self, message: &Message) -> zbus::Result<Said> {
        let body = message.body();
        let (path, interfaces): (ObjectPath<'_>, Interfaces<'_>) = body.deserialize()?;
        Ok(match interfaces.get(DEVICE) {
            Some(device) if self.is_ours(&path) => self.heard(&path, device),
            _ => Said::Other,
        })
    }

    fn removed(&mut self, message: &Message) -> zbus::Result<Said> {
        let body = message.body();
        let (path, interfaces): (ObjectPath<'_>, Vec<&str>) = body.deserialize()?;
        if path.as_str() == self.adapter && interfaces.contains(&ADAPTER) {
            return Ok(Said::Lost(anyhow!(
                "the Bluetooth adapter {} is gone; was it unplugged?",
                self.name()
            )));
        }
        if interfaces.contains(&DEVICE) {
            self.devices.remove(&OwnedObjectPath::from(path.to_owned()));
        }
        Ok(Said::Other)
    }

    fn changed(&mut self, path: &ObjectPath<'_>, message: &Message) -> zbus::Result<Said> {
        let body = message.body();
        let (interface, properties, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) = body.deserialize()?;
        let is_now = |name: &str| match properties.get(name) {
            Some(Variant::Bool(value)) => Some(*value),
            _ => None,
        };
        Ok(if interface == ADAPTER && path.as_str() == self.adapter {
            if is_now("Powered") == Some(false) {
                Said::Lost(self.off())
            } else {
                is_now("Discovering").map_or(Said::Other, Said::Discovering)
            }
        } else if interface == DEVICE && self.is_ours(path) {
            self.heard(path, &properties)
        } else {
            Said::Other
        })
    }

    /// A name alone, or a battery asked over a connection, is no advertisement.
    fn heard(&mut self, path: &ObjectPath<'_>, properties: &HashMap<&str, Variant<'_>>) -> Said {
        self.learn(path, properties);
        if !["ManufacturerData", "ServiceData", "RSSI"].iter().any(|name| properties.contains_key(name)) {
            return Said::Other;
        }
        match advertisement(properties) {
            Some(advertisement) => {
                let listed = self.devices.get(&OwnedObjectPath::from(path.to_owned()));
                match listed {
                    Some(address) => Said::Heard(*address, advertisement),
                    None => Said::HeardOther(last(path).to_owned(), advertisement),
                }
            }
            None => Said::NotUnderstood(format!("{path}: data of another form")),
        }
    }

    fn learn(&mut self, path: &ObjectPath<'_>, properties: &HashMap<&str, Variant<'_>>) {
        if let Some(Variant::Str(address)) = properties.get("Address")
            && let Some(address) = BleAddress::parse(address)
            && self.listed.contains(&address)
        {
            self.devices.insert(path.to_owned().into(), address);
        }
    }

    fn is_ours(&self, path: &ObjectPath<'_>) -> bool {
        path.strip_prefix(self.adapter.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    fn name(&self) -> &str {
        last(&self.adapter)
    }

    fn off(&self) -> anyhow::Error {
        let name = self.name();
        anyhow!(
            "the Bluetooth adapter {name} is switched off: `rfkill unblock bluetooth`, `bluetoothctl power on`"
        )
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

async fn call<B: serde::Serialize + zbus::DynamicType>(
    connection: &Connection,
    destination: &str,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> Result<Message> {
    let answer = connection.call_method(Some(destination), path, Some(interface), method, body).await;
    answer.map_err(|error| {
        let remedy = remedy(&error);
        anyhow::Error::new(error).context(format!("call {interface}.{method} at {path}{remedy}"))
    })
}

/// What to do about a call that fails, where that is known; ends the sentence.
fn remedy(error: &zbus::Error) -> &'static str {
    use zbus::fdo::Error as Bus;
    match error {
        zbus::Error::FDO(error) => match **error {
            Bus::ServiceUnknown(_) | Bus::NameHasNoOwner(_) | Bus::SpawnServiceNotFound(_) => {
                " (BlueZ is not running: install bluez, `systemctl enable --now bluetooth`)"
            }
            Bus::AccessDenied(_) => " (add the hub's user to group bluetooth)",
            _ => "",
        },
        zbus::Error::MethodError(name, _, _) => match name.as_str() {
            "org.bluez.Error.NotReady" => {
                " (the adapter is switched off: `rfkill unblock bluetooth`, `bluetoothctl power on`)"
            }
            _ => "",
        },
        _ => "",
    }
}

fn advertisement(properties: &HashMap<&str, Variant<'_>>) -> Option<Advertisement> {
    let mut out = Advertisement::default();
    if let Some(data) = properties.get("ManufacturerData") {
        for (company, data) in HashMap::<u16, Variant<'_>>::try_from(data.clone()).ok()? {
            out.manufacturer.insert(company, bytes(data)?);
        }
    }
    if let Some(data) = properties.get("ServiceData") {
        for (uuid, data) in HashMap::<String, Variant<'_>>::try_from(data.clone()).ok()? {
            out.service.insert(uuid, bytes(data)?);
        }
    }
    if let Some(rssi) = properties.get("RSSI") {
        out.rssi = Some(i16::try_from(rssi).ok()?);
    }
    Some(out)
}

fn bytes(data: Variant<'_>) -> Option<Vec<u8>> {
    match data {
        Variant::Variant(inner) => bytes(*inner),
        data => Vec::try_from(data).ok(),
    }
}
