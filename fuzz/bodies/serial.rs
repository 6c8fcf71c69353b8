//! A serial line of any preset: a byte that says which, one that says how it is cut, then the line.

use frostguard_hub::framing::{Data, Decoder, Item, LINE_BYTES_MAX, Preset, Stats};

use super::Script;

/// Two lines, and a message that has half begun behind them.
const BUFFERED_MAX: usize = 2 * LINE_BYTES_MAX + 16;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let (kind, cut) = (script.byte(), script.byte());
    let preset = Preset::ALL[usize::from(kind) % Preset::ALL.len()];
    let data = [Data::Auto, Data::Text, Data::Binary][usize::from(kind >> 4) % 3];
    let line = script.rest();

    let (whole, stats) = decode(preset, data, line.chunks(line.len().max(1)));
    let (pieces, stats_of_pieces) = decode(preset, data, line.chunks(usize::from(cut).max(1)));
    assert_eq!(whole, pieces, "the result depends on how the line is cut");
    assert_eq!(stats, stats_of_pieces);

    let dropped: usize =
        whole.iter().map(|item| if let Item::Noise { dropped, .. } = item { *dropped } else { 0 }).sum();
    assert_eq!(dropped as u64, stats.bytes_dropped);
    for item in &whole {
        if let Item::Message(message) = item {
            assert!(!message.address.is_empty());
            super::is_payload(&message.payload);
        }
    }
}

fn decode<'a>(preset: Preset, data: Data, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, Stats) {
    let mut decoder = Decoder::with_data(preset, data);
    let mut items = Vec::new();
    let mut drain = |decoder: &mut Decoder| {
        while let Some(item) = decoder.next() {
            items.push(item);
        }
        let stats = decoder.stats();
        assert!(decoder.buffered() <= BUFFERED_MAX);
        assert_eq!(stats.bytes_in, stats.bytes_understood + stats.bytes_dropped + decoder.buffered() as u64);
    };
    for piece in pieces {
        decoder.push(piece);
        drain(&mut decoder);
    }
    decoder.idle();
    drain(&mut decoder);
    let stats = decoder.stats();
    (items, stats)
}
