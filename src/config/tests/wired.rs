use super::{check_error, check_findings};
use crate::config::{Config, Findings};

/// Takes the wired sensors away; keys that have a default are shown with it.
pub fn check_shown_wires(shown: &mut Config) {
    let bare = "[[modbus]]\nname = 'bus'\npath = '/dev/serial/by-id/usb-example-rs485'
        [[modbus.device]]\nid = 1\npreset = 'rs485-th'\ninterval_s = 60
        [[modbus.device]]\nid = 2
        [[modbus.device.register]]\nfunction = 3\naddress = 256\ntype = 'i16'\nquantity = 'temperature'
        scale = 0.1\ninvalid = [-32768, 32767]\nat_4_ma = -50\nat_20_ma = 50
        [onewire]
        [[current]]\nname = 'walk-in'\npath = '/sys/bus/iio/devices/iio:device0'\nchannel = 0\nshunt_ohm = 100
        at_4_ma = -50\nat_20_ma = 50";
    let bare = Config::parse(bare).unwrap();
    assert_eq!(bare.check(), Findings::default());
    assert_eq!(std::mem::take(&mut shown.modbus), bare.modbus);
    assert_eq!(shown.onewire.take(), bare.onewire);
    assert_eq!(std::mem::take(&mut shown.current), bare.current);
}

#[test]
fn wired_sensors_that_cannot_work_are_found() {
    let bus = "[[modbus]]\nname = 'bus'\npath = '/dev/bus'\n";
    let device = "[[modbus.device]]\nid = 1\npreset = 'xy-md02'\n";
    let register =
        "[[modbus.device.register]]\nfunction = 4\naddress = 1\ntype = 'i16'\nquantity = 'temperature'\n";
    let own = format!("{bus}[[modbus.device]]\nid = 1\n{register}");
    check_findings(&format!("{bus}{device}"), &[], &[]);
    check_findings(&own, &[], &[]);
    check_findings(bus, &["1 to 64 [[modbus.device]]"], &[]);
    check_findings(&format!("{bus}{device}{device}"), &["two devices have the id 1"], &[]);
    check_findings(
        &format!("{bus}baud = 1\nstop_bits = 3\ntimeout_ms = 100\ngap_ms = 0\ninterval_s = 0\n{device}"),
        &["baud", "stop_bits", "interval_s", "timeout_ms = 100 is outside 500", "gap_ms"],
        &[],
    );
    check_findings(&format!("{bus}[[modbus.device]]\nid = 1"), &["either a preset or"], &[]);
    check_findings(&format!("{bus}{device}{register}"), &["either a preset or"], &[]);
    check_findings(&format!("{bus}{}", device.replace("= 1", "= 248")), &["id = 248"], &[]);
    check_findings(&own.replace("id = 1", "id = 1\nswapped = true"), &["swapped"], &[]);
    check_findings(&format!("{own}{register}"), &["measures the same at the probe internal"], &[]);
    check_findings(&format!("{own}scale = 0"), &["scale not 0"], &[]);
    check_findings(&format!("{own}invalid = [65535]"), &["65535 is outside -32768 to 32767"], &[]);
    check_findings(&format!("{own}at_4_ma = 0"), &["go together"], &[]);
    check_findings(&format!("{own}at_4_ma = 5\nat_20_ma = 5"), &["two different"], &[]);
    check_findings(
        &own.replace("address = 1", "address = 65535").replace("i16", "f32"),
        &["beyond 65535"],
        &[],
    );
    let port = "[[serial]]\nname = 'a'\npath = '/dev/bus'\npreset = 'json'\n";
    check_findings(
        &format!("{bus}{device}{port}"),
        &["two [[serial]] or [[modbus]] sections open /dev/bus"],
        &[],
    );
    check_error(
        &own.replace("function = 4", "function = 6"),
        "line 7: function = 6 must be 3 (holding registers) or 4 (input registers): the hub only reads",
    );
    check_error(
        &format!("{own}probe = 'door'"),
        "line 11: probe = \"door\" must be \"internal\", \"external\" or \"1\" to \"254\"",
    );

    check_findings("[onewire]", &[], &[]);
    check_findings(
        "[onewire]\nname = ''\npath = 'w1'\ninterval_s = 0",
        &["1 to 64 letters", "absolute", "interval_s"],
        &[],
    );

    let current =
        "[[current]]\nname = 'a'\npath = '/sys/x'\nchannel = 0\nshunt_ohm = 100\nat_4_ma = 0\nat_20_ma = 5\n";
    check_findings(current, &[], &[]);
    check_findings(
        &format!("{current}{}", current.replace("'a'", "'b'")),
        &["two [[current]] sections read channel 0 of /sys/x"],
        &[],
    );
    check_findings(&current.replace("= 100", "= 0"), &["shunt_ohm"], &[]);
    check_findings(&format!("{current}quantity = 'door'"), &["tells of no door"], &[]);
    check_findings(&format!("{current}[onewire]\nname = 'a'"), &["two sources have the name"], &[]);
}
