//! The modem's bytes to lines and prompts.

use std::collections::VecDeque;

/// The longest line that says something: a status report in hexadecimal (164 octets by TS 23.040) fits three times.
pub const LINE_BYTES_MAX: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Without its end and the blanks around it; never empty.
    Line(String),
    /// `> `: the modem takes the message now (TS 27.005, 3.5.1).
    Prompt,
}

/// A buffer of what came.
#[derive(Default)]
pub struct Lines {
    bytes: VecDeque<u8>,
    line: Vec<u8>,
    cut: u64,
}

impl Lines {
    /// Drain with [`Self::next`] after each push: then less than a line stays in memory.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next piece. A prompt has no end of line: it is only seen by whom `awaits_prompt`.
    pub fn next(&mut self, awaits_prompt: bool) -> Option<Piece> {
        while let Some(byte) = self.bytes.pop_front() {
            match byte {
                b'\r' | b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
                    if !line.is_empty() {
                        return Some(Piece::Line(line));
                    }
                }
                b'>' if awaits_prompt && self.line.trim_ascii().is_empty() => {
                    self.line.clear();
                    return Some(Piece::Prompt);
                }
                // A modem that was just given power may send some.
                0 => {}
                _ if self.line.len() >= LINE_BYTES_MAX => self.cut += 1,
                _ => self.line.push(byte),
            }
        }
        None
    }

    /// Forgets what is buffered.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.line.clear();
    }

    /// How many bytes of over-long lines were dropped since it was last asked.
    pub fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], awaits_prompt: bool, want: &[&str]) {
        // However the bytes are cut, the pieces are the same.
        for size in [1, 2, 3, bytes.len().max(1)] {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(size) {
                lines.push(chunk);
                while let Some(piece) = lines.next(awaits_prompt) {
                    got.push(match piece {
                        Piece::Line(line) => line,
                        Piece::Prompt => "<prompt>".to_owned(),
                    });
                }
            }
            assert_eq!(got, want, "in pieces of {size}");
        }
    }

    #[test]
    fn lines_and_prompts_are_found_in_any_cut() {
        check(b"AT\r\r\nOK\r\n", false, &["AT", "OK"]);
        check(b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", false, &["+CSQ: 20,99", "OK"]);
        check(b"AT+CMGS=23\r\r\n> ", true, &["AT+CMGS=23", "<prompt>"]);
        check(b"\r\n> \r\n+CREG: 2\r\n", true, &["<prompt>", "+CREG: 2"]);
        check(b"\r\n> \r\n", false, &[">"]);
        check(b"half a li", false, &[]);
        check(b"\x00\x00OK\n", false, &["OK"]);
        check(b"\xff\xfe+\r\nOK\r\n", false, &["\u{fffd}\u{fffd}+", "OK"]);
    }

    #[test]
    fn long_lines_are_cut_and_counted() {
        let mut lines = Lines::default();
        lines.push(&[b'x'; LINE_BYTES_MAX + 77]);
        assert_eq!(lines.next(false), None);
        lines.push(b"\r\nOK\r\n");
        assert_eq!(lines.next(false), Some(Piece::Line("x".repeat(LINE_BYTES_MAX))));
        assert_eq!(lines.next(false), Some(Piece::Line("OK".to_owned())));
        assert_eq!((lines.take_cut(), lines.take_cut()), (77, 0));
    }
}
