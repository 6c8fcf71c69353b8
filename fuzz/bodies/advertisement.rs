//! The data of a Bluetooth advertisement, in every format that is read.

use frostguard_hub::codec;

pub fn run(data: &[u8]) {
    for model in codec::models().iter().filter(|model| model.advertised().is_some()) {
        super::codec::decode(model, codec::NO_PORT, data);
    }
}
