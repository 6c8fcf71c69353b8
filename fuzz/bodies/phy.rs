//! A frame as a gateway heard it, and MAC commands.

use frostguard_hub::lorawan::ids::Key;
use frostguard_hub::lorawan::mac::{self, FromDevice};
use frostguard_hub::lorawan::phy::{self, DataUp, Direction, PHY_BYTES_MAX, Uplink};

pub fn run(frame: &[u8]) {
    let key = Key::new(*b"sixteen key byte");
    match phy::parse(frame) {
        Ok(Uplink::Join(join)) => {
            // MHDR, two EUIs, DevNonce, MIC; least significant byte first.
            assert_eq!(frame.len(), 23);
            assert_eq!(join.join_eui.to_le_bytes(), frame[1..9]);
            assert_eq!(join.dev_eui.to_le_bytes(), frame[9..17]);
            assert_eq!(join.dev_nonce.to_le_bytes(), frame[17..19]);
            join.is_signed_by(&key);
        }
        Ok(Uplink::Data(data)) => data_frame(frame, &data, &key),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    commands(frame);
}

fn data_frame(frame: &[u8], data: &DataUp, key: &Key) {
    assert!(frame.len() <= PHY_BYTES_MAX);
    assert_eq!(data.dev_addr.0.to_le_bytes(), frame[1..5]);
    assert_eq!(data.f_cnt_low.to_le_bytes(), frame[6..8]);
    let options = usize::from(frame[5] & 0x0f);
    assert_eq!(data.f_opts, frame[8..8 + options]);
    let f_cnt = u32::from(data.f_cnt_low);
    data.is_signed_by(key, f_cnt);
    assert!(!data.is_signed_by(key, f_cnt ^ 1), "a frame of another number");

    let cipher = frame.get(8 + options + 1..frame.len() - 4).unwrap_or_default();
    assert_eq!(data.f_port, frame[..frame.len() - 4].get(8 + options).copied());
    let plain = data.decrypt(key, f_cnt);
    assert_eq!(phy::crypt(key, Direction::Up, data.dev_addr, f_cnt, &plain), cipher);
    commands(&data.f_opts);
    commands(&plain);
}

fn commands(bytes: &[u8]) {
    let (commands, unread) = mac::read(bytes);
    assert!(commands.len() + unread <= bytes.len());
    for command in commands {
        if let FromDevice::DevStatusAns { battery: mac::Battery::Percent(percent), margin_db } = command {
            assert!(percent <= 100 && (-32..=31).contains(&margin_db));
        }
    }
}
