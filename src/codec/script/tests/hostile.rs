//! Each costs one error. What brings QuickJS itself down is tested where it runs in a process of its own.

use proptest::prelude::*;

use super::*;

/// The kind of the error, and a part of what it says.
#[track_caller]
fn check(source: &str, kind: &str, part: &str) {
    let error = data(source, 2, &[1, 2]).expect_err(source);
    assert!(error.kind() == kind && error.to_string().contains(part), "{source}: {error:?}");
}

fn body(body: &str) -> String {
    format!("function decodeUplink(input) {{ {body} }}")
}

#[test]
fn what_never_ends() {
    for source in [
        "for (;;);",
        &body("for (;;);"),
        &body("while (true) { try { for (;;); } catch (e) { } finally { for (;;); } }"),
        &body("return {data: {get t() { for (;;); }}};"),
        &body("return {data: {toJSON: function () { for (;;); }}};"),
        &body("function* g() { for (;;) yield 1; } for (var x of g());"),
        &body("eval('for (;;);')"),
        &body("new Function('for (;;);')()"),
        &body("var a = []; a.length = 4294967295; a.indexOf(4);"),
        &body("return /^(a+)+$/.test('a'.repeat(40) + 'b');"),
        &body("[1, 2].sort(function () { for (;;); });"),
    ] {
        check(source, "deadline", "did not end");
    }
}

#[test]
fn the_clock_ends_it_too() {
    let source = body("for (var i = 0; i < 1e6; i++); return {data: {t: i}};");
    assert!(run(&call(&source, 2, &[]), &still()).is_ok());
    assert_eq!(run(&call(&source, 2, &[]), &racing()), Err(ScriptError::Deadline { ms: 250 }));
}

#[test]
fn built_in_functions_that_do_not_ask() {
    for text in [
        "Array.prototype.reverse.call({length: 1e15});",
        "var u = new Uint8Array(1); Object.defineProperty(u, 'length', {value: 1e15}); Array.prototype.fill.call(u, 0);",
        "var n = 0; Array.prototype.join.call({get length() { return n++ ? 1e15 : 1e15; }});",
        "var a = []; a.length = 4294967295; a.reverse();",
        "new Array(4294967295).join('x');",
        "var a = 'a'.repeat(2e6); a.indexOf('a'.repeat(1e6) + 'b');",
        "var s = 'a'.repeat(1e6); for (;;) s.indexOf('b');",
        "[].concat.call({length: 1e15}, 1);",
    ] {
        check(&body(text), "thrown", "too much work");
    }
}

#[test]
fn what_grows_without_end() {
    for (text, kind) in [
        ("var a = []; for (;;) a.push(new Array(1000).fill(7));", "memory"),
        ("var m = new Map(); for (var i = 0;; i++) m.set(i, {});", "memory"),
        ("return {data: {t: 'x'.repeat(3e6)}};", "memory"),
        ("return {data: {t: 'x'.repeat(2e5)}};", "thrown"),
        ("var s = 'x'; for (;;) s += s;", "thrown"),
        ("var o = {}; for (var i = 0; i < 20000; i++) o['k' + i] = i; return {data: o};", "thrown"),
        ("return decodeUplink(input);", "thrown"),
        ("var o = {}, p = o; for (var i = 0; i < 20000; i++) p = p.a = {}; return {data: o};", "thrown"),
        ("var o = {}, p = o; for (var i = 0; i < 200; i++) p = p.a = {}; return {data: o};", "result"),
        ("var b = '('; for (var i = 0; i < 18; i++) b += b; eval(b);", "thrown"),
        ("var b = '['; for (var i = 0; i < 18; i++) b += b; JSON.parse(b);", "thrown"),
        ("return new RegExp('('.repeat(5000) + ')'.repeat(5000));", "thrown"),
    ] {
        check(&body(text), kind, "");
    }
}

