//! The models: what each is called, where and how often it sends, what it measures, and which decoder reads it.

use super::script::{Run, Script};
use super::{CodecError, Decoded, PacketNumber, Part};
use super::{
    adeunis, advertisement, browan, cayenne, decentlab, dragino, elsys, enless, laird, mclimate, milesight,
    netvox, tektelic,
};
use crate::domain::{Probe, UnixMs};

/// LoRaWAN's usual application port.
const DEFAULT_PORT: u8 = 1;

/// Advertisements come every few seconds; the hub takes one a minute, a gateway hands on one in a minute or in five.
const ADVERTISEMENT_S: u32 = 300;

/// A device type this hub can decode.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// "vendor/model", lower case.
    pub name: &'a str,
    /// The ports it sends on. Empty: any, since the port is configured on the device.
    pub ports: &'a [u8],
    /// How often it sends when nobody changed that, in seconds, by the maker's manual.
    pub check_in_s: u32,
    /// The probe that measures the cold room: the one on a cable where the model has one.
    pub measuring: Probe,
    /// What it measures: "temperature", "humidity", "door", "leak", "battery" (the names of the `decode` command).
    pub quantities: &'a [&'static str],
    codec: Codec<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Codec<'a> {
    AdeunisComfort,
    AdeunisTemp4,
    Advertisement(advertisement::Format),
    Browan(browan::Kind),
    Cayenne,
    Decentlab(&'static [decentlab::Block]),
    Dragino(dragino::Kind),
    Elsys { has_door: bool },
    Enless(&'static enless::Transmitter),
    Laird(laird::Kind),
    MclimateFlood,
    MclimateHt,
    Milesight(&'static milesight::Shape),
    Netvox(&'static netvox::Device),
    Script(&'a Script),
    Tektelic(tektelic::Kind),
}

impl<'a> Model<'a> {
    /// The model that a script decodes.
    pub(super) fn of_script(
        script: &'a Script,
        name: &'a str,
        ports: &'a [u8],
        check_in_s: u32,
        measuring: Probe,
        quantities: &'a [&'static str],
    ) -> Self {
        Self { name, ports, check_in_s, measuring, quantities, codec: Codec::Script(script) }
    }

    /// The port that [`NO_PORT`](super::NO_PORT) means.
    pub fn default_port(&self) -> u8 {
        self.ports.first().copied().unwrap_or(DEFAULT_PORT)
    }

    pub fn measures(&self, quantity: &str) -> bool {
        self.quantities.contains(&quantity)
    }

    /// The part of a Bluetooth advertisement that it is read from; None: it does not advertise.
    pub fn advertised(&self) -> Option<Part> {
        match self.codec {
            Codec::Advertisement(format) => Some(format.part()),
            _ => None,
        }
    }

    /// The number of the packet in the data it advertises, where its format has one.
    pub fn packet_number(&self, data: &[u8]) -> Option<PacketNumber> {
        match self.codec {
            Codec::Advertisement(format) => advertisement::packet_number(format, data),
            _ => None,
        }
    }

    /// True of a user's script.
    pub fn is_script(&self) -> bool {
        matches!(self.codec, Codec::Script(_))
    }

    /// Decodes a payload from one of its ports; a script's is run by `run`.
    pub(super) fn decode(
        &self,
        f_port: u8,
        bytes: &[u8],
        received: Option<UnixMs>,
        run: &mut Run<'_>,
    ) -> Result<Decoded, CodecError> {
        let measurements = match self.codec {
            Codec::AdeunisComfort => adeunis::comfort(bytes),
            Codec::AdeunisTemp4 => adeunis::temp_4(bytes),
            Codec::Advertisement(format) => advertisement::decode(format, bytes),
            Codec::Browan(kind) => browan::decode(kind, bytes),
            Codec::Cayenne => cayenne::decode(bytes),
            Codec::Decentlab(blocks) => decentlab::decode(blocks, bytes),
            Codec::Dragino(kind) => dragino::decode(kind, f_port, bytes, received),
            Codec::Elsys { has_door } => elsys::decode(bytes, has_door, received),
            Codec::Enless(transmitter) => enless::decode(transmitter, bytes),
            Codec::Laird(kind) => laird::decode(kind, bytes),
            Codec::MclimateFlood => mclimate::flood(bytes),
            Codec::MclimateHt => mclimate::ht(bytes),
            Codec::Milesight(shape) => milesight::decode(shape, bytes),
            Codec::Netvox(device) => netvox::decode(device, f_port, bytes),
            Codec::Tektelic(kind) => tektelic::decode(kind, f_port, bytes),
            Codec::Script(script) => return script.decode(f_port, bytes, received, run),
        }?;
        Ok(Decoded { measurements, warnings: 0 })
    }
}

/// All models, by name.
pub fn models() -> &'static [Model<'static>] {
    MODELS
}

/// The model of this name, case ignored.
pub fn find(name: &str) -> Option<&'static Model<'static>> {
    MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name))
}

