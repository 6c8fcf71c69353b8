use super::*;
use crate::codec::{DoorState, Fault, Quantity};
use crate::domain::{CentiCelsius, Probe};

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

fn request(id: u8, function: Function, address: u16, count: u16) -> Request {
    Request { id, block: Block { function, address, count } }
}

#[test]
fn requests_as_the_makers_print_them() {
    for (request, want) in [
        (request(1, Function::Input, 1, 2), "01 04 00 01 00 02 20 0B"),
        (request(1, Function::Input, 1, 1), "01 04 00 01 00 01 60 0A"),
        (request(1, Function::Holding, 0, 2), "01 03 00 00 00 02 C4 0B"),
    ] {
        assert_eq!(request.bytes().to_vec(), hex(want), "{request:?}");
    }
    for number in 0..=255 {
        let wanted = matches!(number, 3 | 4);
        assert_eq!(Function::try_from(number).is_ok(), wanted, "function {number}");
    }
}

/// What a preset's device measures, told by its maker's frames.
#[track_caller]
fn check_preset(preset: ModbusPreset, is_swapped: bool, answer: &str, temperature: i32, humidity: i32) {
    let registers = preset.registers(is_swapped);
    let [block] = blocks(&registers)[..] else { panic!("one request reads both") };
    let Some(Answer::Data(data)) = (Request { id: 1, block }).find(&hex(answer)) else { panic!("{answer}") };
    let mut words = Words::default();
    words.take(block, &data);
    let quantities: Vec<_> =
        registers.iter().map(|register| words.measure(register).unwrap().quantity).collect();
    let want = [Quantity::Temperature(CentiCelsius(temperature)), Quantity::Humidity(humidity)];
    assert_eq!(quantities, want, "{preset:?} {answer}");
}

#[test]
fn presets_read_their_makers_frames() {
    check_preset(ModbusPreset::XyMd02, false, "01 04 04 01 31 02 22 2A CE", 3_050, 5_460);
    check_preset(ModbusPreset::Rs485Th, false, "01 03 04 01 11 02 72 2A 8F", 2_730, 6_260);
    // The same frame of a batch that sends humidity first.
    check_preset(ModbusPreset::Rs485Th, true, "01 03 04 01 11 02 72 2A 8F", 6_260, 2_730);
}

/// `heard` after the request for one register of device 1 by function 4.
#[track_caller]
fn check_heard(heard: &str, want: Result<Answer, Failure>) {
    let request = request(1, Function::Input, 1, 1);
    let heard = hex(heard);
    assert_eq!(request.find(&heard).ok_or_else(|| request.failure(&heard)), want, "{heard:02x?}");
}

#[test]
fn answers_are_found_in_what_the_line_carries() {
    let minus_20_5 = || Ok(Answer::Data(vec![0xFF, 0x33]));
    check_heard("01 04 02 FF 33 B8 D5", minus_20_5());
    check_heard("00 FF 01 04 01 04 02 FF 33 B8 D5 FF", minus_20_5());
    // The adapter repeats the request.
    check_heard("01 04 00 01 00 01 60 0A 01 04 02 FF 33 B8 D5", minus_20_5());
    check_heard("01 84 02 C2 C1", Ok(Answer::Exception(2)));

    check_heard("", Err(Failure::Silent));
    check_heard("01 04 00 01 00 01 60 0A", Err(Failure::Silent));
    check_heard("01 04 02 FF 33 B8 D4", Err(Failure::BadChecksum));
    check_heard("01 04 02 FF 32 B8 D5", Err(Failure::BadChecksum));
    check_heard("02 04 02 FF 33 FC D5", Err(Failure::OtherId(2)));
    check_heard("01 04 02 FF", Err(Failure::Noise));
    check_heard("FF FF FF 00", Err(Failure::Noise));
    // Another function, another length: answers to questions that were not asked.
    check_heard("01 03 04 01 11 02 72 2A 8F", Err(Failure::Noise));
    check_heard("01 04 04 01 31 02 22 2A CE", Err(Failure::Noise));
}

#[test]
fn whatever_comes_costs_nothing_but_itself() {
    let request = request(1, Function::Holding, 0, REGISTERS_MAX);
    proptest::proptest!(|(heard in proptest::collection::vec(proptest::num::u8::ANY, 0..600))| {
        if request.find(&heard).is_none() {
            let _ = request.failure(&heard);
        }
    });
}

