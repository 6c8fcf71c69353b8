//! `doctor` at a mail server and webhooks: as far as it goes without a mail or a call, and no secret in what it says.

use std::net::TcpListener;

use serde_json::Value;

use crate::http_server::HttpServer;
use crate::keys::Keys;
use crate::smtp_server::{Behaviour, SmtpServer};
use crate::support::Hub;

const LOGIN: Option<(&str, &str)> = Some(("alarm", "cold chain"));
const ANSWER: &str = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";

/// The lines of `doctor` with this configuration, none of which has a word of `secrets`.
#[track_caller]
fn doctor(settings: &str, secrets: &[&str]) -> Vec<Value> {
    let hub = Hub::new(&format!("[uplink]\nenabled = false\n{settings}"));
    let output = hub.try_command(&["doctor", "--json"], "");
    let text = String::from_utf8_lossy(&output.stdout);
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let report: Value = serde_json::from_str(&text).expect("doctor answers in JSON");
    report["lines"].as_array().expect("lines").clone()
}

#[track_caller]
fn check(lines: &[Value], check: &str, verdict: &str, part: &str) {
    let line = lines.iter().find(|line| line["check"] == check);
    let line = line.unwrap_or_else(|| panic!("{check} is missing in {lines:#?}"));
    let found = line["found"].as_str().expect("what was found");
    assert!(line["verdict"] == verdict && found.contains(part), "wanted {verdict} {part}: {line}");
    assert_eq!(line["todo"].is_null(), verdict == "ok", "{line}");
}

fn smtp(port: u16, rest: &str) -> String {
    format!("[notify.smtp]\nhost = 'localhost'\nfrom = 'alarm@hub.example'\nport = {port}\n{rest}\n")
}

fn closed_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
    listener.local_addr().expect("a bound socket has an address").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_server_is_tried_and_no_mail_is_sent() {
    let keys = Keys::make();
    let (right, wrong) = (keys.secret("right", "cold chain\n"), keys.secret("wrong", "warm chain\n"));
    let ca = keys.path("ca.pem");
    let user = |password: &std::path::Path| {
        format!("username = 'alarm'\npassword_file = '{}'\n", password.display())
    };
    let by = |ca: &std::path::Path, rest: &str| format!("ca_file = '{}'\n{rest}", ca.display());
    let tls = || Some(keys.acceptor.clone());
    for (security, behaviour, rest, verdict, part) in [
        (
            "tls",
            Behaviour { acceptor: tls(), is_implicit: true, login: LOGIN, ..Behaviour::default() },
            by(&ca, &user(&right)),
            "ok",
            "takes the hub's user",
        ),
        (
            "starttls",
            Behaviour { acceptor: tls(), login: LOGIN, ..Behaviour::default() },
            by(&ca, &user(&right)),
            "ok",
            "takes the hub's user",
        ),
        ("none", Behaviour::default(), String::new(), "ok", "no user is configured"),
        (
            "starttls",
            Behaviour { acceptor: tls(), login: LOGIN, ..Behaviour::default() },
            by(&ca, &user(&wrong)),
            "failure",
            "does not take the hub's user: the mail server: 535",
        ),
        (
            "starttls",
            Behaviour { acceptor: tls(), login: LOGIN, ..Behaviour::default() },
            by(&ca, "username = 'alarm'\npassword_file = 'no-such-credential-of-a-test'"),
            "warning",
            "a credential of the service's",
        ),
        (
            "starttls",
            Behaviour { acceptor: tls(), login: LOGIN, ..Behaviour::default() },
            by(&keys.path("other.pem"), &user(&right)),
            "failure",
            "invalid peer certificate",
        ),
        ("starttls", Behaviour::default(), by(&ca, ""), "failure", "offers no STARTTLS"),
        (
            "none",
            Behaviour { answers: [("EHLO", "554 5.7.1 go away")].into(), ..Behaviour::default() },
            String::new(),
            "failure",
            "554 5.7.1 go away",
        ),
    ] {
        let server = SmtpServer::start(behaviour).await;
        let settings = smtp(server.port, &format!("security = '{security}'\n{rest}"));
        let lines = doctor(&settings, &["cold chain", "warm chain"]);
        check(&lines, "mail", verdict, part);
        let heard = server.heard();
        assert_eq!(heard.violations, [""; 0], "{security}: {part}");
        assert!(!heard.was_password_in_the_clear && heard.mails.is_empty());
        assert!(!heard.commands.iter().any(|command| command.starts_with("MAIL")), "{:?}", heard.commands);
        assert!(verdict != "ok" || heard.commands.last().is_some_and(|last| last == "QUIT"));
    }
    check(&doctor(&smtp(closed_port(), "security = 'none'"), &[]), "mail", "failure", "refused");
    let unknown = "[notify.smtp]\nhost = 'mail.invalid'\nfrom = 'alarm@hub.example'\n";
    check(&doctor(unknown, &[]), "mail", "failure", "mail.invalid:465");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_reached_and_not_called() {
    let keys = Keys::make();
    let secret = keys.secret("secret", "cold chain\n");
    let server = HttpServer::start(Some(keys.acceptor.clone()), ANSWER.into()).await;
    let plain = HttpServer::start(None, ANSWER.into()).await;
    let hook = |name: &str, url: &str, ca: &str| {
        format!(
            "[[notify.webhook]]\nname = '{name}'\nurl = '{url}/hook?token=hush'\nsecret_file = '{}'\n{ca}\n",
            secret.display()
        )
    };
    let by = |file: &str| format!("ca_file = '{}'", keys.path(file).display());
    let (port, closed) = (server.port, closed_port());
    let settings = [
        hook("good", &format!("https://localhost:{port}"), &by("ca.pem")),
        hook("plain", &format!("http://127.0.0.1:{}", plain.port), ""),
        hook("stranger", &format!("https://localhost:{port}"), &by("other.pem")),
        hook("closed", &format!("https://localhost:{closed}"), &by("ca.pem")),
    ];
    let lines = doctor(&settings.concat(), &["hush", "cold chain"]);
    check(&lines, "webhook good", "ok", &format!("localhost:{port} answers over TLS"));
    check(&lines, "webhook plain", "ok", "answers without TLS");
    check(&lines, "webhook stranger", "failure", "invalid peer certificate");
    check(&lines, "webhook closed", "failure", "refused");
    assert!(server.requests().is_empty() && plain.requests().is_empty());
}
