use super::*;

#[test]
fn days_are_the_sites() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let day = |text: &str| Some(text.parse::<Date>().unwrap());
    // The day on which clocks go forward has 23 hours.
    let days = Days::of(day("2026-03-29"), day("2026-03-29"), &zone).unwrap();
    assert_eq!(days.to_ms - days.from_ms, 23 * 3_600_000);
    assert_eq!(rfc3339(days.from_ms, &zone), "2026-03-29T00:00:00.000+01:00");
    assert_eq!(rfc3339(days.to_ms, &zone), "2026-03-30T00:00:00.000+02:00");
    let all = Days::of(None, None, &zone).unwrap();
    assert_eq!((all.from_ms, all.to_ms), (i64::MIN, i64::MAX));
    assert!(Days::of(day("2026-03-30"), day("2026-03-29"), &zone).is_err());
}

#[test]
fn a_spreadsheet_obeys_nothing() {
    for (value, want) in [
        (json!("plain"), "plain"),
        (json!(null), ""),
        (json!(-5), "-5"),
        (json!("a,b"), "\"a,b\""),
        (json!("say \"hi\"\n"), "\"say \"\"hi\"\"\n\""),
        (json!("=1+1"), "'=1+1"),
        (json!("@SUM(A1),2"), "\"'@SUM(A1),2\""),
        (json!({"a": 1}), "\"{\"\"a\"\":1}\""),
    ] {
        assert_eq!(csv_cell(&value), want);
    }
}

#[test]
fn heads_are_hashes() {
    assert_eq!(parse_head(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
    assert!(parse_head("ab").is_err() && parse_head(&"zz".repeat(32)).is_err());
}
