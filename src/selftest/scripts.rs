//! The sandbox of codecs: one runs, and each of its limits holds. In a child process, as the hub runs them.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::{Bench, Surroundings};
use crate::clock::Clock;
use crate::codec::script::{self, Call, Monotonic, ScriptError};
use crate::domain::MonoMs;
use crate::pipeline::scripts::{PROGRAM, Place, Scripts};

/// How much slower the emulator may be than the processor whose time a script is given.
const EMULATOR_SLOWER: i64 = 20;

/// A call on a busy machine may use up its time with waiting; one that does so again and again is no chance. Not more, or
/// the script is set aside.
const CALLS_MAX: u32 = 3;

/// Runs a script under a name.
type RunNamed = dyn FnMut(&str, &Call<'_>) -> Result<String, ScriptError>;
/// The name, what the script does, and what must come of it.
type Case = (&'static str, &'static str, fn(&Result<String, ScriptError>) -> bool);

const CASES: [Case; 6] = [
    (
        "decode a payload",
        "function decodeUplink(input) { \
         return { data: { t: ((input.bytes[0] << 8 | input.bytes[1]) << 16 >> 16) / 100 } }; }",
        |result| result.as_ref().is_ok_and(|text| text.contains("\"t\":-18.5")),
    ),
    ("end a loop", "function decodeUplink(input) { for (;;) {} }", |result| {
        matches!(result, Err(ScriptError::Deadline { .. }))
    }),
    (
        "bound the memory",
        "function decodeUplink(input) { var all = []; for (;;) { all.push(new Uint8Array(65536)); } }",
        |result| matches!(result, Err(ScriptError::Memory)),
    ),
    (
        "bound the stack",
        "function decodeUplink(input) { return decodeUplink(input) + 1; }",
        |result| matches!(result, Err(ScriptError::Thrown(text)) if text.contains("stack")),
    ),
    (
        "hide the machine",
        "function decodeUplink(input) { \
         var there = ['require', 'std', 'os', 'process', 'fetch', 'Worker', 'setTimeout', 'Proxy'].filter(\
         function (name) { return typeof globalThis[name] !== 'undefined'; }); \
         return { data: { there: there.length } }; }",
        |result| result.as_ref().is_ok_and(|text| text.contains("\"there\":0")),
    ),
    (
        "refuse a module",
        "import * as os from 'os'; function decodeUplink(input) { return { data: {} }; }",
        |result| matches!(result, Err(ScriptError::Thrown(_))),
    ),
];

pub fn check(bench: &Bench) -> Result<String> {
    let mut run: Box<RunNamed>;
    let place = match bench.surroundings {
        Surroundings::Machine => {
            let clock: Arc<dyn Clock> = bench.clock.clone();
            let mut scripts = Scripts::new(Place::Process(PathBuf::from(PROGRAM)), &clock);
            run = Box::new(move |model, call| scripts.run(model, call));
            "in a child process"
        }
        Surroundings::Emulator => {
            let clock = bench.clock.clone();
            let slower: Monotonic = Arc::new(move || MonoMs(clock.mono().0 / EMULATOR_SLOWER));
            run = Box::new(move |_, call| script::run(call, &slower));
            "in this process (--emulated)"
        }
    };
    for (what, source, is_right) in CASES {
        let call = Call {
            file: Cow::Borrowed("selftest.js"),
            source: Cow::Borrowed(source),
            bytes: Cow::Borrowed(&[0xf8, 0xc6]),
            f_port: 1,
            received_ms: 0,
            variables: Cow::Borrowed("{}"),
        };
        // By name: one that loops is set aside after a while, and the others are not.
        let mut result = run(what, &call);
        for _ in 1..CALLS_MAX {
            if is_right(&result) || !matches!(result, Err(ScriptError::Deadline { .. })) {
                break;
            }
            result = run(what, &call);
        }
        if !is_right(&result) {
            let got = result.unwrap_or_else(|error| error.to_string());
            bail!("{what}, {place}: {got}; sensors that need a script of a user are not read");
        }
    }
    Ok(format!("a codec ran {place}; limits on time, memory and stack hold"))
}
