//! One JSON object a line. Keys, of which `id` and one value or `payload` are needed; others are ignored:
//!
//! | key | value |
//! |---|---|
//! | `id` | the sensor's address, text or number; 16 hexadecimal digits are an EUI |
//! | `temperature_c`, `temperature`, `temp`, `t` | degrees Celsius; `null` or a word: the sensor failed |
//! | `humidity`, `hum`, `h` | percent |
//! | `battery`, `bat`, `b` | percent |
//! | `battery_mv`, `mv` | millivolts |
//! | `door` | `"open"`, `"closed"`, `true` or 1 (open), `false` or 0 |
//! | `leak` | `true` or 1: water |
//! | `probe` | `"internal"` (default), `"external"`, 1 to 254: what temperature and humidity belong to |
//! | `rssi` | dBm |
//! | `counter`, `n` | the sensor's own packet counter, so that a repeated packet is known |
//! | `payload` | hexadecimal bytes of the device's own format, in place of values |
//! | `model`, `port` | "vendor/model" and LoRaWAN port of `payload`; the paired device's model wins, and its first port where none is given |
//!
//! `{"id":"fridge-1","temperature_c":3.94,"humidity":61,"battery":87,"counter":412}`

use super::Message;
use super::text::Fields;

pub fn parse_line(line: &[u8]) -> Option<Message> {
    let fields = Fields::from_json(line)?;
    if !fields.says_something() {
        return None;
    }
    let content = fields.content(line);
    let id = content.id?;
    Some(Message {
        address: id.address,
        is_eui: id.is_eui,
        model: content.model,
        rssi: content.rssi,
        counter: content.counter,
        payload: content.payload,
    })
}
