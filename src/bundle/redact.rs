//! Text without secrets and without people: pure. First every secret that is known, then what looks like one. Too much
//! is taken rather than too little.

use std::collections::{HashMap, HashSet};

/// In place of a known secret, and of a value that a word before it calls one.
const SECRET: &str = "(redacted)";
const MAIL: &str = "(e-mail)";
const PHONE: &str = "(phone)";
const KEY: &str = "(key)";

/// A known secret that is shorter is in every line by chance.
const KNOWN_MIN: usize = 3;
/// A known secret this short is only taken as a word of its own: a PIN's digits are in many numbers.
const ANYWHERE_MIN: usize = 8;
/// Hex digits of an AES key; EUIs have 16, and are named on every label.
const KEY_DIGITS_MIN: usize = 32;
/// Letters and digits without a break that mean nothing: tokens.
const TOKEN_MIN: usize = 32;
/// E.164, and the shortest that anybody is called by.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Words after which a value is a secret, whatever it looks like.
const WORDS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "pin",
    "bearer",
    "authorization",
    "app_key",
    "appkey",
];

/// What is known to be secret or a person's.
#[derive(Default)]
pub struct Redactor {
    known: Known,
}

impl Redactor {
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut known = Known::default();
        for secret in secrets {
            let secret = secret.trim();
            // What a JSON log or a debug line makes of it.
            let in_json = serde_json::to_string(secret).unwrap_or_default();
            let in_json = in_json.trim_matches('"').to_owned();
            for form in [secret.to_owned(), in_json, secret.replace(' ', "")] {
                known.add(&form);
            }
            // A number as it is dialled elsewhere.
            if let Some(digits) = secret.strip_prefix('+') {
                let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
                if PHONE_DIGITS.contains(&digits.len()) {
                    known.add(&digits);
                }
            }
        }
        Self { known }
    }

    pub fn text(&self, text: &str) -> String {
        // A line at a time: a log may be many MiB, and the hub's machine is small.
        let lines = text.split_inclusive('\n').map(|line| {
            let line = self.known.without(line);
            let line = after_words(&line);
            let line = keys(&line);
            let line = tokens(&line);
            phones(&mails(&line))
        });
        lines.collect()
    }

    /// Every string and key in it; its shape stays.
    pub fn json(&self, value: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(all) => all.iter().map(|value| self.json(value)).collect(),
            Value::Object(all) => {
                Value::Object(all.iter().map(|(key, value)| (self.text(key), self.json(value))).collect())
            }
            other => other.clone(),
        }
    }
}

/// Secrets by their first characters and lengths, so that a line costs the same however many there are: a hub may know
/// ten thousand sensors and everybody of its organization.
#[derive(Default)]
struct Known {
    /// Lengths of the secrets that begin so, the longest first.
    lengths: HashMap<[char; KNOWN_MIN], Vec<usize>>,
    whole: HashSet<Vec<char>>,
}

impl Known {
    fn add(&mut self, secret: &str) {
        let secret: Vec<char> = secret.chars().flat_map(folded).collect();
        // Hex of a key's length is taken by its shape, and there may be very many.
        let is_key = secret.len() >= KEY_DIGITS_MIN && secret.iter().all(char::is_ascii_hexdigit);
        let Some(&start) = secret.first_chunk() else { return };
        if is_key {
            return;
        }
        let lengths = self.lengths.entry(start).or_default();
        if let Err(at) = lengths.binary_search_by(|length| secret.len().cmp(length)) {
            lengths.insert(at, secret.len());
        }
        self.whole.insert(secret);
    }

    /// Whatever is part of any secret is taken; where they overlap, both are.
    fn without(&self, line: &str) -> String {
        let (mut text, mut origins) = (Vec::with_capacity(line.len()), Vec::with_capacity(line.len()));
        for (at, c) in line.char_indices() {
            for part in folded(c) {
                text.push(part);
                origins.push(at..at + c.len_utf8());
            }
        }
        let (mut out, mut written) = (String::with_capacity(line.len()), 0);
        for at in 0..text.len() {
            let Some(length) = self.longest_at(&text, at) else { continue };
            // One character may have become several.
            let (start, end) = (origins[at].start, origins[at + length - 1].end);
            if start >= written {
                out.push_str(&line[written..start]);
                out.push_str(SECRET);
            }
            written = written.max(end);
        }
        out.push_str(&line[written..]);
        out
    }

    fn longest_at(&self, text: &[char], at: usize) -> Option<usize> {
        let lengths = self.lengths.get(text[at..].first_chunk::<KNOWN_MIN>()?)?;
        let is_in_word =
            |index: Option<usize>| index.and_then(|i| text.get(i)).is_some_and(|c| c.is_alphanumeric());
        lengths.iter().copied().find(|&length| {
            let is_there = text.get(at..at + length).is_some_and(|part| self.whole.contains(part));
            let is_short = length < ANYWHERE_MIN;
            is_there && !(is_short && (is_in_word(at.checked_sub(1)) || is_in_word(Some(at + length))))
        })
    }
}

/// Without case, the same for secrets and text: a whole text's `to_lowercase` depends on what stands beside a letter (ς),
/// and some capitals become several letters (İ, ẞ).
fn folded(c: char) -> impl Iterator<Item = char> {
    const DOT_ABOVE: char = '\u{307}';
    let lower = c.to_lowercase().filter(|c| *c != DOT_ABOVE);
    lower.flat_map(|c| {
        let (first, second) = match c {
            'ς' => ('σ', None),
            'ß' => ('s', Some('s')),
            c => (c, None),
        };
        std::iter::once(first).chain(second)
    })
}

