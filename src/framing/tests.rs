//! Lines as the makers document them, and what must hold for any bytes in any pieces.

use proptest::prelude::*;

use super::decoder::BUFFER_BYTES_MAX;
use super::*;
use crate::codec::{DoorState, NO_PORT, Quantity};

/// One line an item.
fn render(items: &[Item]) -> String {
    items.iter().map(|item| render_item(item) + "\n").collect()
}

fn render_item(item: &Item) -> String {
    let message = match item {
        Item::Notice(notice) => return format!("notice {notice}"),
        Item::Noise { reason, dropped, .. } => return format!("noise {dropped} {}", reason.as_str()),
        Item::Message(message) => message,
    };
    let mut words = vec![message.address.clone()];
    words.extend(message.is_eui.then(|| "(eui)".to_owned()));
    words.extend(message.rssi.map(|rssi| format!("{rssi} dBm")));
    words.extend(message.counter.map(|counter| format!("#{counter}")));
    words.extend(message.model.clone());
    match &message.payload {
        Payload::Binary { f_port: NO_PORT, bytes } => words.push(format!("{bytes:02x?}")),
        Payload::Binary { f_port, bytes } => words.push(format!("port {f_port} {bytes:02x?}")),
        Payload::Raw { reason, .. } => words.push(format!("raw: {reason}")),
        Payload::Values { measurements, .. } => {
            words.extend(measurements.iter().map(|one| format!("{}:{}", one.probe, value(&one.quantity))));
        }
    }
    words.join(" ")
}

fn value(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Temperature(value) => format!("{:.2}C", f64::from(value.0) / 100.0),
        Quantity::Humidity(value) => format!("{:.1}%", f64::from(*value) / 100.0),
        Quantity::BatteryPercent(value) => format!("b{value}%"),
        Quantity::BatteryMillivolts(value) => format!("b{value}mV"),
        Quantity::Door(DoorState::Open) => "open".to_owned(),
        Quantity::Door(DoorState::Closed) => "closed".to_owned(),
        Quantity::Leak(found) => format!("leak={found}"),
        Quantity::Rssi(value) => format!("{value}dBm"),
        Quantity::Fault(fault) => fault.as_str().to_owned(),
    }
}

fn drain(decoder: &mut Decoder, items: &mut Vec<Item>) {
    while let Some(item) = decoder.next() {
        items.push(item);
    }
    assert!(decoder.buffered() < BUFFER_BYTES_MAX + LINE_BYTES_MAX, "the buffer grows");
    let stats = decoder.stats();
    assert_eq!(
        stats.bytes_in,
        stats.bytes_understood + stats.bytes_dropped + decoder.buffered() as u64,
        "every byte is accounted for"
    );
}

fn decode(preset: Preset, data: Data, pieces: &[&[u8]]) -> Vec<Item> {
    let mut decoder = Decoder::with_data(preset, data);
    let mut items = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        drain(&mut decoder, &mut items);
    }
    items
}

/// The stream at once, byte by byte, and in two pieces at every place.
#[track_caller]
fn check_as(preset: Preset, data: Data, stream: &[u8], expected: &str) {
    let whole = decode(preset, data, &[stream]);
    assert_eq!(render(&whole), expected);
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(preset, data, &bytes), whole, "byte by byte");
    for at in 0..stream.len() {
        assert_eq!(decode(preset, data, &[&stream[..at], &stream[at..]]), whole, "split at {at}");
    }
}

#[track_caller]
fn check(preset: Preset, stream: impl AsRef<[u8]>, expected: &str) {
    check_as(preset, Data::Auto, stream.as_ref(), expected);
}

