//! The driver over a real socket, with a real database behind the port.

mod desk;
mod peer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use frostguard_sync::api::{EnrolAnswer, ProblemKind, Snapshot};
use frostguard_sync::wire::{Lane, RowImage, Value};
use ring::rand::SystemRandom;
use rusqlite::Connection;
use tokio::sync::Notify;
use uuid::Uuid;

use super::credentials::{self, Credentials, to_hex};
use super::*;
use crate::clock::TestClock;
use crate::config::Secret;
use crate::domain::{MonoMs, UnixMs};
use crate::store::sync_tests::{HUB, ORGANIZATION, SITE, START, add_readings, enrolled_site, site, unit_id};
use crate::store::{batches, epochs, link, rows, snapshots};
use desk::{DONE_WITHIN, Desk};
use peer::{Heard, Mishap, Peer};

struct Running {
    desk: Arc<Desk>,
    signals: Arc<Signals>,
    shown: Shown,
    stop: Arc<Notify>,
    task: tokio::task::JoinHandle<Result<()>>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn stop(self) -> Arc<Desk> {
        self.stop.notify_one();
        tokio::time::timeout(DONE_WITHIN, self.task).await.expect("it ends").unwrap().unwrap();
        self.desk
    }
}

/// A hub enrolled with the peer.
fn start(peer: &Peer, connection: Connection, change: impl FnOnce(&mut Desk)) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let credentials =
        Credentials::generate(&SystemRandom::new()).unwrap().with_token(Secret::new("t0ken".into()));
    let digest = credentials.write_new(folder.path()).unwrap();
    credentials::take_force(folder.path()).unwrap();
    let sql = "UPDATE hub_link SET receiver_url = ?1, receiver_key = ?2, credential_digest = ?3";
    connection.execute(sql, rusqlite::params![peer.url, peer::public_key(), digest]).unwrap();
    let mut desk = Desk::new(connection);
    change(Arc::get_mut(&mut desk).unwrap());
    start_in(folder, desk)
}

fn start_in(folder: tempfile::TempDir, desk: Arc<Desk>) -> Running {
    let clock = Arc::new(TestClock::new(MonoMs(7_000), UnixMs(START)));
    let options = Options {
        state_dir: folder.path().to_owned(),
        ca_file: None,
        interval: Duration::from_millis(20),
        poll: Duration::from_millis(200),
        clock: clock.clone(),
        certificate_time: CertificateTime::new(clock, UnixMs(START)),
        // No jitter: every retry comes after a millisecond.
        random: Arc::new(|| 0),
    };
    let (signals, shown, stop) = (Arc::new(Signals::default()), Shown::default(), Arc::new(Notify::new()));
    let ended = Arc::clone(&stop);
    let uplink = run(options, Arc::clone(&desk), Arc::clone(&signals), shown.clone(), async move {
        ended.notified().await;
    });
    let task = tokio::spawn(uplink);
    Running { desk, signals, shown, stop, task, _folder: folder }
}

/// 200 readings, and a row of state for each unit.
fn busy_site() -> Connection {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=200);
    for no in 1..=3 {
        rows::mark_dirty(&connection, "units", unit_id(no)).unwrap();
    }
    connection
}

fn uploads(peer: &Peer, lane: Lane) -> Vec<Heard> {
    peer.look(|central| central.heard.iter().filter(|heard| heard.lane() == Some(lane)).cloned().collect())
}

