//! Scripts in the process that the hub keeps for them, and the commands about them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use frostguard_hub::clock::{Clock, SystemClock};
use frostguard_hub::codec::script::breaker::FAILURES_MAX;
use frostguard_hub::codec::script::{Call, ScriptError};
use frostguard_hub::pipeline::scripts::{Place, Scripts};

const HUB: &str = env!("CARGO_BIN_EXE_frostguard-hub");
const GOOD: &str = "function Decoder(bytes) { return {t: bytes[0]}; }";
/// As the self-test does: a machine that is busy lets a process that must first start take its time.
const CALLS_MAX: u32 = 3;

fn scripts(program: &str) -> Scripts {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new().expect("this machine has clocks"));
    Scripts::new(Place::Process(PathBuf::from(program)), &clock)
}

fn run(scripts: &mut Scripts, model: &str, source: &str) -> Result<String, ScriptError> {
    scripts.run(
        model,
        &Call {
            file: "maker.js".into(),
            source: source.into(),
            bytes: vec![4].into(),
            f_port: 2,
            received_ms: 0,
            variables: "{}".into(),
        },
    )
}

/// The same for a script that is no slower than its process.
fn run_in_time(scripts: &mut Scripts, model: &str, source: &str) -> Result<String, ScriptError> {
    let mut answer = run(scripts, model, source);
    for _ in 1..CALLS_MAX {
        if !matches!(answer, Err(ScriptError::Deadline { .. })) {
            break;
        }
        answer = run(scripts, model, source);
    }
    answer
}

#[test]
fn a_script_that_brings_its_process_down_is_followed_by_a_new_one() {
    let mut scripts = scripts(HUB);
    let good = Ok(r#"{"data":{"t":4}}"#.to_owned());
    assert_eq!(run_in_time(&mut scripts, "custom/good", GOOD), good);
    for (source, kinds) in [
        ("for (;;);", &["deadline"][..]),
        // Steps so slow that QuickJS asks too seldom: the process is ended.
        ("var s = 'a'.repeat(1e6), o = {}; for (var k = 0;; k++) o[s + k];", &["deadline", "memory"]),
        ("var x = (1n << 1000000n) - 1n; for (;;) x.toString();", &["deadline", "thrown"]),
        // Memory that runs out in the middle of built-in functions, which QuickJS has survived and not survived.
        (
            "var a = [], f = function () {}; try { for (;;) a.push([1]); } catch (e) {}
             for (var n = 0; n < 5000; n++) { try { a.pop(); a.push(f.bind(1, 2, 3, 4, n)); } catch (e) {} }",
            &["crashed", "none", "memory", "deadline", "no_function", "thrown"],
        ),
        ("function Decoder(bytes) { return {t: 'x'.repeat(120000)}; }", &["none"]),
    ] {
        let run_it = if kinds == ["none"] { run_in_time } else { run };
        let kind = run_it(&mut scripts, source, source).map_or_else(|error| error.kind(), |_| "none");
        assert!(kinds.contains(&kind), "{source}: {kind}");
        // By a name of its own: what is slow three times is set aside.
        let after = run_in_time(&mut scripts, &format!("custom/good after {source}"), GOOD);
        assert_eq!(after, good, "after {source}");
    }
}

#[test]
fn a_process_that_cannot_be_had_is_an_error() {
    // A program that ends at once may take its time to do so.
    for (program, kinds) in [("/bin/true", &["crashed", "deadline"][..]), ("/no/such/program", &["not_run"])]
    {
        let mut scripts = scripts(program);
        let kind = |scripts: &mut Scripts, model: &str| run(scripts, model, GOOD).unwrap_err().kind();
        for _ in 0..FAILURES_MAX {
            let kind = kind(&mut scripts, "custom/good");
            assert!(kinds.contains(&kind), "{program}: {kind}");
        }
        // Only where it was the script's doing, as far as one can tell.
        let next = if kinds == ["not_run"] { "not_run" } else { "set_aside" };
        assert_eq!(kind(&mut scripts, "custom/good"), next, "{program}");
        let other = kind(&mut scripts, "custom/other");
        assert!(kinds.contains(&other), "{program}: {other}");
    }
}

/// A program of these lines in place of the hub.
fn program(folder: &Path, lines: &str) -> PathBuf {
    let program = folder.join("program");
    // Written by another process: one of this test's children may hold a file of its own open, and an open one is not run.
    let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
    assert!(
        Command::new("sh")
            .args(["-c", write])
            .arg(&program)
            .arg(lines)
            .status()
            .expect("there is a shell")
            .success()
    );
    program
}

#[test]
fn a_script_is_not_to_blame_for_a_process_that_ended_before() {
    let folder = tempfile::tempdir().unwrap();
    // It answers once and ends.
    let program = program(folder.path(), "read call; echo '{\"Ok\":\"1\"}'");
    let mut scripts = scripts(program.to_str().unwrap());
    for _ in 0..4 {
        assert_eq!(run_in_time(&mut scripts, "custom/good", GOOD), Ok("1".to_owned()));
    }
}

#[test]
fn a_process_that_does_not_even_read_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "exec sleep 3600");
    let mut scripts = scripts(program.to_str().unwrap());
    // More than a pipe holds.
    let long = format!("{GOOD}//{}", "x".repeat(200_000));
    assert_eq!(run(&mut scripts, "custom/good", &long).unwrap_err().kind(), "deadline");
}

/// What a command says, both outputs together.
fn say(config: &Path, args: &[&str]) -> String {
    let output =
        Command::new(HUB).arg("-c").arg(config).args(args).output().expect("the hub was built for this test");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn commands_know_installed_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let (state, codecs) = (folder.path().join("state"), folder.path().join("state/codecs"));
    std::fs::create_dir_all(&codecs).unwrap();
    let config = folder.path().join("hub.toml");
    let socket = folder.path().join("hub.sock");
    let text = format!("[hub]\nstate_dir = {state:?}\n[control]\nsocket = {socket:?}\n");
    std::fs::write(&config, text).unwrap();
    let manifest =
        "ports = [2]\ncheck_in_s = 600\n[[map]]\npath = \"t\"\nquantity = \"temperature\"\nunit = \"C\"\n";
    for (name, script) in [("good", GOOD), ("broken", "function Decoder(bytes) {\n  return {;\n}")] {
        std::fs::write(codecs.join(format!("{name}.js")), script).unwrap();
        std::fs::write(codecs.join(format!("{name}.toml")), manifest).unwrap();
    }
    std::fs::write(codecs.join("alone.js"), GOOD).unwrap();
    for args in [&["config", "check"][..], &["devices", "models"]] {
        let said = say(&config, args);
        assert!(said.contains("broken.js line 2: "), "{args:?}: {said}");
        assert!(
            said.contains("alone.js: a script") && said.contains("needs a TOML beside it"),
            "{args:?}: {said}"
        );
    }
    let models = say(&config, &["devices", "models"]);
    let line =
        models.lines().find(|line| line.starts_with("custom/good")).unwrap_or_else(|| panic!("{models}"));
    assert!(line.contains("10 min") && line.ends_with("script"), "{line}");
    let decoded = say(&config, &["decode", "--model", "custom/good", "--port", "2", "04"]);
    assert!(decoded.contains("4.0 °C"), "{decoded}");
    let said = say(&config, &["redecode", "--all"]);
    assert!(said.contains("0 kept frames, 0 decoded: 0 late readings added"), "{said}");
    assert!(say(&config, &["redecode"]).contains("required"));
}