#[test]
fn json_lines() {
    let check = |stream: &str, expected: &str| check(Preset::Json, stream, expected);
    check(
        "{\"id\":\"fridge-1\",\"temperature_c\":3.94,\"humidity\":61,\"battery\":87,\"counter\":412,\"rssi\":-71}\r\n",
        "fridge-1 -71 dBm #412 internal:3.94C internal:61.0% internal:b87%\n",
    );
    check("{\"id\":7,\"t\":-18.555}\n", "7 internal:-18.56C\n");
    check("{\"id\":\"a\",\"t\":\"-0.5\",\"probe\":\"external\"}\n", "a external:-0.50C\n");
    check("{\"id\":\"a\",\"t\":1,\"probe\":2,\"mv\":2950}\n", "a 2:1.00C internal:b2950mV\n");
    check(
        "{\"id\":\"a\",\"door\":\"open\"}\n{\"id\":\"a\",\"door\":false}\n",
        "a internal:open\na internal:closed\n",
    );
    check("{\"id\":\"a\",\"leak\":true}\n", "a internal:leak=true\n");
    check("{\"id\":\"a84041ffff1834b2\",\"t\":4}\n", "A84041FFFF1834B2 (eui) internal:4.00C\n");
    // A sensor that failed, and values no sensor has.
    check("{\"id\":\"a\",\"t\":null}\n", "a internal:reported\n");
    check("{\"id\":\"a\",\"t\":\"nan\"}\n", "a internal:reported\n");
    check("{\"id\":\"a\",\"t\":-127}\n", "a internal:disconnected\n");
    check("{\"id\":\"a\",\"t\":85.0}\n", "a internal:power_on_value\n");
    check("{\"id\":\"a\",\"t\":1e300,\"h\":101,\"b\":300}\n", "a internal:out_of_range internal:humidity\n");
    // A device's own bytes.
    check(
        "{\"id\":\"a\",\"model\":\"Dragino/LHT65N\",\"payload\":\"cbf6\",\"port\":2}\n{\"id\":\"a\",\"payload\":\"0367\"}\n",
        "a dragino/lht65n port 2 [cb, f6]\na [03, 67]\n",
    );
    // Blank lines, unknown keys, nested values.
    check("\r\n\n{\"id\":\"a\",\"t\":4,\"x\":{\"t\":9},\"y\":[1]}\n", "a internal:4.00C\n");
    // Without an id, or with nothing to keep.
    check(
        "{\"t\":4}\n{\"id\":\"a\"}\n[1]\n",
        "noise 8 not understood\nnoise 11 not understood\nnoise 4 not understood\n",
    );
    // A half line before a whole one; garbage; a line not ended yet.
    check("{\"id\":\"a\",\"t\":{\"id\":\"b\",\"t\":4}\n", "noise 14 not understood\nb internal:4.00C\n");
    check("\u{0}xx{\"id\":\"b\",\"t\":4}\n{\"id\":", "noise 3 not understood\nb internal:4.00C\n");
}

#[test]
fn reyax() {
    let check = |stream: &str, expected: &str| check(Preset::Reyax, stream, expected);
    check("+RCV=50,5,HELLO,-99,40\r\n", "50 -99 dBm [48, 45, 4c, 4c, 4f]\n");
    check("+READY\r\n+OK\r\n+ERR=4\r\n", "notice +READY\nnotice +OK\nnotice +ERR=4\n");
    check("+RCV=50,23,{\"t\":4.25,\"counter\":12},-99,-4\r\n", "50 -99 dBm #12 internal:4.25C\n");
    check("+RCV=1,11,t=4.2,h=55;,-60,9\r\n", "1 -60 dBm internal:4.20C internal:55.0%\n");
    check("+RCV=1,10,0367F6FF04,-60,9\r\n", "1 -60 dBm [03, 67, f6, ff, 04]\n");
    check("+RCV=65535,0,,-60,9\r\n", "65535 -60 dBm []\n");
    // Commas, line ends and a whole message inside the data.
    check("+RCV=2,7,a,b,\r\nc,-60,9\r\n", "2 -60 dBm [61, 2c, 62, 2c, 0d, 0a, 63]\n");
    check(
        "+RCV=2,20,+RCV=1,3,t=1,-60,9\r\n,-50,8\r\n+RCV=3,3,t=2,-60,9\r\n",
        "2 -50 dBm [2b, 52, 43, 56, 3d, 31, 2c, 33, 2c, 74, 3d, 31, 2c, 2d, 36, 30, 2c, 39, 0d, 0a]\n3 -60 dBm internal:2.00C\n",
    );
    // A lost byte costs its message, not the next one.
    check(
        "+RCV=50,5,HELO,-99,40\r\n+RCV=51,3,t=2,-60,9\r\n",
        "noise 23 not understood\n51 -60 dBm internal:2.00C\n",
    );
    // Cut short, and the next one behind it at once.
    check("+RCV=50,5,+RCV=51,3,t=2,-60,9\r\n", "noise 10 not understood\n51 -60 dBm internal:2.00C\n");
    check("xx+RCV=51,3,t=2,-60,9\n", "noise 2 not understood\n51 -60 dBm internal:2.00C\n");
    check("+RCV=70000,1,a,-1,1\r\n", "noise 21 not understood\n");
    check("+RCV=1,241,a,-1,1\r\n+RCV=1,-1,a,-1,1\r\n", "noise 19 not understood\nnoise 18 not understood\n");
}

