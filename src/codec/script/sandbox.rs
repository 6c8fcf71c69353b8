//! One call of a script in a QuickJS runtime of its own, which ends with the call: no files, no network, no modules, no
//! clock, no randomness, and bounds on memory, stack, time and steps.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::{Context, Ctx, Exception, FromJs, Function, Object, Runtime};

use super::{Call, ScriptError};
use crate::domain::MonoMs;

/// A monotonic clock, by which a script's time is over.
pub type Monotonic = Arc<dyn Fn() -> MonoMs + Send + Sync>;

/// What a script may take: none of 554 codecs of makers needed more.
const MEMORY_BYTES_MAX: usize = 8 << 20;
/// A quarter of what the smallest thread here has.
const STACK_BYTES_MAX: usize = 256 << 10;
/// Codecs take 1 to 15 ms on a PC and up to 75 ms on a Raspberry Pi; the core judges nothing meanwhile.
const DEADLINE_MS: i64 = 250;
/// Times that QuickJS asks whether to go on, once every 10,000 jumps back and calls: with a clock that stands still a
/// script ends too.
const POLLS_MAX: u32 = 2_000;
/// Steps of built-in functions that do not ask: characters searched, elements moved.
const WORK_MAX: u32 = 20_000_000;
/// Values of a result: a datalog of 200 entries with 10 fields each is far below.
const NODES_MAX: u32 = 10_000;
/// Characters of a result as JSON.
pub const RESULT_CHARS_MAX: usize = 128 << 10;

const PRELUDE: &str = include_str!("prelude.js");

/// What a codec needs of JavaScript. No Proxy, WeakRef or performance: what cannot be had cannot surprise.
type Intrinsics = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
);

/// Whether the script can be read and has one of the functions that are called. `file` is what errors name.
pub fn check(file: &str, source: &str, clock: &Monotonic) -> Result<(), ScriptError> {
    within(file, source, 0, clock, |_, prelude| {
        let is_complete: bool = prelude.get::<_, Function>("isComplete")?.call(())?;
        Ok(is_complete)
    })
    .and_then(|is_complete| if is_complete { Ok(()) } else { Err(ScriptError::NoFunction(file.to_owned())) })
}

/// The script's result as JSON text.
pub fn call(call: &Call<'_>, clock: &Monotonic) -> Result<String, ScriptError> {
    let text = within(&call.file, &call.source, call.received_ms, clock, |ctx, prelude| {
        let bytes = rquickjs::Array::new(ctx.clone())?;
        for (index, byte) in call.bytes.iter().enumerate() {
            bytes.set(index, *byte)?;
        }
        let decode: Function = prelude.get("decode")?;
        let text: String =
            decode.call((bytes, call.f_port, call.received_ms as f64, call.variables.as_ref()))?;
        Ok(text)
    })?;
    if text.len() > 4 * RESULT_CHARS_MAX {
        return Err(ScriptError::Result(format!("it is longer than {RESULT_CHARS_MAX} characters")));
    }
    Ok(text)
}

/// Runs the script's own text, then `then`, and turns whatever happens into a value.
fn within<T>(
    file: &str,
    source: &str,
    now_ms: i64,
    clock: &Monotonic,
    then: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> rquickjs::Result<T>,
) -> Result<T, ScriptError> {
    let runtime = Runtime::new().map_err(|_| ScriptError::Memory)?;
    runtime.set_memory_limit(MEMORY_BYTES_MAX);
    runtime.set_max_stack_size(STACK_BYTES_MAX);
    let over = Rc::new(Cell::new(false));
    runtime.set_interrupt_handler(Some(deadline(clock, over.clone())));
    let context = Context::custom::<Intrinsics>(&runtime).map_err(|_| ScriptError::Memory)?;
    context.with(|ctx| {
        let result = prelude(&ctx, now_ms).and_then(|prelude| {
            let mut options = EvalOptions::default();
            // As a classic script: many makers' codecs assign variables that they never declare.
            options.strict = false;
            options.filename = Some(file.to_owned());
            ctx.eval_with_options::<(), _>(source, options)?;
            then(&ctx, &prelude)
        });
        result.map_err(|error| {
            if over.get() {
                ScriptError::Deadline { ms: DEADLINE_MS as u32 }
            } else {
                explain(&ctx, &error, file)
            }
        })
    })
}

fn prelude<'js>(ctx: &Ctx<'js>, now_ms: i64) -> rquickjs::Result<Object<'js>> {
    let limits = Object::new(ctx.clone())?;
    limits.set("work", WORK_MAX)?;
    limits.set("nodes", NODES_MAX)?;
    limits.set("text", RESULT_CHARS_MAX as u32)?;
    let prelude: Function = ctx.eval(PRELUDE)?;
    let prelude: Object = prelude.call((ctx.globals(), limits))?;
    prelude.get::<_, Function>("begin")?.call::<_, ()>((now_ms as f64,))?;
    Ok(prelude)
}

/// Says "stop" when the time or the polls are used up, and from then on for ever.
fn deadline(clock: &Monotonic, over: Rc<Cell<bool>>) -> Box<dyn FnMut() -> bool> {
    let clock = clock.clone();
    let until = MonoMs(clock().0.saturating_add(DEADLINE_MS));
    let mut polls = 0;
    Box::new(move || {
        polls += 1;
        if polls > POLLS_MAX || clock() > until {
            over.set(true);
        }
        over.get()
    })
}

/// What was thrown, in a sentence that names file and line.
fn explain(ctx: &Ctx<'_>, error: &rquickjs::Error, file: &str) -> ScriptError {
    if !error.is_exception() {
        return match error {
            rquickjs::Error::Allocation => ScriptError::Memory,
            other => ScriptError::Thrown(format!("{file}: {other}")),
        };
    }
    let thrown = ctx.catch();
    if thrown.is_null() {
        // There was not even memory for an error that says so.
        return ScriptError::Memory;
    }
    let Some(exception) = thrown.as_object().and_then(|object| Exception::from_object(object.clone())) else {
        let text = String::from_js(ctx, thrown).unwrap_or_else(|_| "something that is no error".to_owned());
        return ScriptError::Thrown(format!("{file}: threw {}", super::bounded(&text)));
    };
    let message = exception.message().unwrap_or_default();
    if message == "out of memory" {
        return ScriptError::Memory;
    }
    let stack = exception.stack().unwrap_or_default();
    let place = line_in(&stack, file).map_or_else(|| file.to_owned(), |line| format!("{file} line {line}"));
    ScriptError::Thrown(format!("{place}: {}", super::bounded(&message)))
}

/// The first line of `file` that a stack trace names.
fn line_in(stack: &str, file: &str) -> Option<u32> {
    stack.match_indices(file).find_map(|(at, _)| {
        let rest = stack[at + file.len()..].strip_prefix(':')?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}
