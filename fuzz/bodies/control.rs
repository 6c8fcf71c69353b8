//! A line on the control socket.

use frostguard_hub::control::Request;
use frostguard_hub::lorawan::{ids::Eui, qr};

pub fn run(line: &[u8]) {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // The command line writes what the hub reads.
    let written = serde_json::to_vec(&request).expect("a request is JSON");
    let again: Request = serde_json::from_slice(&written).expect("a request that was written");
    assert_eq!(format!("{again:?}"), format!("{request:?}"));
    assert_eq!(again.changes(), request.changes());
    if let Request::PairDevice(pair) = request {
        // How the pairing takes it.
        let is_eui = Eui::parse(&pair.device).is_some();
        assert!(!(is_eui && qr::parse(&pair.device).is_ok()), "an EUI is no label");
    }
}
