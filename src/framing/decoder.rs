//! The buffer of a line, and what is taken off it.

use std::collections::VecDeque;

use super::{Data, Item, LINE_BYTES_MAX, Noise, Parsed, Preset, Stats};
use super::{json, moteino, rak, reyax, rflink};

/// A line is judged when it ends or when this much of it stands in memory; the older half then goes. So the longest
/// message is still whole behind any amount of noise.
pub(super) const BUFFER_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;
/// How much of dropped bytes is shown.
const SAMPLE_BYTES_MAX: usize = 64;
/// Bytes in, items out.
pub struct Decoder {
    preset: Preset,
    data: Data,
    buffer: Vec<u8>,
    /// Reyax: before this position of the buffer no message begins.
    scanned: usize,
    /// RAK, older form: the line before the data.
    header: Option<rak::Header>,
    items: VecDeque<Item>,
    stats: Stats,
}

impl Decoder {
    pub fn new(preset: Preset) -> Self {
        Self::with_data(preset, Data::Auto)
    }

    pub fn with_data(preset: Preset, data: Data) -> Self {
        Self {
            preset,
            data,
            buffer: Vec::new(),
            scanned: 0,
            header: None,
            items: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes bytes as they came. Drain with [`Self::next`] after each push: then less than two lines stay in memory.
    pub fn push(&mut self, bytes: &[u8]) {
        self.stats.bytes_in += bytes.len() as u64;
        // In pieces, so that memory stays small whatever the caller pushes at once; the result does not depend on it.
        for piece in bytes.chunks(LINE_BYTES_MAX) {
            self.buffer.extend_from_slice(piece);
            while self.step(Wait::ForMore) {}
        }
    }

    /// Nothing came for [`super::IDLE_MS`]: a message that was cut short is given up, and what came after its beginning is
    /// searched. A line without its end stays: terminals and slow senders pause.
    pub fn idle(&mut self) {
        while self.step(Wait::No) {}
    }

    /// The next item, in the order of the bytes.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that ends and begins again would surprise"
    )]
    pub fn next(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Bytes kept for want of their end.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes one message, line or piece of noise off the buffer; false: it must wait.
    fn step(&mut self, wait: Wait) -> bool {
        let from = self.scanned.min(self.buffer.len());
        let start = match self.preset {
            Preset::Reyax => find(&self.buffer, reyax::MARKER, from),
            _ => None,
        };
        let end = self.buffer[from..].iter().position(|byte| *byte == b'\n').map(|n| from + n);
        let first = start.unwrap_or(usize::MAX).min(end.unwrap_or(usize::MAX));
        if first >= BUFFER_BYTES_MAX {
            // A message that has half begun there counts as begun.
            let begun =
                if self.preset == Preset::Reyax && wait == Wait::ForMore { reyax::MARKER.len() } else { 0 };
            if self.buffer.len() < BUFFER_BYTES_MAX + begun {
                return false;
            }
            self.stats.lines_too_long += 1;
            self.drop_front(Noise::TooLong, LINE_BYTES_MAX);
            return true;
        }
        match start {
            Some(start) if start == first => self.step_reyax(start, wait),
            _ => {
                self.step_line(first + 1);
                true
            }
        }
    }

    /// A Reyax message may hold any byte, so it is taken by its length, not by the end of the line.
    fn step_reyax(&mut self, start: usize, wait: Wait) -> bool {
        match reyax::parse(&self.buffer[start..], self.data) {
            reyax::Parsed::Complete { message, len } => {
                self.drop_front(Noise::NotUnderstood, start);
                self.emit(Item::Message(message), len);
            }
            reyax::Parsed::Partial if wait == Wait::ForMore => return false,
            reyax::Parsed::Partial | reyax::Parsed::No => self.scanned = start + 1,
        }
        true
    }

    /// A whole line, `len` bytes with its end.
    fn step_line(&mut self, len: usize) {
        let line = self.buffer[..len].to_vec();
        let content = line.trim_ascii();
        if content.is_empty() {
            self.take(len);
            return;
        }
        let offset = line.len() - line.trim_ascii_start().len();
        // What may still be in front of a message, given how long one may be.
        let earliest = content.len().saturating_sub(LINE_BYTES_MAX);
        // From the last: in a line whose end was lost, what follows is the next message and no part of this one.
        for begin in self.begins(content).into_iter().rev().filter(|begin| *begin >= earliest) {
            if let Some(item) = self.parse(&content[begin..]) {
                let noise = if begin == 0 { 0 } else { offset + begin };
                self.drop_front(Noise::NotUnderstood, noise);
                match item {
                    Parsed::Item(item) => self.emit(item, len - noise),
                    Parsed::Header => self.take(len - noise),
                }
                return;
            }
        }
        if content.len() > LINE_BYTES_MAX {
            self.stats.lines_too_long += 1;
            self.drop_front(Noise::TooLong, len);
        } else {
            self.drop_front(Noise::NotUnderstood, len);
        }
    }

    /// Where in a line a message or notice of the preset could begin.
    fn begins(&self, content: &[u8]) -> Vec<usize> {
        let marker: &[u8] = match self.preset {
            Preset::Json => b"{",
            Preset::Reyax => b"+",
            Preset::Rak => b"+EVT:",
            Preset::Rflink => b"20;",
            Preset::Moteino => b"[",
        };
        let windows = content.windows(marker.len()).enumerate();
        let mut begins: Vec<usize> =
            windows.filter(|(_, window)| *window == marker).map(|(begin, _)| begin).collect();
        if self.preset == Preset::Rak && begins.is_empty() {
            // A RAK module's other answers (`OK`, `AT_ERROR`) have no marker.
            begins.push(0);
        }
        begins
    }

    fn parse(&mut self, content: &[u8]) -> Option<Parsed> {
        let item = match self.preset {
            Preset::Json => json::parse_line(content).map(Item::Message),
            Preset::Reyax => reyax::parse_notice(content).map(Item::Notice),
            Preset::Rak => return rak::parse(content, self.data, &mut self.header),
            Preset::Rflink => rflink::parse(content),
            Preset::Moteino => moteino::parse(content, self.data).map(Item::Message),
        };
        item.map(Parsed::Item)
    }

    fn emit(&mut self, item: Item, len: usize) {
        match item {
            Item::Message(_) => self.stats.messages += 1,
            Item::Notice(_) => self.stats.notices += 1,
            Item::Noise { .. } => {}
        }
        self.items.push_back(item);
        self.take(len);
    }

    fn take(&mut self, len: usize) {
        self.stats.bytes_understood += len as u64;
        self.remove(len);
    }

    fn drop_front(&mut self, reason: Noise, len: usize) {
        if len == 0 {
            return;
        }
        let sample = self.buffer[..len.min(SAMPLE_BYTES_MAX)].to_vec();
        self.stats.bytes_dropped += len as u64;
        self.items.push_back(Item::Noise { reason, dropped: len, sample });
        self.remove(len);
    }

    fn remove(&mut self, len: usize) {
        self.buffer.drain(..len);
        self.scanned = self.scanned.saturating_sub(len);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    ForMore,
    No,
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    haystack[from..].windows(needle.len()).position(|window| window == needle).map(|n| from + n)
}
