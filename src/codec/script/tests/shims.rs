//! What a script finds around it.

use serde_json::json;

use super::*;

#[track_caller]
fn check(source: &str, want: Value) {
    assert_eq!(data(source, 2, &[0x0B, 0xB8, 0xFF, 0x38]), Ok(want), "{source}");
}

#[test]
fn all_three_entry_points() {
    check(
        "function decodeUplink(input) { return {data: {port: input.fPort, n: input.bytes.length, first: input.bytes[0],
            at: input.recvTime, isDate: input.recvTime instanceof Date, offset: input.variables.offset}}; }",
        json!({"port": 2, "n": 4, "first": 11, "at": "2026-09-21T14:13:20.000Z", "isDate": true, "offset": "2"}),
    );
    check(
        "function Decoder(bytes, port) { return {port: port, b: bytes[1]}; }",
        json!({"port": 2, "b": 184}),
    );
    check(
        "function Decode(fPort, bytes, variables) { return {port: fPort, b: bytes[1], v: variables.offset}; }",
        json!({"port": 2, "b": 184, "v": "2"}),
    );
    // The newest wins.
    check(
        "function Decoder() { return {old: 1}; } function decodeUplink() { return {data: {old: 0}}; }",
        json!({"old": 0}),
    );
    check("const decodeUplink = (i) => ({data: {n: i.bytes.length}});", json!({"n": 4}));
    check("decodeUplink = function (i) { return {data: {n: i.bytes.length}}; };", json!({"n": 4}));
}

#[test]
fn a_classic_script_that_declares_nothing() {
    check(
        "function decodeUplink(input) {
            batV = (input.bytes[0] << 8 | input.bytes[1]) / 1000;
            raw = input.bytes[2] << 24 >> 16 | input.bytes[3];
            for (i = 0; i < 3; i++) sum = (i ? sum : 0) + i;
            with ({x: 1}) { y = x; }
            return {data: {BatV: batV, TempC: (raw / 100).toFixed(2), sum: sum, y: y, octal: 017}};
        }",
        json!({"BatV": 3, "TempC": "-2.00", "sum": 3, "y": 1, "octal": 15}),
    );
    check(
        "'use strict'; var decodeUplink = function (i) { try { never = 1; } catch (e) { return {data: {strict: true}}; } };",
        json!({"strict": true}),
    );
}

#[test]
fn a_buffer_that_reads() {
    check(
        "function decodeUplink(input) { var b = Buffer.from(input.bytes); return {data: {
            hex: b.toString('hex'), base64: b.toString('base64'), utf8: Buffer.from('é!').toString(),
            back: Buffer.from('68656c6c6f', 'hex').toString('utf8'), from64: Buffer.from('aGk=', 'base64').toString(),
            u8: b.readUInt8(3), i8: b.readInt8(3), u16be: b.readUInt16BE(0), u16le: b.readUInt16LE(0), i16be: b.readInt16BE(2),
            i16le: b.readInt16LE(2), u32be: b.readUInt32BE(0), i32le: b.readInt32LE(0), alias: b.readUint16BE(0),
            float: Buffer.from([0, 0, 0x80, 0x3f]).readFloatLE(0), slice: b.slice(1, 3).readUInt16BE(0), is: Buffer.isBuffer(b),
            past: (function () { try { b.readUInt32BE(1); } catch (e) { return e.name; } })()}}; }",
        json!({
            "hex": "0bb8ff38", "base64": "C7j/OA==", "utf8": "é!", "back": "hello", "from64": "hi", "u8": 56, "i8": 56,
            "u16be": 3_000, "u16le": 47_115, "i16be": -200, "i16le": 14_591, "u32be": 196_673_336, "i32le": 956_282_891,
            "alias": 3_000, "float": 1, "slice": 47_359, "is": true, "past": "RangeError"
        }),
    );
}

#[test]
fn the_usual_functions_of_lists_and_text() {
    check(
        "function decodeUplink() { console.log('x'); return {data: {
            a: 'a-b'.split('-'), b: 'abc'.replace(/b/g, function (m) { return m + m; }), c: [3, 1, 2].sort().join(),
            d: [1, [2, [3]]].flat(Infinity), e: Array.prototype.slice.call(arguments).length, f: 'x'.padStart(3, '0'),
            g: [1, 2].concat([3], 4).reverse(), h: [].concat.apply([], [[1], [2]]), i: [5, 4].slice(-1)[0],
            j: 'aXbX'.lastIndexOf('X'), k: ' t '.trim().toUpperCase(), l: [1, 2, 3].splice(1, 1), m: 'abc'.substr(1, 1)}}; }",
        json!({
            "a": ["a", "b"], "b": "abbc", "c": "1,2,3", "d": [1, 2, 3], "e": 1, "f": "00x", "g": [4, 3, 2, 1], "h": [1, 2],
            "i": 4, "j": 3, "k": "T", "l": [2], "m": "b"
        }),
    );
}

#[test]
fn there_is_one_time_and_no_chance() {
    check(
        "function decodeUplink() { return {data: {now: Date.now(), date: new Date().getTime(), other: new Date(5).getTime(),
            utc: Date.UTC(1970, 0, 2), is: new Date() instanceof Date, random: Math.random() === Math.random()}}; }",
        json!({"now": RECEIVED, "date": RECEIVED, "other": 5, "utc": 86_400_000, "is": true, "random": true}),
    );
    check(
        "function decodeUplink() { return {data: {what: [typeof require, typeof process, typeof setTimeout, typeof fetch,
            typeof performance, typeof Proxy, typeof WeakRef, typeof Atomics, typeof std, typeof os].join()}}; }",
        json!({ "what": (["undefined"; 10].join(",")) }),
    );
}

#[test]
fn errors_and_warnings() {
    let said = |source: &str| run(&call(source, 2, &[1]), &still()).and_then(|text| Output::of(&text));
    let output =
        said("function decodeUplink() { return {data: {t: 1}, warnings: ['low', 'old']}; }").unwrap();
    assert_eq!((output.warnings, output.data), (2, json!({"t": 1})));
    for (result, want) in [
        ("{errors: ['unknown port', 7]}", ScriptError::Reported("unknown port; 7".into())),
        ("{data: {t: 1}, errors: 'bad'}", ScriptError::Reported("bad".into())),
        ("{}", ScriptError::Result("it has no data".into())),
        ("{data: null}", ScriptError::Result("it has no data".into())),
        ("{data: [1]}", ScriptError::Result("its data are no object".into())),
        ("{data: 'text'}", ScriptError::Result("its data are no object".into())),
    ] {
        let source = format!("function decodeUplink() {{ return {result}; }}");
        assert_eq!(said(&source).map(|output| output.data), Err(want), "{result}");
    }
    assert!(said("function decodeUplink() { return {data: {}, errors: []}; }").is_ok());
    let long = said("function decodeUplink() { return {errors: ['x'.repeat(5000) + '\\n']}; }").unwrap_err();
    assert!(long.to_string().len() < 300);
}
