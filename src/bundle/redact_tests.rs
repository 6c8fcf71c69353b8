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
        ("told \\n00112233445566778899aabbccddeeff\\n", "told \\n(key)\\n"),
        ("key 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", "key (key)"),
        ("key 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff end", "key (key) end"),
        (
            "unit 5f0c0000-0000-4000-8000-000000000002 is ok",
            "unit 5f0c0000-0000-4000-8000-000000000002 is ok",
        ),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer (redacted)"),
        ("password = \"short\", x", "password = \"(redacted)\", x"),
        ("{\"token\":\"t\",\"pin\": \"1234\"}", "{\"token\":\"(redacted)\",\"pin\": \"(redacted)\"}"),
        ("the SIM asks for a PIN: none is configured", "the SIM asks for a PIN: (redacted) is configured"),
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
    let both = Redactor::new(["secret-one", "one-and-two"].map(str::to_owned));
    assert_eq!(both.text("a secret-one-and-two, secret-onesecret-one"), "a (redacted), (redacted)(redacted)");
    let value = serde_json::json!({ "Ana Böll": ["call 1234", 1234, null], "n": { "x": "ok" } });
    let want = serde_json::json!({ "(redacted)": ["call (redacted)", 1234, null], "n": { "x": "ok" } });
    assert_eq!(redactor.json(&value), want);
}

#[test]
fn takes_names_however_they_are_written() {
    for (secret, text) in [
        ("İpek Şahin", "İpek Şahin, İPEK ŞAHİN, ipek şahin, i\u{307}pek şahin"),
        ("ΝΙΚΟΣ", "ΝΙΚΟΣ, νικος, Νικος, νικοσ"),
        ("νικος", "ΝΙΚΟΣ, νικος"),
        ("Jörg Groß", "Jörg Groß, JÖRG GROSS, JÖRG GROẞ, jörg gross"),
        ("parole-İΣß-1", "parole-İΣß-1, PAROLE-İΣSS-1"),
    ] {
        let clean = Redactor::new([secret.to_owned()]).text(text);
        let want = vec!["(redacted)"; text.split(", ").count()].join(", ");
        assert_eq!(clean, want, "{secret} in {text}");
    }
    // Where one character becomes two, what stands around it stays.
    let redactor = Redactor::new(["İİİ secret".to_owned()]);
    assert_eq!(redactor.text("ßİ \u{307}İİİ SECRET İß"), "ßİ \u{307}(redacted) İß");
}

#[test]
fn many_secrets_cost_a_line_no_more_than_few() {
    let keys = (0..10_000_u128).map(|n| format!("{:032X}", n << 64 | 0xA5));
    let people = (0..10_000).map(|n| format!("Person Number {n}"));
    let redactor = Redactor::new(keys.chain(people));
    // Keys are known by their shape; each name has its form without spaces.
    assert_eq!(redactor.known.whole.len(), 20_000);
    assert!(redactor.known.lengths.values().all(|lengths| lengths.len() <= 8), "lengths, not secrets");
    let line =
        |n: u32| format!("{n} key {:032x} of person number {} here", u128::from(n) << 64 | 0xA5, n % 10_000);
    let lines = (0..20_000).map(line).collect::<Vec<_>>().join("\n");
    let clean = redactor.text(&lines);
    assert_eq!(clean.lines().count(), 20_000);
    for (n, line) in clean.lines().enumerate() {
        assert_eq!(line, format!("{n} key (key) of (redacted) here"));
    }
}

proptest::proptest! {
    #[test]
    fn no_key_stays(before in "\\PC*", key in "[0-9a-fA-F]{32}", after in "\\PC*") {
        let redactor = Redactor::new([key.clone()]);
        let clean = redactor.text(&format!("{before}{key}{after}"));
        proptest::prop_assert!(!clean.contains(&key), "{clean}");
    }

    #[test]
    fn no_text_breaks_it(text in "\\PC*") {
        let redactor = Redactor::new(["secret".to_owned(), "ß1234567".to_owned()]);
        let clean = redactor.text(&text);
        proptest::prop_assert!(!clean.contains("ß1234567"));
    }
}
