use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};

use crate::domain::Severity;
use crate::notify::payload::one_line;
use crate::notify::{Failure, Message};

/// Mail programs show a third of it.
const SUBJECT_CHARS_MAX: usize = 200;

/// The mail as RFC 5322 wants it, but without a Date while the hub does not trust its clock: a submission server adds
/// its own then (RFC 6409, 8.2), and a wrong one would sort an alarm into 1970.
pub fn mail(message: &Message, from: &Mailbox, to: &Address) -> Result<Vec<u8>, Failure> {
    let made = message.made_ms.and_then(|ms| u64::try_from(ms).ok());
    let mut mail = lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        // Names of units come from outside: a line break in one must not begin a header.
        .subject(one_line(&message.subject, SUBJECT_CHARS_MAX))
        .message_id(Some(message_id(message, from)))
        // Without it the builder would read the clock.
        .date(UNIX_EPOCH + Duration::from_millis(made.unwrap_or(0)))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        // Only whole line breaks may be on the wire (RFC 5321, 2.3.8); the builder makes them of line feeds, and would let a
        // lone carriage return at the end pass.
        .body(message.text.replace("\r\n", "\n").replace('\r', "\n"))
        .map_err(|error| Failure::Never(format!("compose the mail: {error}")))?;
    let headers = mail.headers_mut();
    if made.is_none() {
        headers.remove_raw("Date");
    }
    // RFC 3834, 5: keeps "out of office" from answering.
    headers.insert_raw(plain("Auto-Submitted", "auto-generated"));
    if message.severity == Severity::Critical {
        headers.insert_raw(plain("X-Priority", "1"));
        headers.insert_raw(plain("Importance", "high"));
    }
    Ok(mail.formatted())
}

/// The same when the message is sent again, so that mail programs and people see that it is the same.
fn message_id(message: &Message, from: &Mailbox) -> String {
    // RFC 2606: a domain that is nobody's, for senders whose own is not written in ASCII.
    let domain = Some(from.email.domain()).filter(|domain| domain.is_ascii()).unwrap_or("frostguard.invalid");
    format!("<{}@{domain}>", message.id)
}

fn plain(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::payload::tests::call;

    fn composed(message: &Message) -> String {
        let from = "Kühl <alarm@hub.example>".parse().unwrap();
        String::from_utf8(mail(message, &from, &message.recipient.parse().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_mail_is_frozen() {
        assert_eq!(composed(&call()), GOLDEN.replace('\n', "\r\n"));
    }

    const GOLDEN: &str = "\
From: =?utf-8?b?S8O8aGw=?= <alarm@hub.example>
To: chef@kitchen.example
Subject: =?utf-8?b?S8O8aGxoYXVz?= \"2\": 9.5 =?utf-8?b?wrBD?=
Message-ID: <01890a5d-ac96-774b-bcce-b302099a8057@hub.example>
Date: Sat, 18 Jul 2026 09:44:15 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Auto-Submitted: auto-generated
X-Priority: 1
Importance: high

K=C3=BChlhaus \"2\" is too warm: 9.5 =C2=B0C.
.
Please look.";

    #[test]
    fn only_a_trusted_clock_dates_a_mail() {
        let mut message = call();
        message.made_ms = None;
        assert!(!composed(&message).contains("Date:"));
    }

    #[test]
    fn only_critical_ones_are_urgent() {
        let mut message = call();
        message.severity = Severity::Warning;
        assert!(!composed(&message).contains("Priority") && !composed(&message).contains("Importance"));
    }

    /// RFC 5322, 2.1.1 and 2.3: nothing but ASCII in lines of at most 998, and the headers that are meant.
    fn check_wire(message: &Message) {
        let text = composed(message);
        let (head, _) = text.split_once("\r\n\r\n").expect("a head and a body");
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        let meant = [
            "From",
            "To",
            "Subject",
            "Message-ID",
            "Date",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
            "Auto-Submitted",
            "X-Priority",
            "Importance",
        ];
        assert_eq!(names, meant, "{text:?}");
        assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 998), "{text:?}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare line break: {text:?}");
    }

    proptest! {
        #[test]
        fn whatever_units_are_called(subject in "\\PC{0,300}|[\r\n:a\u{e9}\u{0}]{0,300}", text in "(\\PC|[\r\n.=]){0,2000}") {
            check_wire(&Message { subject, text, ..call() });
        }
    }

    #[test]
    fn names_cannot_begin_headers_or_end_the_mail() {
        let mut message = call();
        message.subject = "a\r\nBcc: everyone@example.com\nX: y".into();
        message.text = "\u{feff}one\r\n.\r\nMAIL FROM:<x@example.com>\n\r\rend".into();
        check_wire(&message);
        message.text = "\r".into();
        check_wire(&message);
    }
}