const fn model(
    name: &'static str,
    ports: &'static [u8],
    check_in_s: u32,
    measuring: Probe,
    quantities: &'static [&'static str],
    codec: Codec<'static>,
) -> Model<'static> {
    Model { name, ports, check_in_s, measuring, quantities, codec }
}

const CLIMATE: &[&str] = &["temperature", "humidity", "battery"];
const CLIMATE_AND_DOOR: &[&str] = &["temperature", "humidity", "door", "battery"];
const CLIMATE_AND_LEAK: &[&str] = &["temperature", "humidity", "leak", "battery"];
const CLIMATE_AND_DOOR_AND_LEAK: &[&str] = &["temperature", "humidity", "door", "leak", "battery"];
/// The battery is told as "low" at most, which is no quantity.
const CLIMATE_ONLY: &[&str] = &["temperature", "humidity"];
const DOOR: &[&str] = &["door", "battery"];
const LEAK: &[&str] = &["leak", "battery"];
const TEMPERATURE: &[&str] = &["temperature", "battery"];
const TEMPERATURE_AND_DOOR: &[&str] = &["temperature", "door", "battery"];
const TEMPERATURE_ONLY: &[&str] = &["temperature"];

const INTERNAL: Probe = Probe::INTERNAL;
const EXTERNAL: Probe = Probe::EXTERNAL;
const PROBE_1: Probe = Probe::numbered(1);
const ONE_CABLE: &[Probe] = &[EXTERNAL];
const TWO_CABLES: &[Probe] = &[PROBE_1, Probe::numbered(2)];
const THREE_CABLES: &[Probe] = &[PROBE_1, Probe::numbered(2), Probe::numbered(3)];

const ANY: &[u8] = &[];
const ADEUNIS: &[u8] = &[adeunis::PORT];
const D2X_LB: &[u8] = &[dragino::PORT, dragino::STATUS_PORT];
const DECENTLAB: &[u8] = &[decentlab::PORT];
const DRAGINO: &[u8] = &[dragino::PORT];
const DRAGINO_DOOR: &[u8] = &[dragino::DOOR_PORT, dragino::DOOR_COUNT_PORT];
const ENLESS: &[u8] = &[enless::PORT];
const LAIRD: &[u8] = &[laird::PORT];
const LDS03A: &[u8] = &[dragino::PORT, dragino::LOG_PORT, dragino::SETTINGS_PORT, dragino::STATUS_PORT];
const LHT52: &[u8] = LDS03A;
const LHT65: &[u8] = &[dragino::PORT, dragino::STATUS_PORT];
const LHT65N: &[u8] = &[dragino::PORT, dragino::LOG_PORT, dragino::STATUS_PORT];
const MCLIMATE: &[u8] = &[mclimate::PORT];
const MILESIGHT: &[u8] = &[milesight::PORT];
const NETVOX: &[u8] = &[netvox::REPORT_PORT, netvox::CONFIG_PORT];
const NETVOX_CALIBRATED: &[u8] = &[netvox::REPORT_PORT, netvox::CONFIG_PORT, netvox::CALIBRATION_PORT];
const S31: &[u8] = LHT65N;
const TEKTELIC: &[u8] = &[
    tektelic::PORT,
    tektelic::DIAGNOSTICS_PORT,
    tektelic::TIME_PORT,
    tektelic::SETTINGS_PORT,
    tektelic::ANSWER_PORT,
];

