//! Whatever a modem says, and whenever.

use proptest::prelude::*;

use super::*;

/// What comes over the line, or time that passes.
#[derive(Clone, Debug)]
enum Happens {
    Bytes(Vec<u8>),
    Ms(i64),
}

fn happens() -> impl Strategy<Value = Happens> {
    const LINES: &[&str] = &[
        "OK",
        "ERROR",
        "+CPIN: READY",
        "+CPIN: SIM PIN",
        "+CPIN: SIM PUK",
        "+CME ERROR: 14",
        "+CME ERROR: 16",
        "+CMS ERROR: 314",
        "+CMS ERROR: 28",
        "+CREG: 0,1",
        "+CREG: 0,2",
        "+CEREG: 0,5",
        "+CSQ: 13,99",
        "+COPS: 0",
        "+CPINR: SIM PIN,2,3",
        "+CMGS: 17",
        "+CDS: 25",
        "+CDSI: \"SR\",1",
        "+CMGR: 0,,26",
        "0006110D91945111325476F8521125900000405211259000004000",
        "RDY",
        "RING",
    ];
    prop_oneof![
        8 => proptest::sample::select(LINES)
            .prop_map(|line| Happens::Bytes(format!("\r\n{line}\r\n").into_bytes())),
        3 => Just(Happens::Bytes(b"\r\nOK\r\n".to_vec())),
        2 => Just(Happens::Bytes(b"\r\n> ".to_vec())),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Happens::Bytes),
        3 => (1..2_000_i64).prop_map(Happens::Ms),
    ]
}

proptest! {
    /// Every message has exactly one end; a dialogue that nobody answers ends by itself; a PIN that was not accepted is
    /// said once.
    #[test]
    fn a_message_ends_once_and_a_pin_is_said_once(
        script in proptest::collection::vec(happens(), 0..120), reopened in any::<bool>(),
    ) {
        let mut play = Play::new(ModemMode::Pdu).pin("1234");
        play.send(&["00AA", "00BB"]);
        let is_busy = |happens: &&Happens| matches!(happens, Happens::Bytes(bytes) if bytes.ends_with(b"14\r\n"));
        let busy = script.iter().filter(is_busy).count();
        let mut ends = 0;
        // Afterwards silence, longer than all that can be waited for.
        let silence = std::iter::repeat_n(Happens::Ms(1_000), 300);
        for happens in script.into_iter().chain(silence) {
            match happens {
                Happens::Bytes(bytes) => play.dialogue.feed(&bytes, MonoMs(play.now)),
                Happens::Ms(ms) => {
                    play.now += ms;
                    play.dialogue.tick(MonoMs(play.now));
                }
            }
            play.read();
            while let Some(event) = play.dialogue.next_event() {
                ends += usize::from(matches!(event, Event::Sent | Event::Failed(_)));
            }
        }
        prop_assert!(play.dialogue.is_idle());
        prop_assert_eq!(ends, 1);
        // A card that was busy did not look at it.
        let said = play.written.matches("AT+CPIN=").count();
        prop_assert!(said <= 1 + busy, "{} times", said);
        if reopened {
            play.dialogue.closed("gone");
            prop_assert_eq!(play.dialogue.next_event(), None);
        }
    }
}