#[test]
fn reyax_data_kinds() {
    let line = b"+RCV=1,3,t=1,-60,9\r\n";
    check_as(Preset::Reyax, Data::Text, line, "1 -60 dBm internal:1.00C\n");
    check_as(Preset::Reyax, Data::Binary, line, "1 -60 dBm [74, 3d, 31]\n");
    let line = b"+RCV=1,3,\x03\x67\xff,-60,9\r\n";
    check_as(Preset::Reyax, Data::Auto, line, "1 -60 dBm [03, 67, ff]\n");
    check_as(Preset::Reyax, Data::Text, line, "1 -60 dBm raw: neither JSON nor key=value with a known key\n");
}

#[test]
fn a_reyax_message_cut_short_waits_for_silence_only() {
    let mut decoder = Decoder::new(Preset::Reyax);
    let mut items = Vec::new();
    decoder.push(b"+RCV=50,200,cut\r\n+RCV=51,3,t=2,-60,9\r\n+RCV=52,3,t=");
    drain(&mut decoder, &mut items);
    assert_eq!(render(&items), "");
    decoder.idle();
    drain(&mut decoder, &mut items);
    assert_eq!(render(&items), "noise 17 not understood\n51 -60 dBm internal:2.00C\n");
    // What was only slow is still whole, as a line.
    let mut items = Vec::new();
    let mut decoder = Decoder::new(Preset::Json);
    decoder.push(b"{\"id\":1,");
    decoder.idle();
    decoder.push(b"\"t\":4}\n");
    drain(&mut decoder, &mut items);
    assert_eq!(render(&items), "1 internal:4.00C\n");
}

#[test]
fn rak() {
    let check = |stream: &str, expected: &str| check(Preset::Rak, stream, expected);
    let hello = "[48, 65, 6c, 6c, 6f, 20, 52, 61, 6b, 33, 31, 37, 32]";
    check("+EVT:RXP2P:-28:5:48656C6C6F2052616B33313732\r\n", &format!("p2p -28 dBm {hello}\n"));
    check(
        "+EVT:RXP2P, RSSI -28, SNR 5\r\n+EVT:48656C6C6F2052616B33313732\r\n",
        &format!("p2p -28 dBm {hello}\n"),
    );
    // {"id":"a","t":4}
    check("+EVT:RXP2P:-110:-12:7b226964223a2261222c2274223a347d\r\n", "a -110 dBm internal:4.00C\n");
    check(
        "+EVT:RXP2P RECEIVE TIMEOUT\r\n+EVT:TXP2P DONE\r\nOK\r\nAT_BUSY_ERROR\r\n+EVT:RX_1:-70:8:UNICAST:2:1234\r\n+EVT:JOINED\r\n",
        "notice +EVT:RXP2P RECEIVE TIMEOUT\nnotice +EVT:TXP2P DONE\nnotice OK\nnotice AT_BUSY_ERROR\n\
         notice +EVT:RX_1:-70:8:UNICAST:2:1234\nnotice +EVT:JOINED\n",
    );
    // The first line lost; something between the two; a half line before a whole one; an odd digit.
    check("+EVT:743D31\r\n", "noise 13 not understood\n");
    check(
        "+EVT:RXP2P, RSSI -28, SNR 5\r\n+EVT:TXP2P DONE\r\n+EVT:743D31\r\n",
        "notice +EVT:TXP2P DONE\np2p -28 dBm internal:1.00C\n",
    );
    check(
        "+EVT:RXP2P:-28:5:48+EVT:RXP2P:-29:5:743D31\r\n",
        "noise 19 not understood\np2p -29 dBm internal:1.00C\n",
    );
    check("+EVT:RXP2P:-28:5:486\r\nnoise\r\n", "noise 22 not understood\nnoise 7 not understood\n");
}