/// `password = "x"`, `token: x`, `Bearer x`; codes of pairings, which are six letters and digits or more.
fn after_words(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((start, word_end)) = next_word(rest) {
        let word = rest[start..word_end].to_ascii_lowercase();
        out.push_str(&rest[..word_end]);
        rest = &rest[word_end..];
        let is_code = word == "code";
        if !is_code && !WORDS.contains(&word.as_str()) {
            continue;
        }
        let value_at = rest.find(|c: char| !" =:\"'\\`".contains(c)).unwrap_or(rest.len());
        let value = &rest[value_at..];
        let value = &value
            [..value.find(|c: char| c.is_whitespace() || ",;\"'\\`)}]".contains(c)).unwrap_or(value.len())];
        let between = &rest[..value_at];
        let is_assigned = between.contains(['=', ':']);
        let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
        let is_pairing =
            value.len() >= 6 && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let next_is_word = WORDS.contains(&value.to_ascii_lowercase().as_str());
        let is_secret = if is_code { is_pairing } else { !next_is_word && (is_assigned || has_digit) };
        if is_secret
            && !value.is_empty()
            && !value.starts_with('(')
            && !value.starts_with('/')
            && between.len() <= 6
        {
            out.push_str(between);
            out.push_str(SECRET);
            rest = &rest[value_at + value.len()..];
        }
    }
    out.push_str(rest);
    out
}

/// Letters and underscores; where it begins and ends.
fn next_word(text: &str) -> Option<(usize, usize)> {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let start = text.find(is_letter)?;
    let length = text[start..].find(|c: char| !is_letter(c)).unwrap_or(text.len() - start);
    Some((start, start + length))
}

/// Hex of 32 digits or more, in one piece or in pairs with one character between. UUIDs stay: they name units and alerts.
fn keys(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let (mut out, mut at) = (String::with_capacity(line.len()), 0);
    while at < chars.len() {
        // Also behind a letter: that may be the end of an escape, as in `\n0011..`.
        let begins = at == 0 || !chars[at - 1].is_ascii_hexdigit();
        if let Some(length) = begins.then(|| uuid(&chars[at..])).flatten() {
            out.extend(&chars[at..at + length]);
            at += length;
        } else if let Some(length) = begins.then(|| key(&chars[at..])).flatten() {
            out.push_str(KEY);
            at += length;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn uuid(chars: &[char]) -> Option<usize> {
    let is_one = chars.len() >= 36
        && chars[..36]
            .iter()
            .enumerate()
            .all(|(at, c)| if matches!(at, 8 | 13 | 18 | 23) { *c == '-' } else { c.is_ascii_hexdigit() })
        && !chars.get(36).is_some_and(char::is_ascii_alphanumeric);
    is_one.then_some(36)
}

fn key(chars: &[char]) -> Option<usize> {
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_hexdigit);
    let (mut digits, mut at) = (0, 0);
    while is_digit(at) {
        while is_digit(at) {
            (digits, at) = (digits + 1, at + 1);
        }
        // Between pairs; what follows must be one, and no word that begins like one.
        let is_between = chars.get(at).is_some_and(|c| " :-,".contains(*c));
        let is_pair = is_digit(at + 1) && is_digit(at + 2);
        if digits % 2 == 0 && is_between && is_pair {
            at += 1;
        }
    }
    (digits >= KEY_DIGITS_MIN).then_some(at)
}

/// Runs without meaning: upper and lower case and digits, and no path.
fn tokens(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    runs(line, is_part, |run| {
        let has = |is: fn(&u8) -> bool| run.bytes().any(|byte| is(&byte));
        let is_token = run.len() >= TOKEN_MIN
            && !run.starts_with('/')
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase);
        is_token.then_some(SECRET)
    })
}

fn mails(line: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "._%+-@".contains(c);
    runs(line, is_part, |run| {
        let (name, host) = run.split_once('@')?;
        (!name.is_empty() && !host.is_empty()).then_some(MAIL)
    })
}

fn runs(line: &str, is_part: impl Fn(char) -> bool, judge: impl Fn(&str) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(&is_part) {
        let length = rest[start..].find(|c| !is_part(c)).unwrap_or(rest.len() - start);
        let run = &rest[start..start + length];
        out.push_str(&rest[..start]);
        out.push_str(judge(run).unwrap_or(run));
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    out
}

/// `+49 151 23456789`, with what people put between digits.
fn phones(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(plus) = rest.find('+') {
        let number = &rest[plus + 1..];
        let length =
            number.find(|c: char| !c.is_ascii_digit() && !" -()./".contains(c)).unwrap_or(number.len());
        let number = number[..length].trim_end_matches(|c: char| !c.is_ascii_digit());
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        out.push_str(&rest[..plus]);
        // More digits than a number has are two of them, or something else beside one.
        if number.starts_with(|c: char| c.is_ascii_digit()) && digits >= *PHONE_DIGITS.start() {
            out.push_str(PHONE);
        } else {
            out.push('+');
            out.push_str(number);
        }
        rest = &rest[plus + 1 + number.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
