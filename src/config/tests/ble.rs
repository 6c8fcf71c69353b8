use super::{check_error, check_findings};
use crate::config::{Config, Findings};

/// Takes the Bluetooth sensors away; keys that have a default are shown with it.
pub fn check_shown_bluetooth(shown: &mut Config) {
    let bare = "[ble]\n[[ble.device]]\naddress = 'a4:c1:38:11:22:33'\nmodel = 'xiaomi/atc'";
    let bare = Config::parse(bare).unwrap();
    assert_eq!(bare.check(), Findings::default());
    let mut shown = shown.ble.take();
    if let Some(section) = &mut shown {
        // Its default is its absence.
        section.bus = None;
    }
    assert_eq!(shown, bare.ble);
}

#[test]
fn bluetooth_sensors_that_cannot_work_are_found() {
    let device = "[[ble.device]]\naddress = 'A4:C1:38:11:22:33'\nmodel = 'govee/h5075'\n";
    check_findings("[ble]", &[], &["no [[ble.device]] sections"]);
    check_findings(
        &format!("[ble]\nname = ''\nadapter = '/dev/hci0'\nbus = 'somewhere'\n{device}"),
        &["1 to 64 letters", "must be one as", "no address of a D-Bus"],
        &[],
    );
    check_findings(
        &format!("{device}{device}"),
        &["two [[ble.device]] sections have the address A4:C1"],
        &[],
    );
    check_findings(&device.replace("govee/h5075", "dragino/lht65n"), &["none that advertises: bthome"], &[]);
    let many: String = (0..65).map(|n| device.replace("22:33", &format!("22:{n:02X}"))).collect();
    check_findings(&many, &["more than 64"], &[]);
    check_findings(&format!("{device}[onewire]\nname = 'ble'"), &["two sources have the name"], &[]);
    check_error(
        &device.replace(":33", ""),
        "line 2: address = \"A4:C1:38:11:22\" must look like \"A4:C1:38:11:22:33\"",
    );
}
