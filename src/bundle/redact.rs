//! Text without secrets and without people: pure. First every secret that is known, then what looks like one. Too much
//! is taken rather than too little.

/// In place of a known secret, and of a value that a word before it calls one.
const SECRET: &str = "(redacted)";
const MAIL: &str = "(e-mail)";
const PHONE: &str = "(phone)";
const KEY: &str = "(key)";

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
    /// Lower case, the longest first: a part of a longer one must not spoil it.
    known: Vec<String>,
}

impl Redactor {
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.trim();
            // What a JSON log or a debug line makes of it.
            let in_json = serde_json::to_string(secret).unwrap_or_default();
            let in_json = in_json.trim_matches('"').to_owned();
            for form in [secret.to_owned(), in_json, secret.replace(' ', "")] {
                if form.chars().count() >= 3 {
                    known.push(form.to_lowercase());
                }
            }
            // A number as it is dialled elsewhere.
            if let Some(digits) = secret.strip_prefix('+') {
                let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
                if PHONE_DIGITS.contains(&digits.len()) {
                    known.push(digits);
                }
            }
        }
        known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        known.dedup();
        Self { known }
    }

    pub fn text(&self, text: &str) -> String {
        // A line at a time: a log may be many MiB, and the hub's machine is small.
        let lines = text.split_inclusive('\n').map(|line| {
            let mut line = line.to_owned();
            for secret in &self.known {
                line = without(line, secret);
            }
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

fn without(text: String, secret: &str) -> String {
    if !text.to_lowercase().contains(secret) {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    let lower: Vec<char> = chars.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    let secret: Vec<char> = secret.chars().collect();
    let is_short = secret.len() < ANYWHERE_MIN;
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < chars.len() {
        let ends = at + secret.len();
        let is_there = lower[at..].starts_with(&secret);
        let is_in_word =
            |index: Option<usize>| index.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
        if is_there && !(is_short && (is_in_word(at.checked_sub(1)) || is_in_word(Some(ends)))) {
            out.push_str(SECRET);
            at = ends;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
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
        let begins = at == 0 || !chars[at - 1].is_ascii_alphanumeric();
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
mod tests {
    use super::*;

    #[test]
    fn takes_what_looks_like_a_secret_or_a_person() {
        let redactor = Redactor::default();
        for (text, want) in [
            ("call Ana at +49 151 23456789, or +4915123456789.", "call Ana at (phone), or (phone)."),
            (
                "at 2026-11-25T10:00:00+00:00 and +RCV=50,5 and 1e+10",
                "at 2026-11-25T10:00:00+00:00 and +RCV=50,5 and 1e+10",
            ),
            ("mail to Ana.B+x@kitchen.example: refused", "mail to (e-mail): refused"),
            ("mqtts://user:pass@broker.example/x", "mqtts://user:(e-mail)/x"),
            (
                "AppKey 00112233445566778899AABBCCDDEEFF for A84041FFFF123456",
                "AppKey (redacted) for A84041FFFF123456",
            ),
            ("key 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", "key (key)"),
            ("key 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff end", "key (key) end"),
            (
                "unit 5f0c0000-0000-4000-8000-000000000002 is ok",
                "unit 5f0c0000-0000-4000-8000-000000000002 is ok",
            ),
            ("Authorization: Bearer abc.def-123", "Authorization: Bearer (redacted)"),
            ("password = \"short\", x", "password = \"(redacted)\", x"),
            ("{\"token\":\"t\",\"pin\": \"1234\"}", "{\"token\":\"(redacted)\",\"pin\": \"(redacted)\"}"),
            (
                "the SIM asks for a PIN: none is configured",
                "the SIM asks for a PIN: (redacted) is configured",
            ),
            ("pairing code K7WMQ4 is open", "pairing code (redacted) is open"),
            ("exit code 1, status code 404", "exit code 1, status code 404"),
            ("token_file = /etc/frostguard/metrics.token", "token_file = /etc/frostguard/metrics.token"),
            ("got eyJhbGciOiJIUzI1NiJ9eyJzdWIiOiIxMjM0NTY3ODkwIn0", "got (redacted)"),
            (
                "/dev/serial/by-id/usb-Silicon_Labs_CP2102_USB_to_UART_0001-if00-port0 is up",
                "/dev/serial/by-id/usb-Silicon_Labs_CP2102_USB_to_UART_0001-if00-port0 is up",
            ),
            (
                "frostguard_hub::pipeline::writer: committed 42 rows in 7 ms",
                "frostguard_hub::pipeline::writer: committed 42 rows in 7 ms",
            ),
            ("", ""),
            ("+ü @ é+", "+ü @ é+"),
        ] {
            assert_eq!(redactor.text(text), want);
        }
    }

    #[test]
    fn takes_what_is_known() {
        let secrets = ["1234", "Ana Böll", "hunter2-hunter2", "pa\"ss\\word", "+49 151-23456789", "ab"];
        let redactor = Redactor::new(secrets.map(str::to_owned));
        for (text, want) in [
            ("unlocked with 1234.", "unlocked with (redacted)."),
            ("12345 rows, x1234", "12345 rows, x1234"),
            ("taken by ANA BÖLL", "taken by (redacted)"),
            ("xhunter2-HUNTER2x", "x(redacted)x"),
            ("{\"a\":\"pa\\\"ss\\\\word\"}", "{\"a\":\"(redacted)\"}"),
            ("dialled 4915123456789", "dialled (redacted)"),
            ("ab is too short to be one", "ab is too short to be one"),
        ] {
            assert_eq!(redactor.text(text), want);
        }
        let value = serde_json::json!({ "Ana Böll": ["call 1234", 1234, null], "n": { "x": "ok" } });
        let want = serde_json::json!({ "(redacted)": ["call (redacted)", 1234, null], "n": { "x": "ok" } });
        assert_eq!(redactor.json(&value), want);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC*") {
            let redactor = Redactor::new(["secret".to_owned(), "ß1234567".to_owned()]);
            let clean = redactor.text(&text);
            proptest::prop_assert!(!clean.contains("ß1234567"));
        }
    }
}
