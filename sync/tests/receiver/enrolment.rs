//! Enrolment: codes, tries, units, replacement; and the receiver's key.

use frostguard_sync::api::{EnrolUnit, Problem, ProblemKind, TimeAnswer};
use frostguard_sync::receiver::admin::{self, NewHub, ThresholdScale};
use frostguard_sync::signing;
use frostguard_sync::wire::Value;
use reqwest::StatusCode;

use crate::support::connect;
use crate::world::{MINUTE, NOW, Receiver, World, answer, enrol_request, http, reading};

async fn problem(receiver: &Receiver, request: &frostguard_sync::api::EnrolRequest) -> (u16, Problem) {
    match receiver.enrol(request).await {
        Ok(_) => panic!("the enrolment was taken"),
        Err((status, problem)) => (status.as_u16(), problem),
    }
}

fn unit(name: &str, unit_type: &str, create: bool) -> EnrolUnit {
    EnrolUnit {
        name: name.into(),
        unit_type: unit_type.into(),
        temp_unit: "C".into(),
        temp_min: 0,
        temp_max: 50,
        create,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_for_a_day() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let added = world.add(world.ours).await;
    let request = enrol_request(&added.code);

    world.clock.set(NOW + admin::CODE_MS);
    assert_eq!(problem(&receiver, &request).await.1.kind, ProblemKind::BadCode, "expired");
    world.clock.set(NOW + admin::CODE_MS - 1);
    let first = receiver.enrol(&request).await.unwrap();
    assert_eq!(first.history_from_ms, NOW - admin::HISTORY_MS);
    assert_eq!((first.site_id, first.token.len(), first.receiver_key.len()), (world.ours.site, 64, 64));
    assert_eq!(problem(&receiver, &request).await.1.kind, ProblemKind::BadCode, "used");

    // Only hashes are stored.
    let kept = world.text("SELECT string_agg(h::text, '') FROM hub_sync.hubs h").await.unwrap();
    assert!(!kept.contains(&first.token) && kept.contains("\\\\x"), "{kept}");

    // A second enrolment of the same hub says that it replaces the first, whose token then ends.
    let mut client = connect(&world.url).await;
    let again = admin::new_code(&mut client, added.hub_id, world_now(&world)).await.unwrap();
    let mut request = enrol_request(&again.code);
    assert_eq!(problem(&receiver, &request).await.1.kind, ProblemKind::EnrolConflict);
    request.replace = true;
    let second = receiver.enrol(&request).await.unwrap();
    assert_eq!(second.hub_id, first.hub_id);
    let mut hub = crate::world::Hub {
        id: first.hub_id,
        token: first.token,
        epoch: frostguard_sync::ids::Epoch([1; 16]),
        site: world.ours,
    };
    let batch = hub.readings(1, vec![reading(1)]);
    assert_eq!(receiver.refusal(&hub, &batch).await.0, ProblemKind::Unauthorized);
    hub.token = second.token;
    receiver.send(&hub, &batch).await.unwrap();

    // Revoked: at once, and for good.
    admin::revoke(&mut client, hub.id, NOW).await.unwrap();
    assert_eq!(receiver.refusal(&hub, &hub.readings(2, vec![reading(2)])).await.0, ProblemKind::Unauthorized);
    assert!(admin::new_code(&mut client, hub.id, NOW).await.is_err());
}

fn world_now(world: &World) -> i64 {
    use frostguard_sync::receiver::Clock;
    world.clock.now_ms()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_in_a_minute_are_enough() {
    let world = World::new().await;
    let receivers = [world.receiver().await, world.receiver().await];
    let added = world.add(world.ours).await;
    for number in 0..5 {
        let wrong = enrol_request(&format!("0000{number}-00000"));
        assert_eq!(problem(&receivers[number % 2], &wrong).await.1.kind, ProblemKind::BadCode);
    }
    let right = enrol_request(&added.code);
    for receiver in &receivers {
        let (status, problem) = problem(receiver, &right).await;
        assert_eq!((status, problem.kind), (429, ProblemKind::Busy), "copies of the receiver count together");
    }
    world.clock.advance(MINUTE);
    receivers[0].enrol(&right).await.unwrap();
    // What cannot be a request is not looked at further.
    for (field, broken) in [
        ("public_key", {
            let mut r = right.clone();
            r.public_key = "00".into();
            r
        }),
        ("mac_address", {
            let mut r = right.clone();
            r.mac_address = Some("b8:27:eb:00:00:01".into());
            r
        }),
        ("EUI", {
            let mut r = right.clone();
            r.device_euis = vec!["x".into()];
            r
        }),
        ("unit", {
            let mut r = right.clone();
            r.units = vec![unit("", "fridge", true)];
            r
        }),
    ] {
        let (status, problem) = problem(&receivers[0], &broken).await;
        assert_eq!((status, problem.kind), (400, ProblemKind::BadRequest));
        assert!(problem.detail.contains(field), "{}", problem.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_matched_or_made_or_the_code_stays_good() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let added = world.add(world.ours).await;
    let mut request = enrol_request(&added.code);
    request.units = vec![unit("fridge", "fridge", false), unit("cold room", "walk_in_cooler", false)];
    let (status, refused) = problem(&receiver, &request).await;
    assert_eq!((status, refused.kind), (409, ProblemKind::EnrolConflict));
    assert!(refused.detail.contains("cold room"), "{}", refused.detail);
    let names: Vec<_> =
        refused.central_units.iter().map(|(_, name, kind)| format!("{name} {kind}")).collect();
    assert_eq!(names, ["freezer freezer", "fridge fridge"]);

    request.create_units = true;
    request.units[1].create = true;
    // A device of the organization is named, one of another is not; nor is another's MAC address taken.
    world
        .sql
        .batch_execute(&format!(
            "INSERT INTO devices (id, unit_id, device_eui) VALUES
               ('{0}', '{0}', 'A840410000000001'), ('{1}', '{1}', 'A840410000000002'), ('{2}', '{2}', 'A840410000000003');
             INSERT INTO hubs (site_id, name, mac_address) VALUES ('{3}', 'x', 'B8:27:EB:00:00:01')",
            world.ours.fridge, world.next_door.fridge, world.theirs.fridge, world.theirs.site
        ))
        .await
        .unwrap();
    request.device_euis = (1..=4).map(|number| format!("A84041000000000{number}")).collect();
    request.mac_address = Some("B8:27:EB:00:00:01".into());
    let enrolled = receiver.enrol(&request).await.unwrap();
    assert_eq!(
        enrolled.devices,
        [
            ("A840410000000001".to_owned(), world.ours.fridge),
            ("A840410000000002".to_owned(), world.next_door.fridge)
        ]
    );
    assert_eq!(world.count("hubs WHERE mac_address IS NOT NULL").await, 1);
    let sql =
        "SELECT concat_ws(' ', unit_type, temp_min, temp_max, temp_unit) FROM units WHERE name = 'cold room'";
    assert_eq!(world.text(sql).await.as_deref(), Some("walk_in_cooler 0 50 C"));
    let units = enrolled.snapshot.rows.iter().filter(|row| row.table == "units").count();
    assert_eq!(units, 3, "the answer brings what it made");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_threshold_scale_is_never_guessed() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let mut client = connect(&world.url).await;
    let mut hub = NewHub {
        site: world.theirs.site,
        name: "theirs".into(),
        threshold_scale: None,
        history_from_ms: Some(NOW - 1),
    };
    let refused = admin::add_hub(&mut client, &hub, NOW).await.unwrap_err();
    assert!(refused.to_string().contains("--threshold-scale"), "{refused}");
    hub.threshold_scale = Some(ThresholdScale::Whole);
    let added = admin::add_hub(&mut client, &hub, NOW).await.unwrap();
    hub.threshold_scale = Some(ThresholdScale::Tenths);
    assert!(admin::add_hub(&mut client, &hub, NOW).await.unwrap_err().to_string().contains("whole already"));
    hub.threshold_scale = None;
    let second = admin::add_hub(&mut client, &hub, NOW).await.unwrap();
    assert_eq!(second.threshold_scale, ThresholdScale::Whole);

    // The table says 0 and 50 whole degrees: the hub hears tenths.
    let mut request = enrol_request(&added.code);
    request.create_units = true;
    request.units = vec![unit("new", "fridge", true)];
    request.units[0].temp_max = 45;
    let (_, refused) = problem(&receiver, &request).await;
    assert!(refused.detail.contains("whole degrees"), "{}", refused.detail);
    request.units[0].temp_max = 40;
    let enrolled = receiver.enrol(&request).await.unwrap();
    assert_eq!(enrolled.history_from_ms, NOW - 1);
    let limit = |unit| {
        let row = enrolled.snapshot.rows.iter().find(|row| row.id == unit).unwrap();
        row.columns.iter().find(|(name, _)| name == "temp_max").unwrap().1.clone()
    };
    assert_eq!(limit(world.theirs.fridge), Value::Int(500));
    assert_eq!(world.text("SELECT temp_max::text FROM units WHERE name = 'new'").await.as_deref(), Some("4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_the_receiver_sign_with_one_key() {
    let world = World::new().await;
    let receivers = tokio::join!(world.receiver(), world.receiver(), world.receiver());
    let pinned = {
        let added = world.add(world.ours).await;
        receivers.0.enrol(&enrol_request(&added.code)).await.unwrap().receiver_key
    };
    let pinned = hex(&pinned);
    for receiver in [&receivers.0, &receivers.1, &receivers.2] {
        let url = format!("{}/v1/time?nonce={}", receiver.base, "0f".repeat(16));
        let time: TimeAnswer = answer(http().get(url)).await.unwrap();
        assert_eq!(time.now_ms, NOW);
        let message = signing::time_message(&[0x0f; 16], NOW);
        assert!(signing::verify(&pinned, &message, &hex(&time.signature)));
    }
    for query in ["", "?nonce=12", "?nonce=zz"] {
        let url = format!("{}/v1/time{query}", receivers.0.base);
        assert_eq!(answer::<TimeAnswer>(http().get(url)).await.err().unwrap().0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(world.count("hub_sync.receiver_keys").await, 1);
}

fn hex(text: &str) -> Vec<u8> {
    frostguard_sync::receiver::codes::from_hex(text).unwrap()
}
