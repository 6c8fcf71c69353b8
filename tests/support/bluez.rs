//! A private D-Bus, and on it a stand-in for BlueZ: there is no radio where tests run. The bus is the real one, and so is
//! the way things are said on it; what is said are the interfaces that BlueZ documents.
//!
//! Not a part of `support`, since only test crates of the hub have what it needs.
#![allow(dead_code, reason = "no test crate uses all of it")]

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use zbus::fdo::ObjectManager;
use zbus::{Connection, OwnedVariant, Variant, interface};

use crate::support::{Running, Scratch, Signal, dbus_daemon_program};

const ADAPTER: &str = "/org/bluez/hci0";

/// A bus of the test's own.
pub struct Bus {
    // Before the directory: fields drop in order.
    process: Option<Running>,
    scratch: Scratch,
}

impl Bus {
    #[track_caller]
    pub fn start() -> Self {
        let scratch = Scratch::new("bus");
        let text = format!(
            "<busconfig><type>system</type><listen>{}</listen><auth>EXTERNAL</auth>\
             <policy context='default'><allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>\
             <allow own='*'/></policy></busconfig>",
            address(&scratch)
        );
        scratch.write("bus.conf", &text);
        let mut bus = Self { process: None, scratch };
        bus.restart();
        bus
    }

    pub fn address(&self) -> String {
        address(&self.scratch)
    }

    /// Ends it without a word to anybody.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::Kill);
        }
    }

    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        let socket = self.scratch.join("socket");
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(dbus_daemon_program());
        command.arg("--nofork").arg("--config-file").arg(self.scratch.join("bus.conf"));
        let mut process = Running::start("dbus-daemon", &mut command, &self.scratch.join("log"));
        process.wait_until("the bus to listen", || UnixStream::connect(&socket).ok());
        self.process = Some(process);
    }
}

fn address(scratch: &Scratch) -> String {
    format!("unix:path={}", scratch.join("socket").display())
}

/// What a device sends: manufacturer's data by company, service data by UUID, and how loud.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub manufacturer: Option<(u16, Vec<u8>)>,
    pub service: Option<(String, Vec<u8>)>,
    pub rssi: Option<i16>,
}

impl Sent {
    pub fn manufacturer(company: u16, data: &[u8], rssi: i16) -> Self {
        Self { manufacturer: Some((company, data.to_vec())), rssi: Some(rssi), ..Self::default() }
    }

    pub fn service(uuid: &str, data: &[u8], rssi: i16) -> Self {
        Self { service: Some((uuid.to_owned(), data.to_vec())), rssi: Some(rssi), ..Self::default() }
    }

    /// As properties of `Device1`.
    fn properties(&self) -> HashMap<&'static str, Variant<'static>> {
        let mut properties = HashMap::new();
        if let Some((company, data)) = self.manufacturer.clone() {
            properties.insert("ManufacturerData", HashMap::from([(company, Variant::from(data))]).into());
        }
        if let Some((uuid, data)) = self.service.clone() {
            properties.insert("ServiceData", HashMap::from([(uuid, Variant::from(data))]).into());
        }
        if let Some(rssi) = self.rssi {
            properties.insert("RSSI", rssi.into());
        }
        properties
    }
}

/// The stand-in.
pub struct StandInBluez {
    connection: Connection,
    asked: Arc<Mutex<Asked>>,
}

/// What was asked of the adapter.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub filter: HashMap<String, OwnedVariant>,
    pub discoveries: u32,
}

impl StandInBluez {
    /// Takes BlueZ's name, without an adapter yet.
    pub async fn start(bus: &Bus) -> Self {
        let connection = connect(bus).await;
        connection.object_server().at("/", ObjectManager).await.expect("serve the object manager");
        connection.request_name("org.bluez").await.expect("take BlueZ's name");
        Self { connection, asked: Arc::default() }
    }

    /// Plugs the adapter in.
    pub async fn plug(&self, powered: bool) {
        let adapter = Adapter { asked: self.asked.clone(), powered };
        let is_new = self.connection.object_server().at(ADAPTER, adapter).await.expect("serve the adapter");
        assert!(is_new.is_none(), "the adapter is plugged in already");
    }

