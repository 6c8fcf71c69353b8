use std::collections::BTreeMap;

use frostguard_hub::config::{Config, SmtpSection};
use frostguard_hub::domain::UnixMs;
use frostguard_hub::notify::email::Email;
use frostguard_hub::notify::{Kind, Notifier};

use crate::keys::Keys;
use crate::kitchen::{certificate_time, check_failure, message, present};
use crate::smtp_server::{Behaviour, SmtpServer};

/// 2100-01-01, when the server's certificate has run out.
const TOO_LATE: UnixMs = UnixMs(4_102_444_800_000);
const LOGIN: Option<(&str, &str)> = Some(("alarm", "cold chain"));

fn section(port: u16, rest: &str) -> SmtpSection {
    let text = format!(
        "[notify.smtp]\nhost = \"localhost\"\nfrom = \"Hub <alarm@hub.example>\"\nport = {port}\n{rest}"
    );
    Config::parse(&text).expect("the section is right").notify.smtp.expect("there is one")
}

/// With the right authority and login.
fn full(keys: &Keys, port: u16, security: &str) -> SmtpSection {
    let ca = keys.path("ca.pem");
    let password = keys.secret("password", "cold chain\n");
    let mut section = section(
        port,
        &format!(
            "security = \"{security}\"\nusername = \"alarm\"\npassword_file = \"{}\"",
            password.display()
        ),
    );
    section.ca_file = Some(ca).filter(|_| security != "none");
    section
}

#[tokio::test]
async fn mail_arrives_by_each_way() {
    let keys = Keys::make();
    let acceptor = Some(keys.acceptor.clone());
    for (security, behaviour) in [
        (
            "tls",
            Behaviour { acceptor: acceptor.clone(), is_implicit: true, login: LOGIN, ..Behaviour::default() },
        ),
        ("starttls", Behaviour { acceptor: acceptor.clone(), login: LOGIN, ..Behaviour::default() }),
        (
            "starttls",
            Behaviour { acceptor, login: LOGIN, only_login_mechanism: true, ..Behaviour::default() },
        ),
        ("none", Behaviour { login: LOGIN, ..Behaviour::default() }),
    ] {
        let server = SmtpServer::start(behaviour).await;
        let mut email = Email::new(full(&keys, server.port, security), present());
        let receipt = email.deliver(&message(Kind::Call)).await.expect(security);
        assert_eq!(receipt.detail, "250 2.0.0 Ok: queued as 4F2B");
        assert_eq!((receipt.external_id.as_deref(), receipt.is_delivered), (Some("4F2B"), false));
        // The same again is recognisable.
        email.deliver(&message(Kind::Call)).await.expect(security);

        let heard = server.heard();
        assert_eq!(heard.violations, [""; 0], "{security}");
        assert_eq!(heard.was_password_in_the_clear, security == "none");
        assert!(heard.commands.contains(&"MAIL FROM:<alarm@hub.example>".to_owned()), "{:?}", heard.commands);
        assert!(
            heard.commands.contains(&"RCPT TO:<chef@kitchen.example>".to_owned()),
            "{:?}",
            heard.commands
        );
        assert_eq!(heard.mails.len(), 2);
        assert_eq!(heard.mails[0], heard.mails[1]);
        let (head, body) = heard.mails[0].split_once("\n\n").expect("a head and a body");
        for line in [
            "Message-ID: <01890a5d-ac96-774b-bcce-b302099a8057@hub.example>",
            "Date: Sat, 18 Jul 2026 09:44:15 +0000",
            "Auto-Submitted: auto-generated",
            "X-Priority: 1",
            "Subject: =?utf-8?b?S8O8aGxoYXVzOg==?= 9.5 =?utf-8?b?wrBD?=",
        ] {
            assert!(head.lines().any(|have| have == line), "{line} is not in\n{head}");
        }
        assert!(body.contains("\n.\n..\nPlease look.\n"), "{body}");
    }
}

#[tokio::test]
async fn only_the_right_server_gets_mail_and_password() {
    let keys = Keys::make();
    for is_implicit in [true, false] {
        let acceptor = Some(keys.acceptor.clone());
        let server =
            SmtpServer::start(Behaviour { acceptor, is_implicit, login: LOGIN, ..Behaviour::default() })
                .await;
        let right = full(&keys, server.port, if is_implicit { "tls" } else { "starttls" });
        for (ca, host, now, want) in [
            ("other.pem", "localhost", None, "later: invalid peer certificate"),
            ("ca.pem", "127.0.0.1", None, "later: not valid for name"),
            ("ca.pem", "localhost", Some(TOO_LATE), "later: expired"),
            ("none.pem", "localhost", None, "later: none.pem"),
        ] {
            let section = SmtpSection { ca_file: Some(keys.path(ca)), host: host.into(), ..right.clone() };
            let time = now.map_or_else(present, certificate_time);
            check_failure(Email::new(section, time).deliver(&message(Kind::Call)).await, want);
        }
        let heard = server.heard();
        assert!(!heard.commands.iter().any(|command| command == "AUTH" || command.starts_with("MAIL")));
        // A clock in 1970 counts as the time of the build.
        let mut email = Email::new(right, certificate_time(UnixMs(0)));
        email.deliver(&message(Kind::Call)).await.expect("the certificate is right");
    }
}

