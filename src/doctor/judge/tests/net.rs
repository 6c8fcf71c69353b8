//! Brokers, mail, webhooks, the way to the receiver.

use super::*;

#[test]
fn brokers_modem_and_people() {
    check(
        |facts| facts.brokers[0].signed_in = SignIn::Tried(Err("connection refused".into())),
        &[("broker chirpstack", Failure, "connection refused")],
    );
    check(
        |facts| facts.brokers[0].signed_in = SignIn::OfService,
        &[("broker chirpstack", Warning, "as root while the hub runs")],
    );
    let modem = |change: fn(&mut Modem)| of_hub(move |hub| change(hub.modem.as_mut().unwrap()));
    check(modem(|modem| modem.problem = Some("the SIM asks for a PIN".into())), &[("modem", Failure, "PIN")]);
    check(modem(|modem| modem.is_ready = false), &[("modem", Failure, "not ready")]);
    check(modem(|modem| modem.signal_dbm = Some(-110)), &[("modem", Warning, "weak")]);
    check(of_hub(|hub| hub.modem = None), &[("modem", Warning, "restart")]);
    check(
        of_hub(|hub| hub.channels = "none: nobody is called".into()),
        &[("calling people", Warning, "[notify]")],
    );
    check(
        of_hub(|hub| hub.last_call_failure = Some("sms: no network".into())),
        &[("calling people", Warning, "no network")],
    );
}

#[test]
fn a_credential_that_the_service_is_not_given() {
    let not_given = |name: &str| SignIn::NotGiven(name.into());
    check(
        |facts| facts.brokers[0].signed_in = not_given("hub_mqtt"),
        &[(
            "broker chirpstack",
            Failure,
            "given no credential hub_mqtt | put it into /etc/frostguard/credentials/mqtt",
        )],
    );
    check(
        |facts| facts.mail.as_mut().unwrap().signed_in = not_given("hub_smtp"),
        &[("mail", Failure, "given no credential hub_smtp | put it into /etc/frostguard/credentials/smtp")],
    );
    check(
        |facts| facts.mail.as_mut().unwrap().signed_in = not_given("smtp"),
        &[("mail", Failure, "LoadCredential=smtp:")],
    );
}

#[test]
fn the_mail_server() {
    let of_mail = |change: fn(&mut Mail)| {
        move |facts: &mut Facts| {
            change(facts.mail.as_mut().unwrap());
        }
    };
    check(|facts| facts.mail = None, &[]);
    check(of_mail(|mail| mail.signed_in = SignIn::None), &[]);
    let fails = |mail: &mut Mail, steps: Steps| {
        (mail.steps, mail.greeted, mail.signed_in) = (steps, None, SignIn::None);
    };
    check(
        |facts| {
            let steps = Steps { dns: Some(Err("no such name".into())), ..Steps::default() };
            fails(facts.mail.as_mut().unwrap(), steps);
        },
        &[("mail", Failure, "smtp.example:465: no such name | see the host's name")],
    );
    check(
        |facts| {
            let steps = Steps { tcp: Some(Err("refused".into())), ..steps() };
            fails(facts.mail.as_mut().unwrap(), steps);
        },
        &[("mail", Failure, "refused | see host and port")],
    );
    check(
        of_mail(|mail| {
            (mail.greeted, mail.signed_in) = (Some(Err("it offers no STARTTLS".into())), SignIn::None);
        }),
        &[("mail", Failure, "no STARTTLS | see security")],
    );
    check(
        of_mail(|mail| mail.signed_in = SignIn::Tried(Err("535 5.7.8 no".into()))),
        &[("mail", Failure, "535 5.7.8 no | see username")],
    );
    check(of_mail(|mail| mail.signed_in = SignIn::OfService), &[("mail", Warning, "while the hub runs")]);
}

#[test]
fn webhooks() {
    let name = "webhook pager";
    let of_steps = |change: fn(&mut Steps)| {
        move |facts: &mut Facts| {
            change(&mut facts.webhooks[0].steps);
        }
    };
    check(of_steps(|steps| steps.tls = None), &[]);
    check(of_steps(|steps| steps.dns = None), &[]);
    check(
        of_steps(|steps| *steps = Steps { dns: Some(Err("no such name".into())), ..Steps::default() }),
        &[(name, Failure, "hooks.example:443: no such name")],
    );
    check(of_steps(|steps| steps.tcp = Some(Err("refused".into()))), &[(name, Failure, "firewall")]);
    check(
        of_steps(|steps| steps.tls = Some(Err("invalid peer certificate".into()))),
        &[(name, Failure, "invalid peer certificate | a wrong clock")],
    );
}

#[test]
fn the_way_to_the_receiver() {
    let none = |net: &mut Net| {
        (net.steps, net.time, net.receiver, net.credential) = Default::default();
    };
    let fails = || Some(Err("it fails".to_owned()));
    check(|facts| facts.net.interfaces_up.clear(), &[("internet: link", Failure, "no network interface")]);
    check(|facts| facts.net.has_route = false, &[("internet: link", Failure, "DHCP")]);
    check(
        |facts| {
            none(&mut facts.net);
            facts.net.steps.dns = Some(Err("it fails".into()));
        },
        &[("internet: DNS", Failure, "name server")],
    );
    check(
        |facts| {
            none(&mut facts.net);
            facts.net.steps.tcp = fails();
        },
        &[("internet: TCP", Failure, "firewall")],
    );
    check(
        |facts| {
            facts.net.steps.tls = fails();
            (facts.net.receiver, facts.net.credential) = (None, None);
            facts.net.time = Some(Ok(400_000));
        },
        &[("internet: TLS", Failure, "ca_file"), ("internet: time", Failure, "6 min ahead of this one")],
    );
    check(
        |facts| {
            (facts.net.receiver, facts.net.credential) = (Some(Err("503".into())), None);
        },
        &[("internet: receiver", Failure, "503")],
    );
    check(
        |facts| facts.net.credential = Some(Err("the receiver answered 401".into())),
        &[("credential", Failure, "--replace")],
    );
    check(of_hub(|hub| hub.uplink_problem = Some("timed out".into())), &[("uplink", Warning, "timed out")]);
    check(|facts| facts.net.goal = Goal::None, &[("central", Warning, "enroll")]);
    check(|facts| facts.net.goal = Goal::Off, &[]);
    check(
        |facts| facts.net.goal = Goal::Unknown("no database".into()),
        &[("central", Failure, "no database")],
    );
    check(
        |facts| {
            facts.net.goal = Goal::Receiver { host: "localhost".into(), is_local: true, is_enrolled: false };
            facts.net.interfaces_up.clear();
            facts.net.credential = None;
        },
        &[("credential", Warning, "not enrolled")],
    );
}
