use std::fs;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::facts::{Found, Goal, Net, Steps};
use super::database::Linked;
use super::{LIMITS, within};
use crate::clock::{CertificateTime, Clock, SystemClock};
use crate::config::Config;
use crate::domain::UnixMs;
use crate::uplink::probe::{self, Shown};

/// Addresses of a name that are tried and shown.
const ADDRESSES_MAX: usize = 4;

/// Step by step; a step that fails is the last.
pub async fn look(config: &Config, link: Found<Linked>, system: &Arc<SystemClock>, random: [u8; 16]) -> Net {
    let mut net = Net { interfaces_up: interfaces_up(), has_route: has_route(), ..Net::default() };
    if !config.uplink.enabled {
        return net;
    }
    let link = match link {
        Ok(link) => link,
        Err(why) => {
            net.goal = Goal::Unknown(why);
            return net;
        }
    };
    let url = link.as_ref().map(|(link, _)| link.receiver_url.clone()).or_else(|| config.uplink.url.clone());
    let Some(url) = url else {
        net.goal = Goal::None;
        return net;
    };
    let Some((host, port, is_tls)) = parts(&url) else {
        net.goal = Goal::Unknown(format!("{url} is no address of a receiver"));
        return net;
    };
    let is_local = host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    net.goal = Goal::Receiver { host: host.clone(), is_local, is_enrolled: link.is_some() };
    walk(&mut net, config, &Way { url, host, port, is_tls }, link, system, random).await;
    net
}

struct Way {
    url: String,
    host: String,
    port: u16,
    is_tls: bool,
}

async fn walk(
    net: &mut Net,
    config: &Config,
    way: &Way,
    link: Linked,
    system: &Arc<SystemClock>,
    random: [u8; 16],
) {
    let certificates = || CertificateTime::new(system.clone(), UnixMs(0));
    let ca_file = config.uplink.ca_file.as_deref();
    let (steps, is_reached) = reach(&way.host, way.port, way.is_tls.then(|| (ca_file, certificates()))).await;
    net.steps = steps;
    if !is_reached {
        return;
    }
    // Also with a certificate that is not valid: the time may be why.
    let nonce = frostguard_sync::ids::hex(&random);
    let time = within(LIMITS.request, async {
        let before = system.wall().0;
        let theirs = probe::time(&way.url, ca_file, certificates(), &nonce).await?;
        let after = system.wall().0;
        Ok(theirs - (before + (after - before) / 2))
    });
    net.time = Some(time.await);
    if matches!(net.steps.tls, Some(Err(_))) || matches!(net.time, Some(Err(_))) {
        return;
    }
    let Some((link, etag)) = link else {
        net.receiver = Some(Ok(()));
        return;
    };
    let shown = within(LIMITS.request, async {
        probe::credential(
            (&way.url, ca_file, certificates()),
            &config.hub.state_dir,
            link.credential_digest,
            &etag,
            &link.down_cursor,
        )
        .await
    });
    match shown.await {
        Ok(Shown::Taken) => (net.receiver, net.credential) = (Some(Ok(())), Some(Ok(()))),
        Ok(Shown::Refused(why)) => (net.receiver, net.credential) = (Some(Ok(())), Some(Err(why))),
        Ok(Shown::NoAnswer(why)) => net.receiver = Some(Err(why)),
        Err(why) => net.credential = Some(Err(why)),
    }
}

/// The addresses of a name as they are shown (None: it is an address), and as they are.
pub async fn look_up(host: &str, port: u16) -> (Option<Found<Vec<String>>>, Found<Vec<SocketAddr>>) {
    let found = within(LIMITS.dns, resolve(host, port)).await;
    if host.parse::<IpAddr>().is_ok() {
        return (None, found);
    }
    let shown = |all: &Vec<SocketAddr>| all.iter().map(|address| address.ip().to_string()).collect();
    (Some(found.as_ref().map(shown).map_err(Clone::clone)), found)
}

