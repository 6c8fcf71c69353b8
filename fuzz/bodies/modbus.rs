//! What a Modbus line carries after a question: the question, how its registers are read, then the bytes heard.

use frostguard_hub::codec::Measures;
use frostguard_hub::domain::{Probe, Scale};
use frostguard_hub::framing::modbus::{
    Answer, Block, Function, ID_MAX, REGISTERS_MAX, Register, RegisterKind, Request, WordOrder, Words,
};

use super::Script;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let kind = script.byte();
    let request = Request {
        id: script.byte() % ID_MAX + 1,
        block: Block {
            function: if kind & 1 == 0 { Function::Holding } else { Function::Input },
            address: script.word(),
            count: u16::from(script.byte()) % REGISTERS_MAX + 1,
        },
    };
    let register = register(kind, request.block, script.byte());
    let heard = script.rest();
    hear(request, &register, heard);
    // The same bytes with what an answer has around them, since nobody guesses a checksum.
    let mut answer = vec![request.id, request.block.function as u8, heard.len() as u8];
    answer.extend(heard);
    answer.extend(crc16(&answer).to_le_bytes());
    hear(request, &register, &answer);
    if heard.len() == 2 * usize::from(request.block.count) {
        assert_eq!(request.find(&answer), Some(Answer::Data(heard.to_vec())));
    }
}

fn hear(request: Request, register: &Register, heard: &[u8]) {
    match request.find(heard) {
        Some(Answer::Data(bytes)) => {
            assert_eq!(bytes.len(), 2 * usize::from(request.block.count));
            let mut words = Words::default();
            words.take(request.block, &bytes);
            super::is_measured(words.measure(register).as_slice());
        }
        Some(Answer::Exception(_)) => {}
        None => assert!(!request.failure(heard).to_string().is_empty()),
    }
    let echo = [&request.bytes()[..], heard].concat();
    assert!(request.find(&echo).is_some() || request.find(heard).is_none(), "an echo hides the answer");
}

fn register(kind: u8, block: Block, scaled: u8) -> Register {
    Register {
        function: block.function,
        address: block.address,
        kind: [RegisterKind::I16, RegisterKind::U16, RegisterKind::I32, RegisterKind::F32]
            [usize::from(kind >> 1 & 3)],
        word_order: if kind & 8 == 0 { WordOrder::HighFirst } else { WordOrder::LowFirst },
        scale: f64::from(scaled) / 100.0,
        offset: if kind & 0x40 == 0 { 0.0 } else { -40.0 },
        invalid: vec![-32_768],
        probe: Probe::INTERNAL,
        quantity: [Measures::Temperature, Measures::Humidity, Measures::Door, Measures::Temperature]
            [usize::from(kind >> 4 & 3)],
        unit: if kind & 0x30 == 0x30 { Scale::F } else { Scale::C },
        at_4_ma: (kind & 0x80 != 0).then_some(-50.0),
        at_20_ma: (kind & 0x80 != 0).then_some(50.0),
    }
}

/// CRC-16/MODBUS.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 })
    })
}
