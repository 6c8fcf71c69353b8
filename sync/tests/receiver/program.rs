//! The program: its commands, TLS, a pooler in transaction mode.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use frostguard_sync::api::ProblemKind;
use frostguard_sync::receiver::config::{Config, Database, Secret, Tls};
use frostguard_sync::receiver::{self, db};
use tokio::net::TcpListener;

use crate::support::{PATIENCE, PgBouncer, Postgres, Running, Scratch, Signal, connect};
use crate::world::{Receiver, World, alert, enrol_request, reading};

fn program(database: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frostguard-receiver"));
    command.args(arguments).env("FROSTGUARD_DATABASE_URL", database).stdin(Stdio::null());
    command
}

fn run(database: &str, arguments: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } = program(database, arguments).output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The same with a terminal on all three: what it showed.
fn on_terminal(database: &str, arguments: &[&str], typed: &str) -> String {
    let line = format!("'{}' {}", env!("CARGO_BIN_EXE_frostguard-receiver"), arguments.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("FROSTGUARD_DATABASE_URL", database);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn json(database: &str, arguments: &[&str]) -> serde_json::Value {
    let (success, stdout, stderr) = run(database, arguments);
    assert!(success, "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_when_it_serves_and_when_it_stops() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let url = postgres.make_database("notify").await;
    json(&url, &["migrate", "--json"]);
    let scratch = Scratch::new("notify");
    let manager = UnixDatagram::bind(scratch.join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    };
    let config = scratch.write("receiver.toml", "listen = \"127.0.0.1:0\"\n");
    let mut command = program(&url, &["--config", config.to_str().unwrap(), "run"]);
    command.env("NOTIFY_SOCKET", scratch.join("notify"));
    let mut receiver = Running::start("frostguard-receiver", &mut command, &scratch.join("log"));
    assert_eq!(hears(), "READY=1");
    receiver.signal(Signal::Term);
    assert_eq!(hears(), "STOPPING=1");
    assert!(receiver.wait_until_ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_finds_the_way() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let url = postgres.make_database("cli").await;
    let (success, _, stderr) = run(&url, &["run"]);
    assert!(!success && stderr.contains("frostguard-receiver migrate"), "{stderr}");
    let migrated = json(&url, &["migrate", "--json"]);
    assert_eq!((&migrated["central_made"], &migrated["hub_sync_applied"]), (&true.into(), &1.into()));
    let migrated = json(&url, &["migrate", "--json"]);
    assert_eq!((&migrated["central_made"], &migrated["hub_sync_applied"]), (&false.into(), &0.into()));

    let world = World::in_database(&url).await;
    let site = world.ours.site.to_string();
    let add = ["hub", "add", "--site", &site, "--name", "kitchen"];
    let (success, _, stderr) = run(&url, &add);
    assert!(!success && stderr.contains("no terminal to ask"), "{stderr}");
    // On a terminal it shows what is stored, read both ways, and asks; an answer that is none is no guess.
    let shown = on_terminal(&url, &add, "both\n");
    for line in ["fridge: tenths \"0.0 to 5.0 °C\"   whole \"0.0 to 50.0 °C\"", "answer tenths or whole"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert_eq!(world.count("hub_sync.organizations").await, 0);
    let second = ["hub", "add", "--site", &site, "--name", "terrace"];
    assert!(on_terminal(&url, &second, "tenths\n").contains("code "));
    let (success, _, stderr) = run(&url, &[&add[..], &["--threshold-scale", "fahrenheit"]].concat());
    assert!(!success && stderr.contains("tenths, whole"), "{stderr}");
    let wanted = ["--threshold-scale", "tenths", "--history-from", "2026-01-01", "--json"];
    let added = json(&url, &[&add[..], &wanted].concat());
    let hub = added["hub_id"].as_str().unwrap();
    assert_eq!(added["history_from_ms"], 1_767_225_600_000_i64);
    let code = json(&url, &["hub", "code", hub, "--json"]);
    assert_ne!(code["code"], added["code"]);

    // The program itself: it listens, serves, and ends in order on a signal.
    let scratch = Scratch::new("receiver");
    let config = scratch.write("receiver.toml", "listen = \"127.0.0.1:0\"\n");
    let config = config.to_str().unwrap();
    for signal in [Signal::Term, Signal::Int] {
        let log = scratch.join(&format!("{signal:?}"));
        let mut process = Running::start("receiver", &mut program(&url, &["run", "--config", config]), &log);
        let address = process.wait_until("the receiver to listen", || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.lines().find_map(|line| line.strip_prefix("listening on ")).map(str::to_owned)
        });
        let base = format!("http://{address}");
        Receiver::elsewhere(&base).says("/readyz", "ready\n").await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let first = signal == Signal::Term;
        let mut request = enrol_request(&if first { text(&code["code"]) } else { text(&added["code"]) });
        request.replace = true;
        let enrolled = Receiver::elsewhere(&base).enrol(&request).await;
        assert_eq!(enrolled.is_ok(), first, "a new code ends the earlier one");
        assert!(process.stop(signal).success(), "{}", process.log_text());
        assert!(!process.log_text().contains(&request.code), "codes stand in no log");
    }
    let listed = json(&url, &["hub", "list", "--json"]);
    assert_eq!((&listed[0]["hub_id"], &listed[0]["enrolled"]), (&hub.into(), &true.into()));
    assert!(run(&url, &["hub", "list"]).1.contains("kitchen"));
    assert!(run(&url, &["hub", "confirm-removal", hub]).0);
    assert_eq!(json(&url, &["dead-letters", "list", "--json"]), serde_json::json!([]));
    assert_eq!(json(&url, &["dead-letters", "retry", "--json"])["written"], 0);
    assert!(run(&url, &["hub", "revoke", hub]).0);
    assert_eq!(json(&url, &["hub", "list", "--json"])[0]["revoked"], true);
    let example = scratch.write("example.toml", &run(&url, &["config", "print"]).1);
    assert!(run(&url, &["--config", example.to_str().unwrap(), "config", "check"]).0);
    let (success, _, stderr) = run("postgres://u:hunter2@127.0.0.1:1/x", &["hub", "list"]);
    assert!(!success && !stderr.contains("hunter2"), "{stderr}");
}

/// Neither the check nor the log says that all is well where it is not.
#[test]
fn a_certificate_that_cannot_be_used_is_told_before_it_listens() {
    let scratch = Scratch::new("tls-files");
    let made = || rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (own, other) = (made(), made());
    let certificate = scratch.write("cert.pem", &own.cert.pem());
    let key = scratch.write("key.pem", &own.signing_key.serialize_pem());
    let others = scratch.write("other.pem", &other.signing_key.serialize_pem());
    let (empty, missing) = (scratch.write("empty.pem", ""), scratch.join("missing.pem"));
    let config = |certificate: &Path, key: &Path| {
        let text = format!(
            "listen = '127.0.0.1:0'\n[tls]\ncertificate = '{}'\nkey = '{}'\n",
            certificate.display(),
            key.display()
        );
        scratch.write("receiver.toml", &text).to_str().unwrap().to_owned()
    };
    // A database that is not there: a start gets no further than that.
    let nowhere = "postgres://u@127.0.0.1:1/x";
    for (certificate, key, named) in [
        (&missing, &key, &missing),
        (&certificate, &missing, &missing),
        (&empty, &key, &empty),
        (&certificate, &empty, &empty),
        (&certificate, &others, &others),
    ] {
        let config = config(certificate, key);
        for command in [&["config", "check"][..], &["run"]] {
            let (success, stdout, stderr) = run(nowhere, &[&["--config", &config], command].concat());
            assert!(!success && stdout.is_empty(), "{command:?}: {stdout}");
            assert!(stderr.contains(named.to_str().unwrap()), "{command:?}: {stderr}");
        }
    }
    let config = config(&certificate, &key);
    assert!(run(nowhere, &["--config", &config, "config", "check"]).0);
    assert!(run(nowhere, &["--config", &config, "run"]).1.starts_with("listening on "));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_no_site_is_told_which_there_are() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let url = postgres.make_database("sites").await;
    json(&url, &["migrate", "--json"]);
    let elsewhere = "99999999-0000-4000-8000-000000000000";
    let refused = |site: &str| {
        let (success, _, stderr) = run(&url, &["hub", "add", "--site", site, "--name", "kitchen"]);
        assert!(!success);
        stderr
    };
    for site in ["Kitchen", elsewhere] {
        let said = refused(site);
        assert!(said.contains("central's own application makes organizations and sites"), "{said}");
    }
    let world = World::in_database(&url).await;
    for (site, what) in
        [("Kitchen", "\"Kitchen\" is no id of a site"), (elsewhere, &format!("no site {elsewhere}"))]
    {
        let said = refused(site);
        assert!(said.contains(what), "{said}");
        for there in [world.ours, world.next_door, world.theirs] {
            assert!(said.contains(&format!("{}  \"site\" of \"org\"", there.site)), "{said}");
        }
    }
    let many = "INSERT INTO sites (organization_id, name) SELECT organization_id, 'z' FROM sites, generate_series(1, 6)";
    world.sql.batch_execute(many).await.unwrap();
    let said = refused("Kitchen");
    assert_eq!(said.matches(" of \"org\"").count(), 20, "{said}");
    assert!(said.trim_end().ends_with("and more"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_central_products_tables_are_left_alone() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let url = postgres.make_database("theirs").await;
    let sql = connect(&url).await;
    sql.batch_execute("CREATE TABLE units (id uuid PRIMARY KEY)").await.unwrap();
    let error = receiver::migrate(&url).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("missing: ") && error.contains("alerts.unit_id") && error.contains("units.status"),
        "{error}"
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(sql.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_through_a_pooler_in_transaction_mode() {
    let world = World::new().await;
    let bouncer = { tokio::task::spawn_blocking(|| PgBouncer::start(&Postgres::shared())).await.unwrap() };
    let database = world.url.rsplit('/').next().unwrap();
    let url = bouncer.url(database);
    // Two of them on the same server connections.
    let receivers = [world.receiver_at(&url).await, world.receiver_at(&url).await];
    let hub = world.hub(&receivers[0], world.ours).await;
    let one = async |at: u64| {
        let receiver = &receivers[(at % 2) as usize];
        receiver.send(&hub, &hub.readings(at, (at * 50..at * 50 + 50).map(reading).collect())).await.unwrap();
        let rows = vec![alert(at as u8, hub.site.fridge), alert(200, world.theirs.fridge)];
        let answer = receiver.send(&hub, &hub.state(at, rows)).await.unwrap();
        assert_eq!(answer.refused.len(), 1);
    };
    for at in 1..=20 {
        one(at).await;
    }
    // Both fall-backs.
    world.sql.batch_execute("ALTER TABLE sensor_readings ADD CHECK (battery <= 100)").await.unwrap();
    let mut rows: Vec<_> = (1_040..1_060).map(reading).collect();
    rows[12].battery = Some(120);
    let answer = receivers[0].send(&hub, &hub.readings(21, rows)).await.unwrap();
    assert_eq!(answer.refused.len(), 1);
    assert_eq!(world.count("sensor_readings").await, 20 * 50 + 9);
    let late = hub.readings(30, vec![reading(1)]);
    assert_eq!(receivers[1].refusal(&hub, &late).await.0, ProblemKind::OutOfOrder);
    receivers[1].says("/metrics", "frostguard_database_up 1\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_with_the_certificate_it_is_given() {
    let world = World::new().await;
    let scratch = Scratch::new("tls");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let tls = Tls {
        certificate: scratch.write("cert.pem", &made.cert.pem()),
        key: scratch.write("key.pem", &made.signing_key.serialize_pem()),
    };
    let config = Config { database_url: Some(Secret::new(&world.url)), tls: Some(tls), ..Config::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(receiver::run(config, listener, async { drop(stopped.await) }));
    drop(crate::world::http());
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let trusting = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let url = format!("https://localhost:{port}/healthz");
    assert_eq!(trusting.get(&url).send().await.unwrap().text().await.unwrap(), "ok\n");
    let strange = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    assert!(strange.get(&url).send().await.is_err());
    drop((stop, trusting, strange));
    task.await.unwrap().unwrap();
}

/// Gives a running server a certificate, and no way in from 127.0.0.1 without TLS.
async fn demand_tls(sql: &tokio_postgres::Client, certificate: &str, key: &str) {
    for (file, pem) in [("server.crt", certificate), ("server.key", key)] {
        let lines = format!("SELECT regexp_split_to_table('{}', E'\\n')", pem.trim());
        let program = format!("cat > {file} && chmod 600 {file}");
        sql.batch_execute(&format!("COPY ({lines}) TO PROGRAM '{program}'")).await.unwrap();
    }
    let rule = "hostssl all all all trust";
    sql.batch_execute(&format!("COPY (SELECT '{rule}') TO PROGRAM 'cat > pg_hba.conf'")).await.unwrap();
    sql.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_to_the_database_and_checks_its_certificate() {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let world = World::on(&postgres).await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    demand_tls(&world.sql, &made.cert.pem(), &made.signing_key.serialize_pem()).await;
    let scratch = Scratch::new("dbtls");
    let at = |host: &str, ca: &str| Database {
        url: Secret::new(world.url.replace("127.0.0.1", host)),
        ca: Some(scratch.write("ca.pem", ca)),
    };
    let good = at("localhost", &made.cert.pem());
    crate::support::wait_for_async("the server to speak TLS", async || db::connect(&good).await.ok()).await;
    assert!(db::connect(&world.url).await.is_err(), "without TLS there is no way in");
    assert!(db::connect(&at("127.0.0.1", &made.cert.pem())).await.is_err(), "the name is checked");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    assert!(db::connect(&at("localhost", &other.cert.pem())).await.is_err(), "the authority is checked");
    let vague = format!("{}?sslmode=require", world.url);
    assert!(db::connect(&vague).await.unwrap_err().to_string().contains("database_ca"));

    let good = at("localhost", &made.cert.pem());
    assert_eq!(receiver::migrate(&good).await.unwrap().hub_sync_applied, 0);
    let config = Config { database_url: Some(good.url), database_ca: good.ca, ..Config::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(receiver::run(config, listener, std::future::pending()));
    Receiver::elsewhere(&base).says("/readyz", "ready\n").await;
    task.abort();
}