    /// Takes it away with all its devices.
    pub async fn unplug(&self, devices: &[&str]) {
        let server = self.connection.object_server();
        for address in devices {
            server.remove::<Device, _>(device_path(address)).await.expect("remove a device");
        }
        server.remove::<Adapter, _>(ADAPTER).await.expect("remove the adapter");
    }

    /// How often discovery was begun, and with which filter.
    pub fn asked(&self) -> Asked {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A device is heard for the first time.
    pub async fn appear(&self, address: &str, sent: Sent) {
        let device = Device { address: address.to_owned(), sent };
        self.connection.object_server().at(device_path(address), device).await.expect("serve a device");
    }

    /// A device that is known sends again.
    pub async fn send(&self, address: &str, sent: &Sent) {
        self.change(&device_path(address), "org.bluez.Device1", sent.properties()).await;
    }

    /// The adapter says something of itself.
    pub async fn say(&self, property: &'static str, value: bool) {
        self.change(ADAPTER, "org.bluez.Adapter1", HashMap::from([(property, value.into())])).await;
    }

    pub async fn change(&self, path: &str, interface: &str, properties: HashMap<&str, Variant<'_>>) {
        change(&self.connection, path, interface, properties).await;
    }

    /// Ends as a daemon does that is restarted.
    pub async fn end(self) {
        self.connection.close().await.expect("close the connection");
    }
}

/// Another program of the bus that speaks as if it were BlueZ.
pub async fn forge(bus: &Bus, address: &str, sent: &Sent) {
    let connection = connect(bus).await;
    change(&connection, &device_path(address), "org.bluez.Device1", sent.properties()).await;
    // Answered after the signal was taken.
    let asked =
        connection.call_method(Some("org.freedesktop.DBus"), "/", Some("org.freedesktop.DBus"), "GetId", &());
    asked.await.expect("the bus answers");
}

/// How many programs are on the bus, the asking one too.
pub async fn connections(bus: &Bus) -> usize {
    let connection = connect(bus).await;
    let dbus = "org.freedesktop.DBus";
    let answer = connection.call_method(Some(dbus), "/", Some(dbus), "ListNames", &()).await;
    let answer = answer.expect("the bus answers");
    let body = answer.body();
    let names: Vec<&str> = body.deserialize().expect("a list of names");
    names.iter().filter(|name| name.starts_with(':')).count()
}

async fn connect(bus: &Bus) -> Connection {
    let builder = zbus::connection::Builder::address(bus.address().as_str());
    builder.build().await.expect("connect to the private bus")
}

async fn change(
    connection: &Connection,
    path: &str,
    interface: &str,
    properties: HashMap<&str, Variant<'_>>,
) {
    let body = (interface, properties, Vec::<&str>::new());
    let none = None::<&str>;
    let told =
        connection.emit_signal(none, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body);
    told.await.expect("tell the bus");
}

pub fn device_path(address: &str) -> String {
    format!("{ADAPTER}/dev_{}", address.replace(':', "_"))
}

struct Adapter {
    asked: Arc<Mutex<Asked>>,
    powered: bool,
}

#[interface(name = "org.bluez.Adapter1")]
impl Adapter {
    fn set_discovery_filter(&self, filter: HashMap<String, OwnedVariant>) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).filter = filter;
    }

    fn start_discovery(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).discoveries += 1;
    }

    #[zbus(property)]
    fn powered(&self) -> bool {
        self.powered
    }
}

struct Device {
    address: String,
    sent: Sent,
}

#[interface(name = "org.bluez.Device1")]
impl Device {
    #[zbus(property)]
    fn address(&self) -> String {
        self.address.clone()
    }

    #[zbus(property)]
    fn manufacturer_data(&self) -> HashMap<u16, Variant<'static>> {
        self.sent.manufacturer.iter().map(|(company, data)| (*company, data.clone().into())).collect()
    }

    #[zbus(property)]
    fn service_data(&self) -> HashMap<String, Variant<'static>> {
        self.sent.service.iter().map(|(uuid, data)| (uuid.clone(), data.clone().into())).collect()
    }

    #[zbus(property, name = "RSSI")]
    fn rssi(&self) -> i16 {
        self.sent.rssi.unwrap_or(-127)
    }
}
