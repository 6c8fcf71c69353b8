//! The GSM 7 bit default alphabet and its extension table (3GPP TS 23.038, 6.2.1), and what is written in its stead.

/// Says that the next septet is of the extension table.
pub const ESCAPE: u8 = 0x1B;

/// Position is code (6.2.1). The place of [`ESCAPE`] holds a character that no text has.
const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table (6.2.1.1).
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0A),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2F),
    ('[', 0x3C),
    ('~', 0x3D),
    (']', 0x3E),
    ('|', 0x40),
    ('€', 0x65),
];

/// How the alphabet writes a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// One septet.
    Plain(u8),
    /// [`ESCAPE`] and one septet, which must not be torn apart.
    Extended(u8),
}

/// None: the alphabet lacks the character.
pub fn code(character: char) -> Option<Code> {
    if character == char::from(ESCAPE) {
        return None;
    }
    let plain = DEFAULT.chars().position(|known| known == character);
    plain.map(|at| Code::Plain(at as u8)).or_else(|| {
        let extended = EXTENSION.iter().find(|(known, _)| *known == character);
        extended.map(|(_, septet)| Code::Extended(*septet))
    })
}

/// The septets of a text that the alphabet can write; a character it lacks becomes a question mark.
pub fn septets(text: &str) -> Vec<u8> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        match code(character) {
            Some(Code::Plain(septet)) => septets.push(septet),
            Some(Code::Extended(septet)) => septets.extend([ESCAPE, septet]),
            None => septets.push(b'?'),
        }
    }
    septets
}

/// Packs septets into octets, low bits first, after `fill_bits` zero bits (TS 23.038, 6.1.2.1.1).
pub fn pack(septets: &[u8], fill_bits: usize) -> Vec<u8> {
    let mut octets = vec![0; (septets.len() * 7 + fill_bits).div_ceil(8)];
    for (index, septet) in septets.iter().enumerate() {
        let bit = fill_bits + index * 7;
        let shifted = u16::from(septet & 0x7F) << (bit % 8);
        octets[bit / 8] |= shifted as u8;
        if shifted > 0xFF {
            octets[bit / 8 + 1] |= (shifted >> 8) as u8;
        }
    }
    octets
}

/// The text with typographic characters written plainly, for when they alone keep it out of the alphabet: a message
/// with one "°" would otherwise hold 70 characters instead of 160. Letters stay as they are, whatever their script.
pub fn plainly(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if code(character).is_some() {
            plain.push(character);
        } else if character == '°' {
            match characters.peek() {
                Some('C' | 'F') if plain.ends_with(' ') => {}
                Some('C' | 'F') => plain.push(' '),
                _ => plain.push_str(" deg"),
            }
        } else {
            match stand_in(character) {
                Some(words) => plain.push_str(words),
                None => plain.push(character),
            }
        }
    }
    plain
}

fn stand_in(character: char) -> Option<&'static str> {
    Some(match character {
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        // Of no width: soft hyphen, joiners, direction marks, byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "",
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '•' | '‣' | '▪' => "-",
        '‘' | '’' | '‚' | '‛' | '′' | '´' | '`' | '‹' | '›' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => "\"",
        '…' => "...",
        '·' => ".",
        '×' => "x",
        '÷' => "/",
        '±' => "+/-",
        '≤' => "<=",
        '≥' => ">=",
        '≈' => "~",
        '→' => "->",
        '←' => "<-",
        '↑' => "^",
        '²' => "2",
        '³' => "3",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        '№' => "No.",
        '©' => "(c)",
        '®' => "(R)",
        '™' => "(TM)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::modem::hex;

    #[test]
    fn the_table_is_that_of_the_standard() {
        assert_eq!(DEFAULT.chars().count(), 128);
        for (character, want) in [
            ('@', Some(Code::Plain(0x00))),
            ('\n', Some(Code::Plain(0x0A))),
            ('\r', Some(Code::Plain(0x0D))),
            ('Δ', Some(Code::Plain(0x10))),
            ('Ξ', Some(Code::Plain(0x1A))),
            ('Æ', Some(Code::Plain(0x1C))),
            ('ß', Some(Code::Plain(0x1E))),
            (' ', Some(Code::Plain(0x20))),
            ('¤', Some(Code::Plain(0x24))),
            ('¡', Some(Code::Plain(0x40))),
            ('A', Some(Code::Plain(0x41))),
            ('Ä', Some(Code::Plain(0x5B))),
            ('§', Some(Code::Plain(0x5F))),
            ('¿', Some(Code::Plain(0x60))),
            ('ä', Some(Code::Plain(0x7B))),
            ('ü', Some(Code::Plain(0x7E))),
            ('à', Some(Code::Plain(0x7F))),
            ('€', Some(Code::Extended(0x65))),
            ('[', Some(Code::Extended(0x3C))),
            ('\u{1b}', None),
            ('°', None),
            ('ç', None),
            ('`', None),
            ('Ж', None),
        ] {
            assert_eq!(code(character), want, "{character:?}");
        }
    }

    #[track_caller]
    fn check_packed(text: &str, fill_bits: usize, want: &str) {
        assert_eq!(hex(&pack(&septets(text), fill_bits)), want, "{text:?} after {fill_bits} bits");
    }

    #[test]
    fn septets_are_packed_low_bits_first() {
        check_packed("", 0, "");
        check_packed("hellohello", 0, "E8329BFD4697D9EC37");
        check_packed("Hello", 0, "C8329BFD06");
        check_packed("€", 0, "9B32");
        // One fill bit: 'A' is 0x41, moved by one.
        check_packed("A", 1, "82");
        check_packed("@@@@@@@à", 0, "000000000000FE");
    }

    #[test]
    fn typography_is_written_plainly_and_letters_are_kept() {
        for (text, want) in [
            ("Freezer 2 is at -11.5 °C", "Freezer 2 is at -11.5 C"),
            ("4.2°C, 39.6°F", "4.2 C, 39.6 F"),
            ("turned by 90°", "turned by 90 deg"),
            ("“Walk‑in” – limit ≥ 5 °C…", "\"Walk-in\" - limit >= 5 C..."),
            ("Kühlhaus Süd", "Kühlhaus Süd"),
            ("Холодильник 5 °C", "Холодильник 5 C"),
            ("5\u{a0}°C", "5 C"),
        ] {
            assert_eq!(plainly(text), want);
        }
    }
}
