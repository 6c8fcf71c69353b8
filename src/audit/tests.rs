use std::collections::HashSet;

use super::*;
use crate::domain::MonoMs;

fn entry() -> Entry {
    Entry {
        epoch: Epoch([0xab; 16]),
        seq: 300,
        at: Stamp { segment: 2, mono: MonoMs(123_456) },
        actor: Actor::Hub,
        event_type: event_types::STATE_CHANGED.name.to_owned(),
        entity: Entity::Unit(UnitNo(7)),
        payload: Payload::of_state_change("temperature", "ok", "excursion", "excursion", "out_of_limits"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Checks canonical bytes and hash against frozen ones, and that they are read back.
#[track_caller]
fn check_golden(entry: &Entry, previous: &str, canonical: &str, hash: &str) {
    let sealed = seal(previous, entry);
    assert_eq!(hex(&sealed.canonical), canonical);
    assert_eq!(sealed.hash, hash);
    assert_eq!(verify_next(previous, &sealed.canonical, hash).as_ref(), Ok(entry));
}

/// These bytes are in the databases of hubs in the field: they never change. A new form gets a new version.
#[test]
fn canonical_bytes_and_hashes_are_frozen() {
    let first = "6c074dc364dd04e362dc2ce05037c071551fb0a1c54e536a579c7c9a041e667c";
    check_golden(
        &entry(),
        FIRST_PREVIOUS_HASH,
        concat!(
            "01ababababababababababababababababac020280890f0012756e69745f73746174655f6368616e6765",
            "640107717b2266726f6d5f737461747573223a226f6b222c22746f5f737461747573223a226578637572",
            "73696f6e222c22726561736f6e223a226f75745f6f665f6c696d697473222c226d616368696e65223a22",
            "74656d7065726174757265222c2273686f776e223a22657863757273696f6e227d",
        ),
        first,
    );
    let second = Entry {
        seq: 301,
        actor: Actor::Person(Uuid::from_u128(5)),
        event_type: event_types::DEVICE_PAIRED.name.to_owned(),
        entity: Entity::Device(DeviceNo(200)),
        payload: Payload::of([]),
        ..entry()
    };
    check_golden(
        &second,
        first,
        concat!(
            "01ababababababababababababababababad020280890f0110000000000000000000000000000000050d",
            "6465766963655f70616972656402c801027b7d",
        ),
        "405e806dc82e421135cf6f7f5f6bba50b918c12f663e2cf6229e24ebbffca5f2",
    );
}

#[test]
fn a_chain_breaks_at_any_change() {
    let first = seal(FIRST_PREVIOUS_HASH, &entry());
    let second = seal(&first.hash, &Entry { seq: 301, ..entry() });
    assert!(verify_next(&first.hash, &second.canonical, &second.hash).is_ok());

    let is_broken = |result| matches!(result, Err(AuditError::Broken { .. }));
    assert!(is_broken(verify_next(FIRST_PREVIOUS_HASH, &second.canonical, &second.hash)));
    assert!(is_broken(verify_next(&first.hash, &first.canonical, &second.hash)));
    for place in 0..second.canonical.len() {
        let mut changed = second.canonical.clone();
        changed[place] ^= 1;
        assert!(is_broken(verify_next(&first.hash, &changed, &second.hash)), "byte {place}");
    }
}

#[test]
fn bytes_that_are_no_entry_say_why() {
    assert_eq!(read(&[2, 0]), Err(AuditError::Version(2)));
    let canonical = seal(FIRST_PREVIOUS_HASH, &entry()).canonical;
    for bytes in [&[][..], &[1], &canonical[..canonical.len() - 1], &[&canonical[..], &[0]].concat()] {
        assert!(matches!(read(bytes), Err(AuditError::Unreadable(_))), "{bytes:?}");
    }
}

#[test]
fn the_row_holds_what_the_columns_lack() {
    let row: Value = serde_json::from_str(&entry().row_payload()).unwrap();
    assert_eq!(row["audit"]["epoch"], "ab".repeat(16));
    assert_eq!(row["audit"]["seq"], 300);
    assert_eq!(row["audit"]["segment"], 2);
    assert_eq!(row["audit"]["mono_ms"], 123_456);
    assert_eq!(row["audit"]["entity_no"], 7);
    assert_eq!(
        (&row["from_status"], &row["to_status"], &row["reason"]),
        (&"ok".into(), &"excursion".into(), &"out_of_limits".into())
    );
    // Nothing but the place before the payload: it can be taken away again.
    let text = entry().row_payload();
    assert!(text.ends_with(&entry().payload.as_str()[1..]));

    let empty = Entry { payload: Payload::of([]), ..entry() }.row_payload();
    assert!(serde_json::from_str::<Value>(&empty).is_ok(), "{empty}");
}

#[test]
fn payloads_are_json_in_the_order_given() {
    let payload = Payload::of([("z", "a \"quote\"\n".into()), ("a", 1.into()), ("n", Value::Null)]);
    assert_eq!(payload.as_str(), r#"{"z":"a \"quote\"\n","a":1,"n":null}"#);
    let former = Some((Epoch([1; 16]), "ff"));
    assert_eq!(
        Payload::of_epoch("restore", former).as_str(),
        format!(r#"{{"reason":"restore","former_epoch":"{}","former_head":"ff"}}"#, "01".repeat(16))
    );
    assert_eq!(
        Payload::of_epoch("new", None).as_str(),
        r#"{"reason":"new","former_epoch":null,"former_head":null}"#
    );
}

#[test]
fn event_types_are_told_apart_and_fit_their_columns() {
    let names: HashSet<_> = event_types::ALL.iter().map(|event_type| event_type.name).collect();
    assert_eq!(names.len(), event_types::ALL.len());
    for event_type in event_types::ALL {
        assert!(event_type.name.len() <= 64 && event_type.category.len() <= 64, "{event_type:?}");
        let braces = |brace| event_type.template.matches(brace).count();
        assert_eq!(braces('{'), braces('}'), "{event_type:?}");
    }
    let values = [("unit", "Walk-in {1}"), ("from_status", "ok"), ("to_status", "excursion")];
    assert_eq!(
        event_types::STATE_CHANGED.describe(&values),
        "Walk-in {1} went from ok to excursion ({reason})"
    );
}