fn register(text: &str) -> Register {
    toml::from_str(&format!("function = 3\naddress = 10\n{text}")).unwrap()
}

#[track_caller]
fn check_register(text: &str, bytes: &str, want: Quantity) {
    let register = register(text);
    let mut words = Words::default();
    let block = Block { function: register.function, address: 10, count: register.kind.count() };
    words.take(block, &hex(bytes));
    assert_eq!(words.measure(&register).unwrap().quantity, want, "{text} of {bytes}");
}

#[test]
fn registers_measure_what_their_table_says() {
    let celsius = |hundredths| Quantity::Temperature(CentiCelsius(hundredths));
    let disconnected = Quantity::Fault(Fault::Disconnected);
    let temperature = |rest: &str| format!("quantity = 'temperature'\n{rest}");
    for (rest, bytes, want) in [
        ("type = 'i16'\nscale = 0.1", "FF 33", celsius(-2_050)),
        ("type = 'u16'\nscale = 0.1\noffset = -40", "00 C8", celsius(-2_000)),
        ("type = 'i16'\nscale = 0.01", "FF FF", celsius(-1)),
        ("type = 'i16'\nscale = 0.1\nunit = 'F'", "01 40", celsius(0)),
        ("type = 'i32'\nscale = 0.001", "FF FF B9 B0", celsius(-1_800)),
        ("type = 'i32'\nscale = 0.001\nword_order = 'low-first'", "B9 B0 FF FF", celsius(-1_800)),
        ("type = 'f32'", "C1 90 00 00", celsius(-1_800)),
        ("type = 'f32'\nword_order = 'low-first'", "00 00 C1 90", celsius(-1_800)),
        ("type = 'f32'", "7F C0 00 00", disconnected.clone()),
        ("type = 'f32'", "7F 7F FF FF", Quantity::Fault(Fault::OutOfRange)),
        ("type = 'i16'\nscale = 0.001", "7F FF", disconnected.clone()),
        ("type = 'i16'\nscale = 0.1\ninvalid = [-9999, 9990]", "D8 F1", disconnected.clone()),
        ("type = 'i16'\nscale = 0.1", "D8 F1", Quantity::Fault(Fault::OutOfRange)),
        // A converter that counts microamperes.
        ("type = 'u16'\nscale = 0.001\nat_4_ma = -50\nat_20_ma = 50", "23 A0", celsius(-1_800)),
        ("type = 'u16'\nscale = 0.001\nat_4_ma = -50\nat_20_ma = 50", "00 00", disconnected.clone()),
        (
            "type = 'u16'\nscale = 0.001\nat_4_ma = -50\nat_20_ma = 50",
            "55 F0",
            Quantity::Fault(Fault::Reported),
        ),
    ] {
        check_register(&temperature(rest), bytes, want);
    }
    let humidity = "quantity = 'humidity'\ntype = 'u16'\nscale = 0.1\ninvalid = [65535]";
    check_register(humidity, "02 22", Quantity::Humidity(5_460));
    check_register(humidity, "03 E9", Quantity::Fault(Fault::Humidity));
    check_register(humidity, "FF FF", Quantity::Fault(Fault::Humidity));
    let door = "quantity = 'door'\ntype = 'u16'";
    check_register(door, "00 00", Quantity::Door(DoorState::Closed));
    check_register(door, "00 01", Quantity::Door(DoorState::Open));
    assert_eq!(register(&format!("{door}\nprobe = '3'")).probe, Probe::numbered(3));
}

#[test]
fn neighbours_are_read_together_and_nothing_between() {
    let at = |function, address, kind: &str| {
        let text = format!("function = {function}\naddress = {address}\ntype = '{kind}'\nquantity = 'door'");
        toml::from_str::<Register>(&text).unwrap()
    };
    let registers = [at(4, 7, "u16"), at(3, 2, "u16"), at(3, 0, "f32"), at(3, 4, "u16"), at(4, 6, "i16")];
    let block = |function, address, count| Block { function, address, count };
    let want = [block(Function::Holding, 0, 3), block(Function::Holding, 4, 1), block(Function::Input, 6, 2)];
    assert_eq!(blocks(&registers), want);
    // More than one request takes.
    let many: Vec<Register> = (0..126).map(|address| at(3, address, "u16")).collect();
    assert_eq!(blocks(&many), [block(Function::Holding, 0, 125), block(Function::Holding, 125, 1)]);
}
