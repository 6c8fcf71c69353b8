//! A datagram of a packet forwarder.

use frostguard_hub::domain::MonoMs;
use frostguard_hub::lorawan::phy::PHY_BYTES_MAX;
use frostguard_hub::lorawan::udp::{self, Body};

/// Forwarders put up to eight into one.
const FRAMES_MAX: usize = 255;

pub fn run(datagram: &[u8]) {
    let Ok(parsed) = udp::parse(datagram, MonoMs(7)) else { return };
    assert_eq!(parsed.gateway.0, datagram[4..12]);
    if let Some(ack) = parsed.ack() {
        // Version and token go back as they came, and the answer's kind is its question's plus one.
        assert_eq!(ack[..3], datagram[..3]);
        assert!(matches!((datagram[3], ack[3]), (0, 1) | (2, 4)));
    }
    match parsed.body {
        Body::Push { frames, .. } => {
            assert!(frames.len() <= FRAMES_MAX);
            for frame in frames {
                assert!((1..=PHY_BYTES_MAX).contains(&frame.phy.len()));
                assert_eq!(frame.reception.at, MonoMs(7));
                assert_eq!(frame.reception.hz % 1_000, 0);
                super::is_reception(&frame.reception);
            }
        }
        Body::TxAck(Err(error)) => {
            assert!(error.as_str().chars().count() <= 32 && !error.as_str().contains(char::is_control));
        }
        Body::TxAck(Ok(())) | Body::Pull => {}
    }
}
