use frostguard_hub::config::{Config, WebhookSection};
use frostguard_hub::domain::UnixMs;
use frostguard_hub::notify::webhook::Webhook;
use frostguard_hub::notify::{Kind, Message, Notifier};
use ring::hmac;
use serde_json::{Value, json};

use crate::http_server::{HttpServer, Request};
use crate::keys::Keys;
use crate::kitchen::{certificate_time, check_failure, message, present};

const SECRET: &str = "cold chain";

fn section(keys: &Keys, url: &str) -> WebhookSection {
    let secret = keys.secret("secret", &format!("{SECRET}\nnot this line\n"));
    let text = format!(
        "[[notify.webhook]]\nname = \"facility\"\nurl = \"{url}\"\nsecret_file = \"{}\"",
        secret.display()
    );
    Config::parse(&text).expect("the section is right").notify.webhook.remove(0)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// As the module's docstring tells receivers to.
fn is_signed(request: &Request, secret: &str) -> bool {
    let (stamp, signature) = request.headers["frostguard-signature"].split_once(",v1=").expect("two parts");
    let (_, stamp) = stamp.split_once('=').expect("a name and a value");
    let digits: Result<Vec<u8>, _> = (0..signature.len() / 2)
        .map(|index| u8::from_str_radix(&signature[2 * index..2 * index + 2], 16))
        .collect();
    let signed = [stamp.as_bytes(), b".", &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    signature.len() == 64 && hmac::verify(&key, &signed, &digits.expect("hex digits")).is_ok()
}

#[tokio::test]
async fn a_call_arrives_signed() {
    let keys = Keys::make();
    let server = HttpServer::start(None, answer("202 Accepted", "thank you\r\n")).await;
    let url = format!("http://127.0.0.1:{}/hooks/7?token=x", server.port);
    let mut hook = Webhook::new(section(&keys, &url), present());
    let receipt = hook.deliver(&message(Kind::Call)).await.expect("it is taken");
    assert_eq!((receipt.detail.as_str(), receipt.is_delivered), ("202 Accepted: thank you", true));
    let undated = Message { made_ms: None, ..message(Kind::Test) };
    hook.deliver(&undated).await.expect("it is taken");

    let requests = server.requests();
    for request in &requests {
        assert_eq!(request.line, "POST /hooks/7?token=x HTTP/1.1");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["idempotency-key"], message(Kind::Call).id.to_string());
        assert!(is_signed(request, SECRET) && !is_signed(request, "warm chain"), "{request:?}");
    }
    assert!(requests[0].headers["frostguard-signature"].starts_with("t=1784367855,v1="));
    assert!(
        requests[1].headers["frostguard-signature"]
            .starts_with("id=01890a5d-ac96-774b-bcce-b302099a8057,v1=")
    );
    let body: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!((&body["kind"], &body["made_at"]), (&json!("call"), &json!("2026-07-18T09:44:15Z")));
    assert_eq!(body["alerts"][0]["unit"], "Unit 1");
    let body: Value = serde_json::from_slice(&requests[1].body).expect("JSON");
    assert_eq!((&body["kind"], &body["made_at"]), (&json!("test"), &Value::Null));
}

#[tokio::test]
async fn answers_are_sorted() {
    let keys = Keys::make();
    let elsewhere = HttpServer::start(None, answer("200 OK", "")).await;
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n",
        elsewhere.port
    );
    for (answer, want) in [
        (answer("404 Not Found", "no such hook"), "later: 404 Not Found: no such hook; does the url"),
        (answer("403 Forbidden", ""), "later: 403 Forbidden; the receiver must take"),
        (answer("429 Too Many Requests", ""), "later: 429"),
        (answer("503 Service Unavailable", ""), "later: 503"),
        (answer("400 Bad Request", "\u{1b}[31mno\r\n"), "never: 400 Bad Request: [31mno"),
        (answer("410 Gone", ""), "never: 410 Gone"),
        (answer("422 Unprocessable Entity", &"x".repeat(1 << 20)), "never: 422 Unprocessable Entity: xxx"),
        (moved, "later: redirects are not followed"),
        (String::new(), "later: "),
        ("no HTTP".into(), "later: "),
    ] {
        let server = HttpServer::start(None, answer).await;
        let url = format!("http://127.0.0.1:{}/secret-path", server.port);
        let failure = Webhook::new(section(&keys, &url), present()).deliver(&message(Kind::Call)).await;
        let text = format!("{failure:?}");
        assert!(text.len() < 400 && !text.contains("secret-path") && !text.contains(SECRET), "{text}");
        check_failure(failure, want);
    }
    assert!(elsewhere.requests().is_empty());
    let failure = Webhook::new(section(&keys, "http://127.0.0.1:1/secret-path"), present())
        .deliver(&message(Kind::Call))
        .await;
    assert!(!format!("{failure:?}").contains("secret-path"), "{failure:?}");
    check_failure(failure, "later: refused");
}

#[tokio::test]
async fn only_the_right_receiver_is_told() {
    let keys = Keys::make();
    let server = HttpServer::start(Some(keys.acceptor.clone()), answer("200 OK", "")).await;
    let url = format!("https://localhost:{}/", server.port);
    for (ca, want) in [("other.pem", "later: invalid peer certificate"), ("none.pem", "later: none.pem")] {
        let section = WebhookSection { ca_file: Some(keys.path(ca)), ..section(&keys, &url) };
        check_failure(Webhook::new(section, present()).deliver(&message(Kind::Call)).await, want);
    }
    let missing = WebhookSection { secret_file: keys.path("none"), ..section(&keys, &url) };
    check_failure(Webhook::new(missing, present()).deliver(&message(Kind::Call)).await, "later: /none");
    assert!(server.requests().is_empty());
    // A clock in 1970 counts as the time of the build.
    let section = WebhookSection { ca_file: Some(keys.path("ca.pem")), ..section(&keys, &url) };
    let receipt = Webhook::new(section, certificate_time(UnixMs(0))).deliver(&message(Kind::Call)).await;
    assert_eq!(receipt.expect("it is taken").detail, "200 OK");
    assert!(is_signed(&server.requests()[0], SECRET));
}