#[test]
fn rflink() {
    let check = |stream: &str, expected: &str| check(Preset::Rflink, stream, expected);
    check("20;B8;Prologue;ID=9722;TEMP=00e3;HUM=10;\r\n", "Prologue/9722 internal:22.70C internal:10.0%\n");
    check(
        "20;2D;Oregon TempHygro;ID=928F5;TEMP=00d1;HUM=56;HSTATUS=1;BAT=OK;\r\n",
        "Oregon TempHygro/928F5 internal:20.90C internal:56.0%\n",
    );
    check(
        "20;00;Nodo RadioFrequencyLink - RFLink Gateway V1.1 - R48;\r\n",
        "notice 20;00;Nodo RadioFrequencyLink - RFLink Gateway V1.1 - R48;\n",
    );
    check("20;01;PONG;\r\n", "notice 20;01;PONG;\n");
    // Sign and magnitude, not two's complement.
    check(
        "20;06;Oregon Temp;ID=2A;TEMP=80DC;BAT=LOW;\r\n",
        "Oregon Temp/2A internal:-22.00C internal:b10%\n",
    );
    check("20;06;X;ID=1;TEMP=8000;\r\n", "X/1 internal:0.00C\n");
    check("20;06;X;ID=1;TEMP=FFFF;HUM=101;\r\n", "X/1 internal:out_of_range internal:humidity\n");
    check("20;06;X;ID=1;TEMP=zz;HUM=5A;\r\n", "X/1 internal:reported internal:humidity\n");
    check(
        "20;06;NewKaku;ID=c6b;SWITCH=1;CMD=ON;\r\n",
        "NewKaku/c6b raw: an RFLink line without TEMP and HUM\n",
    );
    check("20;06;X;ID=1;TE20;07;Y;ID=2;TEMP=0010;\r\n", "noise 15 not understood\nY/2 internal:1.60C\n");
    check("20;G1;X;ID=1;TEMP=0010;\r\n10;PING;\r\n", "noise 25 not understood\nnoise 10 not understood\n");
    check("20;06;X;ID=1;TEMP=00\r\n", "noise 22 not understood\n");
}

#[test]
fn moteino() {
    let check = |stream: &str, expected: &str| check(Preset::Moteino, stream, expected);
    check("[123] t=4.2,h=55   [RX_RSSI:-45]\r\n", "123 -45 dBm internal:4.20C internal:55.0%\n");
    check("[123] t=4.2C;h=55%\r\n", "123 internal:4.20C internal:55.0%\n");
    check("[123] t=39.2F\r\n", "123 internal:reported\n");
    check("[123] door:open\r\n", "123 internal:open\n");
    check("[9] 0367F6FF   [RX_RSSI:-45] - ACK sent.\r\n", "9 -45 dBm [03, 67, f6, ff]\n");
    check("[9] hello   [RX_RSSI:-45]\r\n", "9 -45 dBm [68, 65, 6c, 6c, 6f]\n");
    check("[9] {\"t\":4}\r\n", "9 internal:4.00C\n");
    check(
        "Listening at 868 Mhz...\r\n[9]\r\n[x] t=1\r\n",
        "noise 25 not understood\nnoise 5 not understood\nnoise 9 not understood\n",
    );
    check("[1] t=[2] t=4\r\n", "noise 6 not understood\n2 internal:4.00C\n");
}

#[test]
fn long_lines_are_cut_and_counted() {
    let line = format!("{{\"id\":\"a\",\"t\":4,\"x\":\"{}\"}}\n", "x".repeat(LINE_BYTES_MAX));
    check(Preset::Json, &line, &format!("noise {} line too long\n", line.len()));
    // A whole message behind endless noise without a line end.
    let mut stream = vec![b'x'; 5_000];
    stream.extend_from_slice(b"{\"id\":\"a\",\"t\":4}\n");
    let items = decode(Preset::Json, Data::Auto, &[&stream]);
    assert_eq!(
        render(&items),
        "noise 1024 line too long\nnoise 1024 line too long\nnoise 2952 not understood\na internal:4.00C\n"
            .replace(
                "noise 1024 line too long\nnoise 2952",
                "noise 1024 line too long\nnoise 1024 line too long\nnoise 1928"
            )
    );
    let mut decoder = Decoder::new(Preset::Json);
    decoder.push(&[b'{'; 10_000]);
    assert!(decoder.stats().lines_too_long >= 7 && decoder.buffered() < BUFFER_BYTES_MAX + 5);
}

