//! How a text becomes short messages: which coding, where it is parted, where it is cut.

use super::alphabet::{self, Code};

/// Parts of one text: 612 characters of the default alphabet or 268 others. Each part is paid for, and an alarm that
/// needs more is not read.
pub const PARTS_MAX: usize = 4;

/// The user data of a message is 140 octets (TS 23.040, 9.2.3.24): 160 septets, or 70 units of two octets.
const SINGLE: Room = Room { septets: 160, units: 70 };
/// The same without the six octets of a concatenation header and the bit that fills its last septet.
const PART: Room = Room { septets: 153, units: 67 };
/// The same without "(1/4) ".
const NUMBERED: Room = Room { septets: 154, units: 64 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The default alphabet, 7 bits a character.
    Gsm7,
    /// 16 bits a unit; what lies beyond is a surrogate pair.
    Ucs2,
}

/// A text ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub coding: Coding,
    /// At least one, at most [`PARTS_MAX`].
    pub parts: Vec<String>,
    /// The text was longer; the last part ends in an ellipsis.
    pub is_cut: bool,
}

impl Plan {
    /// Parts that the receiving phone joins.
    pub fn joined(text: &str) -> Self {
        Self::within(text, PART)
    }

    /// Parts that each say their number, for modems that cannot send headers.
    pub fn numbered(text: &str) -> Self {
        let mut plan = Self::within(text, NUMBERED);
        let total = plan.parts.len();
        if total > 1 {
            for (index, part) in plan.parts.iter_mut().enumerate() {
                part.insert_str(0, &format!("({}/{total}) ", index + 1));
            }
        }
        plan
    }

    fn within(text: &str, part: Room) -> Self {
        let text = clean(text);
        let plain = alphabet::plainly(&text);
        let (coding, text) = if plain.chars().all(|character| alphabet::code(character).is_some()) {
            (Coding::Gsm7, plain)
        } else {
            (Coding::Ucs2, text)
        };
        if length(coding, &text) <= SINGLE.of(coding) {
            return Self { coding, parts: vec![text], is_cut: false };
        }
        let room = part.of(coding);
        let mut parts = split(coding, &text, room);
        let is_cut = parts.len() > PARTS_MAX;
        if is_cut {
            parts.truncate(PARTS_MAX);
            let ellipsis = match coding {
                Coding::Gsm7 => "...",
                Coding::Ucs2 => "…",
            };
            let last = parts.last_mut().expect("a long text has parts");
            while length(coding, last) + length(coding, ellipsis) > room {
                last.pop();
            }
            last.push_str(ellipsis);
        }
        Self { coding, parts, is_cut }
    }
}

#[derive(Clone, Copy)]
struct Room {
    septets: usize,
    units: usize,
}

impl Room {
    fn of(self, coding: Coding) -> usize {
        match coding {
            Coding::Gsm7 => self.septets,
            Coding::Ucs2 => self.units,
        }
    }
}

/// Lines end in `\n`; what else controls a terminal or a modem is a space.
fn clean(text: &str) -> String {
    let text = text.trim_end().replace("\r\n", "\n");
    text.chars().map(|one| if one.is_control() && one != '\n' { ' ' } else { one }).collect()
}

fn split(coding: Coding, text: &str, room: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    for character in text.chars() {
        let cost = cost(coding, character);
        if used + cost > room {
            parts.push(String::new());
            used = 0;
        }
        used += cost;
        parts.last_mut().expect("begins with one").push(character);
    }
    parts
}

fn length(coding: Coding, text: &str) -> usize {
    text.chars().map(|character| cost(coding, character)).sum()
}

fn cost(coding: Coding, character: char) -> usize {
    match coding {
        Coding::Ucs2 => character.len_utf16(),
        Coding::Gsm7 => match alphabet::code(character) {
            Some(Code::Extended(_)) => 2,
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `want`: the characters of each part.
    #[track_caller]
    fn check(text: &str, coding: Coding, want: &[usize], is_cut: bool) {
        let plan = Plan::joined(text);
        let lengths: Vec<usize> = plan.parts.iter().map(|part| part.chars().count()).collect();
        assert_eq!((plan.coding, lengths.as_slice(), plan.is_cut), (coding, want, is_cut), "{plan:?}");
        let joined: String = plan.parts.concat();
        assert!(is_cut || joined == clean(text) || joined == alphabet::plainly(text), "{joined:?}");
    }

    #[test]
    fn texts_are_parted_where_the_standard_says() {
        use Coding::{Gsm7, Ucs2};
        check("", Gsm7, &[0], false);
        check(&"a".repeat(160), Gsm7, &[160], false);
        check(&"a".repeat(161), Gsm7, &[153, 8], false);
        check(&"ж".repeat(70), Ucs2, &[70], false);
        check(&"ж".repeat(71), Ucs2, &[67, 4], false);
        // An escape sequence or a surrogate pair goes whole into the next part.
        check(&format!("{}€{}", "a".repeat(152), "b".repeat(10)), Gsm7, &[152, 11], false);
        check(&format!("{}😀{}", "ж".repeat(66), "я".repeat(10)), Ucs2, &[66, 11], false);
        check(&"€".repeat(80), Gsm7, &[80], false);
        check(&"€".repeat(81), Gsm7, &[76, 5], false);
        // The degree sign alone does not cost ninety characters.
        check("-11.5 °C", Gsm7, &[7], false);
        check("ж -11.5 °C", Ucs2, &[10], false);
        check(&"a".repeat(612), Gsm7, &[153; 4], false);
        check(&"a".repeat(613), Gsm7, &[153; 4], true);
        check(&"ж".repeat(269), Ucs2, &[67; 4], true);
        check(&"€".repeat(2_000), Gsm7, &[76, 76, 76, 78], true);
    }

    #[test]
    fn what_is_cut_ends_in_an_ellipsis_and_numbers_stand_first() {
        assert!(Plan::joined(&"a".repeat(700)).parts[3].ends_with("aa..."));
        assert!(Plan::joined(&"ж".repeat(700)).parts[3].ends_with("жж…"));
        let plan = Plan::numbered(&"a".repeat(400));
        assert_eq!(plan.parts.iter().map(String::len).collect::<Vec<_>>(), [160, 160, 98]);
        assert!(plan.parts[0].starts_with("(1/3) a") && plan.parts[2].starts_with("(3/3) a"), "{plan:?}");
        assert_eq!(Plan::numbered("short").parts, ["short"]);
        assert_eq!(Plan::numbered(&"ж".repeat(100)).parts[0].chars().count(), 70);
    }

    #[test]
    fn nothing_that_controls_a_modem_is_left_in_a_text() {
        let plan = Plan::joined("a\u{1a}b\u{1b}c\r\nd\u{0}e\r\n");
        assert_eq!(plan.parts, ["a b c\nd e"]);
    }
}
