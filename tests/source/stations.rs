//! The time that stations are told.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use frostguard_hub::config::Config;
use frostguard_hub::frame::SourceEvent;
use frostguard_hub::lorawan::gateway::GatewayEvent;
use frostguard_hub::lorawan::ids::Eui;
use frostguard_hub::pipeline::lorawan::{Listed, WallOffset};
use frostguard_hub::source::stations::Stations;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::heard::Heard;
use crate::station::{Station, eui};
use crate::support::free_port;

/// 2019-01-20 of the test's clock, which has run for 77 ms.
const WALL: i64 = 1_548_000_000_077;
/// The same in microseconds of GPS time: 315,964,800 s later begun, 18 leap seconds ahead.
const GPS_US: i64 = (1_548_000_000_077 - 315_964_800_000 + 18_000) * 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_time_is_told() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let text = format!("[lorawan]\nregion = 'EU868'\n[lorawan.stations]\nlisten = '{address}'");
    let section = Config::parse(&text).expect("the section is right").lorawan.expect("it is there");
    let (_orders, orders) = mpsc::channel(1);
    let listed: Listed = Arc::new(BTreeSet::from([Eui::parse(&eui(1)).expect("an EUI")]));
    let (_listed, listed) = watch::channel(listed);
    let (wall_in, wall) = watch::channel::<WallOffset>(None);
    let mut heard =
        Heard::start(Stations::new(&section, orders, listed, wall).expect("stations are configured"));

    let question = |txtime: i64| json!({ "msgtype": "timesync", "txtime": txtime });
    let version = json!({ "msgtype": "version", "station": "2", "protocol": 2, "features": "" });
    let (answers, wall_in) = tokio::task::spawn_blocking(move || {
        let (mut station, config) = Station::start(address, 1);
        assert_eq!(config.get("MuxTime"), None, "{config}");
        // Not answered: the next text is of the question after it.
        station.say(&question(1));
        station.say(&version);
        let mut answers: Vec<Option<Value>> = vec![station.next()];
        wall_in.send(Some(WALL - 77)).expect("the source runs");
        station.say(&question(2));
        answers.push(station.next());
        station.say(&version);
        answers.push(station.next());
        (answers, wall_in)
    })
    .await
    .expect("the station's part");
    let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect("connected")).collect();
    assert_eq!(answers[0]["msgtype"], "router_config");
    assert_eq!(answers[1], json!({ "msgtype": "timesync", "txtime": 2.0, "gpstime": GPS_US }));
    assert_eq!(answers[2]["MuxTime"], json!(1_548_000_000.077));
    drop(wall_in);

    heard.up().await;
    match heard.next().await {
        SourceEvent::Gateway(event) => assert!(
            matches!(&*event, GatewayEvent::Heard { gateway, frames, .. } if gateway.to_string() == eui(1) && frames.is_empty()),
            "{event:?}"
        ),
        other => panic!("{other:?} where the station's contact should be"),
    }
    heard.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_told_and_waited_for() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a port");
    let address = taken.local_addr().expect("it is bound");
    let text = format!("[lorawan]\nregion = 'EU868'\n[lorawan.stations]\nlisten = '{address}'");
    let section = Config::parse(&text).expect("the section is right").lorawan.expect("it is there");
    let (_orders, orders) = mpsc::channel(1);
    let (_listed, listed) = watch::channel(Listed::default());
    let (_wall, wall) = watch::channel::<WallOffset>(None);
    let mut heard =
        Heard::start(Stations::new(&section, orders, listed, wall).expect("stations are configured"));
    let reason = heard.down().await;
    assert!(reason.contains(&address.to_string()) && reason.contains("another program"), "{reason}");
    drop(taken);
    // It listens again: a gateway that is not listed is told of.
    let refused = tokio::task::spawn_blocking(move || Station::ask_way(address, 1)).await.expect("an answer");
    assert!(refused["error"].is_string(), "{refused}");
    let event = heard.next().await;
    assert!(
        matches!(&event, SourceEvent::Gateway(event) if matches!(**event, GatewayEvent::Stranger { .. })),
        "{event:?}"
    );
    heard.stop().await;
}