#[test]
fn results_that_are_none() {
    for (text, part) in [
        ("return new Proxy({}, {});", "Proxy is not defined"),
        ("return {data: {get t() { throw new Error('gotcha'); }}};", "gotcha"),
        ("return {data: new Promise(function () {})};", "a Promise at data"),
        ("return import('fs');", "a Promise"),
        ("return {data: {m: new Map()}};", "a Map at m"),
        ("return {data: {f: function () {}}};", "a function at f"),
        ("return {data: {s: Symbol('x')}};", "a symbol at s"),
        ("return {data: {b: 10n}};", "a bigint at b"),
        ("var d = {}; d.d = d; return {data: d};", "circular"),
        ("return undefined;", "no result"),
        ("throw 'plain text';", "threw plain text"),
        ("throw {get message() { for (;;); }};", "threw something that is no error"),
        ("throw new Error('x'.repeat(9999));", "..."),
        ("return input.nothing.more;", "maker.js line 1: cannot read property 'more' of undefined"),
    ] {
        check(&body(text), "thrown", part);
    }
    check("async function decodeUplink() { return {data: {}}; }", "thrown", "a Promise");
    check("var x = 1;", "thrown", "none of decodeUplink");
    assert_eq!(
        super::super::sandbox::check("maker.js", "var x = 1;", &still()),
        Err(ScriptError::NoFunction("maker.js".into()))
    );
}

#[test]
fn syntax_errors_name_their_line() {
    check(
        "function decodeUplink(input) {\n  return {data: \n}",
        "thrown",
        "maker.js line 3: unexpected token",
    );
    check("var a;\nimport fs from 'fs';", "thrown", "maker.js line 2:");
    check("export function decodeUplink() {}", "thrown", "maker.js line 1:");
    check("\0", "thrown", "maker.js");
}

#[test]
fn prototypes_belong_to_the_script_alone() {
    check(
        &body("Object.prototype.toJSON = function () { return {data: {t: 1}}; }; return {data: {t: 4}};"),
        "thrown",
        "stack",
    );
    let source = body(
        "JSON.stringify = Array.isArray = Reflect.apply = String = Object.keys = isFinite = null; JSON.parse = null;
         Array.prototype.push = function () { throw 1; }; Function.prototype.call = null;
         Object.defineProperty(Object.prototype, 'data', {get: function () { return 5; }, set: function () {}});
         return {__proto__: null, data: {t: 4}};",
    );
    assert_eq!(data(&source, 2, &[]), Ok(serde_json::json!({"t": 4})));
    // The next call knows nothing of it.
    assert_eq!(
        data(&body("seen = typeof seen; return {data: {seen: seen}};"), 2, &[]).unwrap()["seen"],
        "undefined"
    );
    assert_eq!(data(&body("return {data: {seen: typeof seen}};"), 2, &[]).unwrap()["seen"], "undefined");
    let numbers = data(&body("return {data: {a: NaN, b: -Infinity, c: undefined, d: null}};"), 2, &[]);
    assert_eq!(numbers, Ok(serde_json::json!({"a": "NaN", "b": "-Infinity", "d": null})));
}

const LOGGER: &str = "
    function Decoder(bytes, port) {
        var out = {log: []};
        for (i = 0; i + 3 < bytes.length; i += 4) {
            out.log.push({ts: bytes[i] << 24 | bytes[i + 1] << 16, temp: (bytes[i + 2] << 24 >> 16 | bytes[i + 3]) / 100});
        }
        out.now = {value: bytes[0] / port, unit: ['C', 'F', 'K', '?'][bytes[1] & 3]};
        out.door = bytes[2];
        return out;
    }";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_payload_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), port in any::<u8>()) {
        let manifest = "ports = [1, 2, 3]\ncheck_in_s = 60\n[[map]]\npath = \"log[].temp\"\ntime = \"ts\"
            quantity = \"temperature\"\nunit = \"C\"\n[[map]]\npath = \"now\"\nprobe = \"1\"\nquantity = \"temperature\"\nunit = \"C\"
            [[map]]\npath = \"door\"\nquantity = \"door\"\n";
        let codecs = crate::codec::Codecs::with(vec![Script::new("logger", LOGGER, manifest).unwrap()]);
        let clock = still();
        let run = &mut |call: &Call<'_>| run(call, &clock);
        if let Ok(decoded) = codecs.decode("custom/logger", port, &bytes, None, run) {
            prop_assert!(decoded.measurements.len() <= 256);
            prop_assert!([0, 1, 2, 3].contains(&port));
        }
    }
}