#[tokio::test]
async fn refusals_are_sorted() {
    let keys = Keys::make();
    let endless: &'static str = Box::leak(format!("250 {}", "x".repeat(1 << 20)).into_boxed_str());
    for (verb, answer, want) in [
        ("EHLO", "421 4.3.2 shutting down", "later: 421 4.3.2 shutting down"),
        (
            "AUTH",
            "535 5.7.8 bad credentials",
            "later: 535 5.7.8 bad credentials; see username and password_file",
        ),
        ("AUTH", "454 4.7.0 try later", "later: 454"),
        ("MAIL", "550 5.7.1 not your address", "later: 550 5.7.1 not your address; may this account send"),
        ("RCPT", "550 5.1.1 no such user", "never: 550 5.1.1 no such user"),
        ("RCPT", "553 bad mailbox name", "never: 553"),
        ("RCPT", "450 4.2.1 greylisted", "later: 450"),
        ("RCPT", "554 5.7.1 relay access denied", "later: 554 5.7.1 relay access denied"),
        ("RCPT", "530 log in first", "later: 530"),
        ("DATA", "451 4.3.0 disk full", "later: 451"),
        (".", "452 4.3.1 disk full", "later: 452"),
        (".", "554 5.6.0 not like this", "never: 554 5.6.0 not like this"),
        (".", "", "later: "),
        ("RCPT", "", "later: "),
        ("RCPT", endless, "later: it says more than 65536 bytes"),
    ] {
        let answers = BTreeMap::from([(verb, answer)]);
        let server = SmtpServer::start(Behaviour { login: LOGIN, answers, ..Behaviour::default() }).await;
        let mut email = Email::new(full(&keys, server.port, "none"), present());
        check_failure(email.deliver(&message(Kind::Call)).await, want);
        assert!(server.heard().mails.is_empty());
    }
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_that_should_not_be() {
    let keys = Keys::make();
    // STARTTLS taken out of the answer by somebody on the way.
    let server = SmtpServer::start(Behaviour { login: LOGIN, ..Behaviour::default() }).await;
    let mut email = Email::new(full(&keys, server.port, "starttls"), present());
    check_failure(email.deliver(&message(Kind::Call)).await, "later: offers no STARTTLS");
    let heard = server.heard();
    assert!(heard.mails.is_empty() && !heard.was_password_in_the_clear, "{heard:?}");

    // What is said in the clear behind the answer to STARTTLS counts for nothing: offers here, and a mail that is taken.
    for injected in ["\r\n250-mail.example\r\n250 AUTH PLAIN", "\r\n250 2.0.0 Ok: queued as EVIL"] {
        let acceptor = Some(keys.acceptor.clone());
        let server = SmtpServer::start(Behaviour { acceptor, injected, ..Behaviour::default() }).await;
        let mut section = section(server.port, "security = \"starttls\"");
        section.ca_file = Some(keys.path("ca.pem"));
        let sent = Email::new(section, present()).deliver(&message(Kind::Call)).await;
        let heard = server.heard();
        assert!(heard.violations.is_empty() && !heard.commands.contains(&"AUTH".to_owned()), "{heard:?}");
        match sent {
            Ok(receipt) => assert_eq!((receipt.external_id.as_deref(), heard.mails.len()), (Some("4F2B"), 1)),
            failure => check_failure(failure, "later: TLS"),
        }
    }

    let wrong = keys.secret("wrong", "warm chain\n");
    let mut section = full(&keys, server.port, "none");
    section.password_file = Some(wrong);
    let failure = Email::new(section, present()).deliver(&message(Kind::Call)).await;
    assert!(!format!("{failure:?}").contains("chain"), "{failure:?}");
    check_failure(failure, "later: 535 5.7.8 authentication failed; see username");
}

#[tokio::test]
async fn addresses_that_are_none_never_reach_the_server() {
    let server = SmtpServer::start(Behaviour::default()).await;
    let mut email = Email::new(section(server.port, "security = \"none\""), present());
    for recipient in ["", "chef", "+4930123", "a@b>\r\nRCPT TO:<c@d", "a b@c", "a@b\r\nDATA"] {
        let message = frostguard_hub::notify::Message { recipient: recipient.into(), ..message(Kind::Call) };
        check_failure(email.deliver(&message).await, "never: is no mail address");
    }
    let beyond =
        frostguard_hub::notify::Message { recipient: "küche@b.example".into(), ..message(Kind::Call) };
    check_failure(email.deliver(&beyond).await, "never: beyond ASCII");
    assert!(server.heard().mails.is_empty());
    drop(server);
    let message = message(Kind::Call);
    check_failure(
        Email::new(section(1, "security = \"none\""), present()).deliver(&message).await,
        "later: localhost:1",
    );
}