/// DNS, TCP and, with `tls` (authorities, the time for certificates), TLS; and whether TCP came about.
pub async fn reach(host: &str, port: u16, tls: Option<(Option<&Path>, CertificateTime)>) -> (Steps, bool) {
    let (dns, found) = look_up(host, port).await;
    let mut steps = Steps { dns, ..Steps::default() };
    let Ok(addresses) = found else { return (steps, false) };
    let stream = match first_that(&addresses, LIMITS.tcp, TcpStream::connect).await {
        Ok((address, stream)) => {
            steps.tcp = Some(Ok(address.to_string()));
            stream
        }
        Err(why) => {
            steps.tcp = Some(Err(why));
            return (steps, false);
        }
    };
    if let Some((ca_file, certificates)) = tls {
        let shaken = within(LIMITS.tls, async {
            let config = crate::tls::client_config(ca_file, certificates)?;
            let name =
                ServerName::try_from(host.to_owned()).with_context(|| format!("read the name {host}"))?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
            let version = stream.get_ref().1.protocol_version();
            Ok(version.map_or("connected".to_owned(), |version| format!("{version:?}")))
        });
        steps.tls = Some(shaken.await);
    }
    (steps, true)
}

/// One after the other, each within `limit`: a router may give out IPv6 addresses that lead nowhere, and the hub's own
/// client does not wait for those either.
async fn first_that<T, F: Future<Output = std::io::Result<T>>>(
    addresses: &[SocketAddr],
    limit: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), String> {
    let mut failures = Vec::new();
    for &address in addresses {
        match within(limit, async { Ok(connect(address).await?) }).await {
            Ok(stream) => return Ok((address, stream)),
            Err(why) => failures.push(format!("{address}: {why}")),
        }
    }
    Err(failures.join("; "))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port))
        .await
        .with_context(|| format!("look up {host}"))?
        .take(ADDRESSES_MAX)
        .collect();
    if addresses.is_empty() {
        bail!("{host} has no address");
    }
    Ok(addresses)
}

pub fn parts(url: &str) -> Option<(String, u16, bool)> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?, url.scheme() == "https"))
}

/// All but loopback.
fn interfaces_up() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let state = fs::read_to_string(entry.path().join("operstate")).unwrap_or_default();
            // A modem's interface does not tell.
            matches!(state.trim(), "up" | "unknown") && entry.file_name() != "lo"
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn has_route() -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    has_default_route(&read("/proc/net/route"), &read("/proc/net/ipv6_route"))
}

/// `Iface Destination Gateway Flags ..` and `destination prefix-length .. interface`; both in hex.
fn has_default_route(v4: &str, v6: &str) -> bool {
    let is_default_v4 = |line: &str| {
        let mut fields = line.split_whitespace();
        fields.next().is_some_and(|name| name != "lo") && fields.next() == Some("00000000")
    };
    let is_default_v6 = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&"00")
            && fields[0].bytes().all(|digit| digit == b'0')
            && fields.last() != Some(&"lo")
    };
    v4.lines().any(is_default_v4) || v6.lines().any(is_default_v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_out_is_a_default_route() {
        let head = "Iface\tDestination\tGateway\tFlags\n";
        let zero = "0".repeat(32);
        for (v4, v6, want) in [
            (format!("{head}eth0\t00000000\t0101A8C0\t0003\n"), String::new(), true),
            (format!("{head}eth0\t0001A8C0\t00000000\t0001\n"), String::new(), false),
            (String::new(), format!("{zero} 00 {zero} 00 fe80 00000400 1 0 00000003 wlan0\n"), true),
            (String::new(), format!("{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"), false),
            (String::new(), String::new(), false),
        ] {
            assert_eq!(has_default_route(&v4, &v6), want, "{v4}{v6}");
        }
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_costs_its_own_time_only() {
        let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [nowhere, refuses]: [SocketAddr; 2] =
            ["[2001:db8::1]:443", "192.0.2.1:443"].map(|text| text.parse().unwrap());
        let there = there.local_addr().unwrap();
        let connect = |address: SocketAddr| async move {
            if address == nowhere {
                return std::future::pending().await;
            }
            if address == refuses {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
            TcpStream::connect(address).await
        };
        // Long enough for the one that answers, whenever its turn comes.
        let limit = Duration::from_secs(2);
        let found = first_that(&[nowhere, refuses, there], limit, connect).await.map(|(address, _)| address);
        assert_eq!(found, Ok(there));
        let why = first_that(&[nowhere, refuses], limit, connect).await.map(|_| ()).unwrap_err();
        for part in ["[2001:db8::1]:443: no answer within 2 s", "192.0.2.1:443: connection refused"] {
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn an_address_has_parts() {
        for (url, want) in [
            ("https://central.example/base", Some(("central.example", 443, true))),
            ("http://[::1]:8443", Some(("::1", 8443, false))),
            ("nonsense", None),
        ] {
            let want = want.map(|(host, port, is_tls)| (host.to_owned(), port, is_tls));
            assert_eq!(parts(url), want, "{url}");
        }
    }
}