#[track_caller]
fn check_each_once(peer: &Peer) {
    peer.look(|central| {
        assert_eq!(central.readings.len(), 200);
        assert!(central.readings.values().all(|times| *times == 1), "{:?}", central.readings);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_once_over_a_bad_line() {
    let mut count = 0;
    let peer = Peer::start(move |heard: &Heard| {
        count += 1;
        match (heard.lane(), count % 7) {
            (Some(_), 1) => Some(Mishap::LostAnswer),
            (Some(_), 2) => Some(Mishap::LostRequest),
            (Some(_), 3) => Some(Mishap::Problem(503, ProblemKind::Busy)),
            (Some(_), 4) => Some(Mishap::Status(502)),
            (_, 5) => Some(Mishap::Status(500)),
            _ => None,
        }
    })
    .await;
    let running = start(&peer, busy_site(), |_| {});
    running.desk.until_all_sent().await;
    check_each_once(&peer);
    // What was tried again was the same to the byte.
    let mut bodies = uploads(&peer, Lane::Readings).into_iter().map(|heard| heard.body).collect::<Vec<_>>();
    assert!(bodies.len() > 10, "{}", bodies.len());
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 10, "200 readings in batches of 20");
    let shown = running.shown.clone();
    let desk = running.stop().await;
    let status = shown.status();
    assert_eq!((status.readings.rows, status.state.rows, status.is_enrolled), (200, 3, true));
    assert_eq!(desk.on(link::find).unwrap().unwrap().down_cursor, "c7");
    peer.look(|central| {
        assert!(central.heard.iter().all(|heard| heard.headers["authorization"] == "Bearer t0ken"));
        assert_eq!(central.rows.len(), 3);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn state_goes_before_readings_and_never_holds_them_up_in_back_off() {
    let peer = Peer::start(|_| None).await;
    let running = start(&peer, busy_site(), |_| {});
    running.desk.until_all_sent().await;
    assert_eq!(peer.look(|central| central.heard.iter().find_map(Heard::lane)), Some(Lane::State));
    running.stop().await;

    let refuse_state = |heard: &Heard| {
        (heard.lane() == Some(Lane::State)).then_some(Mishap::Problem(503, ProblemKind::Busy))
    };
    let peer = Peer::start(refuse_state).await;
    let running = start(&peer, busy_site(), |_| {});
    running.desk.until(|connection| batches::outstanding(connection).unwrap().1 == 0).await;
    assert!(peer.look(|central| central.rows.is_empty()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_that_forgot_gets_everything_that_was_cut_under_a_new_epoch() {
    let peer = Peer::start(|_| None).await;
    let running = start(&peer, busy_site(), |_| {});
    running.desk.until_all_sent().await;
    peer.look(peer::Central::forget);
    running.desk.on(|tx| {
        add_readings(tx, 1, 1, 201..=230);
        rows::mark_dirty(tx, "units", unit_id(1)).unwrap();
    });
    running.signals.wake_state();
    running.signals.wake_readings();
    running.desk.until_all_sent().await;
    assert_eq!(running.desk.on(epochs::current).unwrap().epoch.0, [9; 16]);
    peer.look(|central| assert_eq!(central.readings.len(), 230));
    peer.look(|central| assert!(central.readings.values().all(|times| *times == 1)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_shrink_to_what_the_way_takes() {
    let peer = Peer::start(|_| None).await;
    peer.look(|central| central.body_bytes_max = Some(200));
    let running = start(&peer, busy_site(), |desk| desk.rows_max = 200);
    running.desk.until_all_sent().await;
    check_each_once(&peer);
    assert!(uploads(&peer, Lane::Readings).len() > 5);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_the_future_costs_the_clock_its_trust() {
    let mut times = 2;
    let peer = Peer::start(move |heard: &Heard| {
        times -= i32::from(heard.lane() == Some(Lane::Readings));
        (heard.lane() == Some(Lane::Readings) && times >= 0)
            .then_some(Mishap::Problem(422, ProblemKind::Future))
    })
    .await;
    let running = start(&peer, busy_site(), |_| {});
    running.desk.until_all_sent().await;
    check_each_once(&peer);
    assert_eq!(*running.desk.refuted.lock().unwrap(), [UnixMs(peer::NOW_MS); 2]);
    running.stop().await;
}

fn snapshot(etag: &str, temp_max: i64) -> Snapshot {
    let row = |table: &str, id: Uuid, columns: &[(&str, Value)]| RowImage {
        table: table.into(),
        id,
        columns: columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    let text = |text: &str| Value::Text(text.into());
    let area = Uuid::from_u128(3);
    let mut rows = vec![row("areas", area, &[("site_id", Value::Uuid(SITE)), ("name", text("Main"))])];
    rows.extend((1..=3).map(|no| {
        row(
            "units",
            unit_id(no),
            &[
                ("area_id", Value::Uuid(area)),
                ("name", text(&format!("Fridge {no}"))),
                ("unit_type", text("fridge")),
                ("temp_unit", text("C")),
                ("temp_min", Value::Int(0)),
                ("temp_max", Value::Int(temp_max)),
            ],
        )
    }));
    Snapshot { etag: etag.into(), site_id: SITE, organization_id: ORGANIZATION, confirm_removal: false, rows }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_comes_with_the_next_answer() {
    let peer = Peer::start(|_| None).await;
    peer.look(|central| central.snapshot = Some(snapshot("one", 60)));
    let running = start(&peer, busy_site(), |_| {});
    let has_etag =
        |etag: &'static str| move |connection: &Connection| snapshots::etag(connection).unwrap() == etag;
    running.desk.until(has_etag("one")).await;
    // One that would make the alarms useless is refused, and central hears why, once.
    peer.look(|central| central.snapshot = Some(snapshot("bad", 600)));
    running.desk.until(|connection| snapshots::refused(connection).unwrap().is_some()).await;
    peer.look(|central| central.snapshot = Some(snapshot("two", 50)));
    running.desk.until(has_etag("two")).await;
    running.stop().await;
    peer.look(|central| {
        assert_eq!(central.refused.len(), 1);
        assert_eq!(central.refused[0].etag, "bad");
        assert!(central.refused[0].reason.contains("Fridge 1"), "{}", central.refused[0].reason);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_is_asked_while_nothing_vouches_for_the_clock() {
    let peer = Peer::start(|_| None).await;
    let running = start(&peer, enrolled_site(), |desk| desk.is_trusted = Mutex::new(false));
    let desk = Arc::clone(&running.desk);
    running.desk.until(|_| !desk.times.lock().unwrap().is_empty()).await;
    let time = desk.times.lock().unwrap()[0];
    assert_eq!((time.now, time.asked), (UnixMs(peer::NOW_MS), MonoMs(7_000)));
    running.stop().await;
    let asked = |heard: &&Heard| heard.path.starts_with("/v1/time?nonce=");
    peer.look(|central| {
        let heard = central.heard.iter().find(asked).unwrap();
        assert!(!heard.headers.contains_key("authorization"), "nothing of the hub goes with it");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_try_is_made_at_the_end() {
    let is_up = Arc::new(Mutex::new(false));
    let shared = Arc::clone(&is_up);
    let peer = Peer::start(move |_| {
        (!*shared.lock().unwrap()).then_some(Mishap::Problem(401, ProblemKind::Unauthorized))
    })
    .await;
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=5);
    let folder_of = start(&peer, connection, |_| {});
    // Refused for want of credentials, the lane waits long; a person mends it and restarts the hub.
    let desk = Arc::clone(&folder_of.desk);
    desk.until(|connection| batches::pending(connection, Lane::Readings).unwrap().is_some()).await;
    let wait = async {
        while folder_of.shown.status().problem.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DONE_WITHIN, wait).await.unwrap();
    *is_up.lock().unwrap() = true;
    let desk = folder_of.stop().await;
    assert_eq!(desk.on(batches::outstanding).unwrap(), (0, 0));
    peer.look(|central| assert_eq!(central.readings.len(), 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_begins_the_upload() {
    let peer = Peer::start(|_| None).await;
    let connection = site();
    add_readings(&connection, 1, 1, 1..=200);
    let desk = Desk::new(connection);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let running = start_in(folder, desk);
    let clock = Arc::new(TestClock::new(MonoMs(0), UnixMs(START)));
    let random = SystemRandom::new();
    let ask = |replace| Enrolment {
        url: &peer.url,
        code: Secret::new("0123456789".into()),
        unit_map: vec![("Fridge 3".to_owned(), unit_id(3).to_string())],
        create_units: false,
        replace,
        state_dir: &path,
        ca_file: None,
        certificate_time: CertificateTime::new(clock.clone(), UnixMs(START)),
        random: &random,
    };
    let error = enrol(running.desk.as_ref(), ask(false)).await.unwrap_err();
    assert_eq!(error.to_string(), "so it is", "the receiver's reason");
    peer.look(|central| {
        central.enrol = Some(EnrolAnswer {
            hub_id: HUB,
            site_id: SITE,
            organization_id: ORGANIZATION,
            receiver_key: to_hex(&peer::public_key()),
            token: "t0ken".into(),
            history_from_ms: START,
            snapshot: snapshot("one", 50),
            devices: vec![],
        });
    });
    enrol(running.desk.as_ref(), ask(false)).await.unwrap();
    running.signals.wake_link();
    running.desk.until_all_sent().await;
    check_each_once(&peer);
    let error = enrol(running.desk.as_ref(), ask(false)).await.unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
    enrol(running.desk.as_ref(), ask(true)).await.unwrap();
    let desk = running.stop().await;
    let dump = desk.on(|tx| {
        let mut statement =
            tx.prepare("SELECT quote(receiver_url) || quote(receiver_key) FROM hub_link").unwrap();
        statement.query_row([], |row| row.get::<_, String>(0)).unwrap()
    });
    assert!(!dump.contains("t0ken"));
    peer.look(|central| {
        let request = central.heard.iter().find(|heard| heard.path == "/v1/enrol").unwrap();
        let request: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(request["units"].as_array().unwrap().len(), 2, "a mapped unit is not asked for");
        assert_eq!(request["device_euis"].as_array().unwrap().len(), 3);
        assert_eq!(request["reading_count"], 200);
        assert_eq!(request["oldest_reading_ms"], START + 60_000);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_not_enrolled_stays_quiet_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let running = start_in(folder, Desk::new(site()));
    running.stop().await;
    let folder = tempfile::tempdir().unwrap();
    // Credentials that are gone: shown, and tried again later.
    let running = start_in(folder, Desk::new(enrolled_site()));
    let wait = async {
        while running.shown.status().problem.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DONE_WITHIN, wait).await.unwrap();
    assert!(running.shown.status().problem.unwrap().contains("--replace"));
    running.stop.notify_one();
    tokio::time::timeout(DONE_WITHIN, running.task).await.unwrap().unwrap().unwrap();
}
