use std::sync::Arc;

use frostguard_hub::clock::{BUILD_TIME, CertificateTime, TestClock};
use frostguard_hub::domain::{MonoMs, UnixMs};
use frostguard_hub::source::mqtt::Mqtt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::heard::Heard;
use crate::mqtt::section;
use crate::support::{Mosquitto, Scratch};

/// Of "cold chain", as mosquitto_passwd writes it.
const PASSWORDS: &str = "kitchen:$7$101$/WHRJniiZXH/3xuS$2ZMnajidf6+AW2xDjBon1ZSymIDj5hnw7/LBLKUTf0CV3I7pKve29IJM5peW4oFF/\
                         GAnABd0CpDM1kX/0IrFhw==\n";
/// 2100-01-01, when the broker's certificate has run out.
const TOO_LATE: UnixMs = UnixMs(4_102_444_800_000);

struct Keys {
    scratch: Scratch,
}

impl Keys {
    /// An authority, a certificate of localhost by it, and another authority.
    fn make() -> Self {
        let scratch = Scratch::new("tls");
        let authority = |file: &str| {
            let mut params = CertificateParams::new([]).expect("no names are right");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("make a key");
            scratch.write(file, &params.self_signed(&key).expect("sign").pem());
            Issuer::new(params, key)
        };
        let issuer = authority("ca.pem");
        authority("other.pem");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name is right");
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate().expect("make a key");
        scratch.write("cert.pem", &params.signed_by(&key, &issuer).expect("sign").pem());
        scratch.write("key.pem", &key.serialize_pem());
        scratch.write("passwords", PASSWORDS);
        for (file, text) in [("right", "cold chain\n"), ("wrong", "warm chain\n")] {
            let path = scratch.write(file, text);
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .expect("close a file");
        }
        Self { scratch }
    }

    fn path(&self, file: &str) -> String {
        self.scratch.join(file).display().to_string()
    }

    fn broker(&self) -> Mosquitto {
        Mosquitto::start_with(&format!(
            "certfile {}\nkeyfile {}\npassword_file {}\nallow_anonymous false\n",
            self.path("cert.pem"),
            self.path("key.pem"),
            self.path("passwords")
        ))
    }

    fn connect(&self, port: u16, host: &str, ca: &str, password: &str, now: UnixMs) -> Heard {
        let rest = format!(
            "ca_file = \"{}\"\nusername = \"kitchen\"\npassword_file = \"{}\"",
            self.path(ca),
            self.path(password)
        );
        let time = CertificateTime::new(Arc::new(TestClock::new(MonoMs(0), now)), UnixMs(0));
        Heard::start(Mqtt::new(section(&format!("mqtts://{host}:{port}"), &rest), Arc::default(), time))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_broker_gets_the_password() {
    let keys = Keys::make();
    let broker = keys.broker();
    for (host, ca, password, now, want) in [
        ("localhost", "ca.pem", "right", BUILD_TIME, None),
        // A clock in 1970 counts as the time of the build.
        ("localhost", "ca.pem", "right", UnixMs(0), None),
        ("localhost", "ca.pem", "right", TOO_LATE, Some("certificate expired")),
        ("localhost", "other.pem", "right", BUILD_TIME, Some("invalid peer certificate")),
        ("127.0.0.1", "ca.pem", "right", BUILD_TIME, Some("not valid for name")),
        ("localhost", "ca.pem", "wrong", BUILD_TIME, Some("refuses the user or the password")),
        ("localhost", "cert.pem", "missing", BUILD_TIME, Some("/missing: No such file")),
        ("localhost", "none.pem", "right", BUILD_TIME, Some("none.pem")),
    ] {
        let mut heard = keys.connect(broker.port(), host, ca, password, now);
        match want {
            None => heard.up().await,
            Some(want) => {
                let reason = heard.down().await;
                assert!(reason.contains(want), "{reason:?} does not say {want:?}");
                assert!(!reason.contains("chain\n") && !reason.contains("cold chain"), "{reason}");
            }
        }
        heard.stop().await;
    }
}