#[test]
fn a_message_becomes_a_frame() {
    let items = decode(Preset::Reyax, Data::Auto, &[b"+RCV=50,13,t=4.25,n=1234,-99,40\r\n"]);
    let Some(Item::Message(message)) = items.into_iter().next() else { panic!("a message") };
    let frame = message.into_frame("kitchen", MonoMs(17));
    assert_eq!(
        (frame.sender.source, frame.sender.port.as_str(), frame.sender.address.as_str()),
        (Source::Serial, "kitchen", "50")
    );
    assert_eq!((frame.at, frame.rssi, frame.identity.counter), (MonoMs(17), Some(-99), Some(1234)));
    assert_eq!(frame.payload.bytes(), b"t=4.25,n=1234");
}

#[test]
fn presets_are_named() {
    for preset in Preset::ALL {
        assert_eq!(Preset::parse(preset.as_str()), Some(*preset));
        assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
    }
}

/// A valid line of each preset and how it is shown.
fn valid(preset: Preset) -> (&'static [u8], &'static str) {
    match preset {
        Preset::Json => (b"{\"id\":\"ok\",\"t\":-18.5}\r\n", "ok internal:-18.50C"),
        Preset::Reyax => (b"+RCV=7,7,t=-18.5,-99,40\r\n", "7 -99 dBm internal:-18.50C"),
        Preset::Rak => (b"+EVT:RXP2P:-28:5:743D2D31382E35\r\n", "p2p -28 dBm internal:-18.50C"),
        Preset::Rflink => (b"20;B8;Prologue;ID=9722;TEMP=80b9;\r\n", "Prologue/9722 internal:-18.50C"),
        Preset::Moteino => (b"[7] t=-18.5   [RX_RSSI:-45]\r\n", "7 -45 dBm internal:-18.50C"),
    }
}

/// Any bytes, and pieces of what the presets look for.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &'static [&'static [u8]] = &[
        b"\n",
        b"\r\n",
        b"+RCV=",
        b"+RCV=50,240,",
        b"+RCV=1,2,ab,-1,",
        b"+EVT:",
        b"+EVT:RXP2P:-1:2:",
        b"{",
        b"{\"id\":\"x\",\"t\":",
        b"20;",
        b"20;01;X;ID=",
        b"[",
        b"[1] ",
        b"[RX_RSSI:",
        b"\xff",
        b"\x00",
    ];
    prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..40),
            prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
            (0usize..3_000).prop_map(|n| vec![b'7'; n]),
        ],
        0..12,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_items(
        index in 0..Preset::ALL.len(),
        parts in prop::collection::vec((noise(), any::<bool>()), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let preset = Preset::ALL[index];
        let mut stream = Vec::new();
        for (part, has_message) in parts {
            stream.extend(part);
            if has_message {
                stream.extend_from_slice(valid(preset).0);
            }
        }
        let whole = decode(preset, Data::Auto, &[&stream]);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(decode(preset, Data::Auto, &pieces), whole);
    }

    #[test]
    fn a_valid_line_after_noise_is_found(index in 0..Preset::ALL.len(), noise in noise(), on_its_own_line in any::<bool>()) {
        let preset = Preset::ALL[index];
        let (line, expected) = valid(preset);
        let mut stream = noise;
        if on_its_own_line {
            stream.extend_from_slice(b"\r\n");
        }
        let mut decoder = Decoder::new(preset);
        decoder.push(&stream);
        // The line is silent before and after.
        decoder.idle();
        decoder.push(line);
        decoder.idle();
        let mut items = Vec::new();
        drain(&mut decoder, &mut items);
        let shown = render(&items);
        prop_assert!(shown.lines().any(|line| line == expected), "{} not in {}", expected, shown);
    }
}