use Codec::{
    AdeunisComfort, AdeunisTemp4, Advertisement, Browan, Cayenne, Decentlab, Dragino, Elsys, Enless, Laird,
    MclimateFlood, MclimateHt, Milesight, Netvox, Tektelic,
};

/// By name, one a line. `elsys/elsys` is any Elsys sensor and `bthome/bthome` any of BTHome 2, since they all speak the same
/// types.
#[rustfmt::skip]
const MODELS: &[Model<'static>] = &[
    model("adeunis/comfort", ADEUNIS, 3_600, INTERNAL, CLIMATE_ONLY, AdeunisComfort),
    model("adeunis/temp-4", ADEUNIS, 3_600, PROBE_1, TEMPERATURE_ONLY, AdeunisTemp4),
    model("browan/merryiot-cd10", &[browan::CD10_PORT], 3_600, INTERNAL, CLIMATE, Browan(browan::Kind::Cd10)),
    model("browan/merryiot-dw10", &[browan::DW10_PORT], 3_600, INTERNAL, CLIMATE_AND_DOOR, Browan(browan::Kind::Dw10)),
    model("browan/tabs-tbdw100", &[browan::TBDW100_PORT], 3_600, INTERNAL, DOOR, Browan(browan::Kind::Tbdw100)),
    model("browan/tabs-tbhh100", &[browan::TBHH100_PORT], 3_600, INTERNAL, CLIMATE, Browan(browan::Kind::Tbhh100)),
    model("browan/tabs-tbhv110", &[browan::TBHV110_PORT], 3_600, INTERNAL, CLIMATE, Browan(browan::Kind::Tbhv110)),
    model("browan/tabs-tbwl100", &[browan::TBWL100_PORT], 3_600, INTERNAL, CLIMATE_AND_LEAK, Browan(browan::Kind::Tbwl100)),
    model("bthome/bthome", ANY, ADVERTISEMENT_S, INTERNAL, CLIMATE_AND_DOOR_AND_LEAK, Advertisement(advertisement::Format::Bthome)),
    model("decentlab/dl-dlr2-008", DECENTLAB, 600, EXTERNAL, TEMPERATURE, Decentlab(decentlab::DLR2_008)),
    model("decentlab/dl-dlr2-009", DECENTLAB, 600, EXTERNAL, TEMPERATURE, Decentlab(decentlab::DLR2_009)),
    model("decentlab/dl-ds18", DECENTLAB, 600, EXTERNAL, TEMPERATURE, Decentlab(decentlab::DS18)),
    model("decentlab/dl-iam", DECENTLAB, 600, INTERNAL, CLIMATE, Decentlab(decentlab::IAM)),
    model("decentlab/dl-itst", DECENTLAB, 600, EXTERNAL, TEMPERATURE, Decentlab(decentlab::ITST)),
    model("decentlab/dl-lp8p", DECENTLAB, 600, INTERNAL, CLIMATE, Decentlab(decentlab::LP8P)),
    model("decentlab/dl-pm", DECENTLAB, 600, INTERNAL, CLIMATE, Decentlab(decentlab::PM)),
    model("decentlab/dl-rhc", DECENTLAB, 600, EXTERNAL, CLIMATE, Decentlab(decentlab::RHC)),
    model("decentlab/dl-sht35", DECENTLAB, 600, EXTERNAL, CLIMATE, Decentlab(decentlab::SHT35)),
    model("decentlab/dl-tp", DECENTLAB, 600, PROBE_1, TEMPERATURE, Decentlab(decentlab::TP)),
    model("dragino/d20-lb", D2X_LB, 1_200, EXTERNAL, TEMPERATURE, Dragino(dragino::Kind::D2x(ONE_CABLE))),
    model("dragino/d22-lb", D2X_LB, 1_200, PROBE_1, TEMPERATURE, Dragino(dragino::Kind::D2x(TWO_CABLES))),
    model("dragino/d23-lb", D2X_LB, 1_200, PROBE_1, TEMPERATURE, Dragino(dragino::Kind::D2x(THREE_CABLES))),
    model("dragino/lds01", DRAGINO_DOOR, 86_400, INTERNAL, DOOR, Dragino(dragino::Kind::DoorOrLeak)),
    model("dragino/lds02", DRAGINO_DOOR, 86_400, INTERNAL, DOOR, Dragino(dragino::Kind::DoorOrLeak)),
    model("dragino/lds03a", LDS03A, 7_200, INTERNAL, DOOR, Dragino(dragino::Kind::Lds03a)),
    model("dragino/lht52", LHT52, 1_200, EXTERNAL, CLIMATE, Dragino(dragino::Kind::Lht52)),
    model("dragino/lht65", LHT65, 1_200, EXTERNAL, CLIMATE, Dragino(dragino::Kind::Lht65)),
    model("dragino/lht65n", LHT65N, 1_200, EXTERNAL, CLIMATE, Dragino(dragino::Kind::Lht65n)),
    model("dragino/lsn50v2-d20", DRAGINO, 1_200, EXTERNAL, TEMPERATURE, Dragino(dragino::Kind::D2x(ONE_CABLE))),
    model("dragino/lsn50v2-d22", DRAGINO, 1_200, PROBE_1, TEMPERATURE, Dragino(dragino::Kind::D2x(TWO_CABLES))),
    model("dragino/lsn50v2-d23", DRAGINO, 1_200, PROBE_1, TEMPERATURE, Dragino(dragino::Kind::D2x(THREE_CABLES))),
    model("dragino/lsn50v2-s31", S31, 1_200, EXTERNAL, CLIMATE, Dragino(dragino::Kind::S31)),
    model("dragino/ltc2", DRAGINO, 1_200, PROBE_1, TEMPERATURE, Dragino(dragino::Kind::Ltc2)),
    model("dragino/lwl01", DRAGINO_DOOR, 86_400, INTERNAL, LEAK, Dragino(dragino::Kind::DoorOrLeak)),
    model("dragino/lwl02", DRAGINO_DOOR, 86_400, INTERNAL, LEAK, Dragino(dragino::Kind::DoorOrLeak)),
    model("dragino/s31-lb", S31, 1_200, EXTERNAL, CLIMATE, Dragino(dragino::Kind::S31)),
    model("dragino/s31b-lb", S31, 1_200, EXTERNAL, CLIMATE, Dragino(dragino::Kind::S31)),
    model("elsys/elsys", ANY, 600, INTERNAL, CLIMATE, Elsys { has_door: false }),
    model("elsys/elt-2", ANY, 600, EXTERNAL, CLIMATE, Elsys { has_door: false }),
    model("elsys/elt-lite", ANY, 600, EXTERNAL, TEMPERATURE, Elsys { has_door: false }),
    model("elsys/ems", ANY, 600, INTERNAL, CLIMATE_AND_DOOR_AND_LEAK, Elsys { has_door: true }),
    model("elsys/ems-door", ANY, 3_600, INTERNAL, DOOR, Elsys { has_door: true }),
    model("elsys/ers", ANY, 600, INTERNAL, CLIMATE, Elsys { has_door: false }),
    model("elsys/ers-lite", ANY, 600, INTERNAL, CLIMATE, Elsys { has_door: false }),
    model("enless/600-031", ENLESS, 3_600, INTERNAL, TEMPERATURE, Enless(&enless::TX_600_031)),
    model("enless/600-032", ENLESS, 3_600, EXTERNAL, TEMPERATURE, Enless(&enless::TX_600_032)),
    model("enless/600-232", ENLESS, 3_600, PROBE_1, TEMPERATURE, Enless(&enless::TX_600_232)),
    model("generic/cayenne-lpp", ANY, 3_600, PROBE_1, CLIMATE_ONLY, Cayenne),
    model("govee/h5074", ANY, ADVERTISEMENT_S, INTERNAL, CLIMATE, Advertisement(advertisement::Format::GoveeH5074)),
    model("govee/h5075", ANY, ADVERTISEMENT_S, INTERNAL, CLIMATE, Advertisement(advertisement::Format::Govee3Bytes)),
    model("govee/h5179", ANY, ADVERTISEMENT_S, INTERNAL, CLIMATE, Advertisement(advertisement::Format::GoveeH5179)),
    model("laird/rs1xx-ext-multi-sensor", LAIRD, 3_600, INTERNAL, CLIMATE_AND_DOOR, Laird(laird::Kind::Climate)),
    model("laird/rs1xx-ext-temp-1w-sensor", LAIRD, 3_600, EXTERNAL, CLIMATE, Laird(laird::Kind::OneWire)),
    model("laird/rs1xx-ext-temp-rtd-sensor", LAIRD, 3_600, EXTERNAL, TEMPERATURE, Laird(laird::Kind::Rtd)),
    model("laird/rs1xx-temp-rh-sensor", LAIRD, 3_600, INTERNAL, CLIMATE, Laird(laird::Kind::Climate)),
    model("mclimate/flood-sensor", MCLIMATE, 86_400, INTERNAL, LEAK, MclimateFlood),
    model("mclimate/ht-sensor", MCLIMATE, 600, INTERNAL, CLIMATE, MclimateHt),
    model("milesight/am102", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::AM102)),
    model("milesight/am102l", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::AM102)),
    model("milesight/am103", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::AM103)),
    model("milesight/am103l", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::AM103)),
    model("milesight/am104", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::AM104_AM107)),
    model("milesight/am107", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::AM104_AM107)),
    model("milesight/em300-mcs", MILESIGHT, 600, INTERNAL, CLIMATE_AND_DOOR, Milesight(&milesight::EM300_MCS)),
    model("milesight/em300-mld", MILESIGHT, 600, INTERNAL, LEAK, Milesight(&milesight::EM300_MLD)),
    model("milesight/em300-sld", MILESIGHT, 600, INTERNAL, CLIMATE_AND_LEAK, Milesight(&milesight::EM300_SLD)),
    model("milesight/em300-sld-zld", MILESIGHT, 600, INTERNAL, CLIMATE_AND_LEAK, Milesight(&milesight::EM300_SLD)),
    model("milesight/em300-th", MILESIGHT, 600, INTERNAL, CLIMATE, Milesight(&milesight::EM300_TH)),
    model("milesight/em300-zld", MILESIGHT, 600, INTERNAL, CLIMATE_AND_LEAK, Milesight(&milesight::EM300_SLD)),
    model("milesight/em320-th", MILESIGHT, 600, EXTERNAL, CLIMATE, Milesight(&milesight::EM320_TH)),
    model("milesight/em500-pt100", MILESIGHT, 600, EXTERNAL, TEMPERATURE, Milesight(&milesight::EM500_PT100)),
    model("milesight/ts101", MILESIGHT, 3_600, EXTERNAL, TEMPERATURE, Milesight(&milesight::TS101)),
    model("milesight/ts301", MILESIGHT, 3_600, PROBE_1, TEMPERATURE_AND_DOOR, Milesight(&milesight::TS30X)),
    model("milesight/ts302", MILESIGHT, 3_600, PROBE_1, TEMPERATURE_AND_DOOR, Milesight(&milesight::TS30X)),
    model("milesight/ws301", MILESIGHT, 64_800, INTERNAL, DOOR, Milesight(&milesight::WS301)),
    model("milesight/ws303", MILESIGHT, 64_800, INTERNAL, LEAK, Milesight(&milesight::WS303)),
    model("netvox/r311a", NETVOX, 3_600, INTERNAL, DOOR, Netvox(&netvox::R311A)),
    model("netvox/r311cb", NETVOX, 3_600, INTERNAL, DOOR, Netvox(&netvox::R311CB)),
    model("netvox/r311cc", NETVOX, 3_600, INTERNAL, DOOR, Netvox(&netvox::R311CC)),
    model("netvox/r711", NETVOX_CALIBRATED, 3_600, INTERNAL, CLIMATE, Netvox(&netvox::R711)),
    model("netvox/r718a", NETVOX_CALIBRATED, 900, INTERNAL, CLIMATE, Netvox(&netvox::R718A)),
    model("netvox/r718ab", NETVOX_CALIBRATED, 900, INTERNAL, CLIMATE, Netvox(&netvox::R718AB)),
    model("netvox/r718b", NETVOX_CALIBRATED, 900, EXTERNAL, TEMPERATURE, Netvox(&netvox::R718B)),
    model("netvox/r718b2", NETVOX_CALIBRATED, 900, PROBE_1, TEMPERATURE, Netvox(&netvox::R718B2)),
    model("netvox/r718ce", NETVOX_CALIBRATED, 900, EXTERNAL, TEMPERATURE, Netvox(&netvox::R718CE)),
    model("netvox/r718cj", NETVOX_CALIBRATED, 900, EXTERNAL, TEMPERATURE, Netvox(&netvox::R718CJ)),
    model("netvox/r718ck", NETVOX_CALIBRATED, 900, EXTERNAL, TEMPERATURE, Netvox(&netvox::R718CK)),
    model("netvox/r718ck2", NETVOX_CALIBRATED, 900, PROBE_1, TEMPERATURE, Netvox(&netvox::R718CK2)),
    model("netvox/r718cn", NETVOX_CALIBRATED, 900, EXTERNAL, TEMPERATURE, Netvox(&netvox::R718CN)),
    model("netvox/r718cn2", NETVOX_CALIBRATED, 900, PROBE_1, TEMPERATURE, Netvox(&netvox::R718CN2)),
    model("netvox/r718ct", NETVOX_CALIBRATED, 900, EXTERNAL, TEMPERATURE, Netvox(&netvox::R718CT)),
    model("netvox/r718ct2", NETVOX_CALIBRATED, 900, PROBE_1, TEMPERATURE, Netvox(&netvox::R718CT2)),
    model("netvox/r718f", NETVOX, 3_600, INTERNAL, DOOR, Netvox(&netvox::R718F)),
    model("netvox/r718wa", NETVOX, 3_600, INTERNAL, LEAK, Netvox(&netvox::R718WA)),
    model("netvox/r718wa2", NETVOX, 3_600, INTERNAL, LEAK, Netvox(&netvox::R718WA2)),
    model("netvox/r718wb", NETVOX, 3_600, INTERNAL, LEAK, Netvox(&netvox::R718WB)),
    model("netvox/r718wb2", NETVOX, 3_600, INTERNAL, LEAK, Netvox(&netvox::R718WB2)),
    model("ruuvi/ruuvitag", ANY, ADVERTISEMENT_S, INTERNAL, CLIMATE, Advertisement(advertisement::Format::Ruuvi)),
    model("tektelic/breeze", TEKTELIC, 3_600, INTERNAL, CLIMATE, Tektelic(tektelic::Kind::Breeze)),
    model("tektelic/comfort", TEKTELIC, 3_600, INTERNAL, CLIMATE_AND_DOOR, Tektelic(tektelic::Kind::SmartRoom)),
    model("tektelic/smart-room-sensor", TEKTELIC, 3_600, INTERNAL, CLIMATE_AND_DOOR_AND_LEAK, Tektelic(tektelic::Kind::SmartRoom)),
    model("tektelic/tundra", TEKTELIC, 3_600, INTERNAL, CLIMATE_AND_DOOR, Tektelic(tektelic::Kind::Tundra)),
    model("xiaomi/atc", ANY, ADVERTISEMENT_S, INTERNAL, CLIMATE, Advertisement(advertisement::Format::Xiaomi)),
];
