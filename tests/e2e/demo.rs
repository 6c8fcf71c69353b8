//! The demonstration plays, tells the truth about PostgreSQL, and leaves nothing behind.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Pty, Running, Scratch, Signal, deadline, demo_program, now};

/// The first number that stands before `word`.
#[track_caller]
fn number_before(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = words
        .windows(2)
        .find_map(|pair| (pair[1].trim_end_matches(',') == word).then(|| pair[0].parse().ok())?);
    found.unwrap_or_else(|| panic!("no number of {word} in:\n{text}"))
}

fn demo(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = Command::new(demo_program());
    command.arg("demo").args(arguments).env("TMPDIR", scratch.path());
    command
}

#[track_caller]
fn text_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// No file in the folder, and no process that works below it.
#[track_caller]
fn assert_nothing_is_left(scratch: &Scratch) {
    let left: Vec<_> = fs::read_dir(scratch.path()).expect("look into the folder").flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let processes: Vec<_> = processes_with(scratch.path());
    assert!(processes.is_empty(), "left behind: {processes:?}");
}

fn processes_with(path: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("list the processes").flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&*path.to_string_lossy()))
        .collect()
}

#[test]
fn sixty_minutes_are_played_without_a_terminal() {
    let scratch = Scratch::new("demo");
    // Not faster: between the freezer's alarm and the end of the cut there are 15 minutes, and the machine is busy.
    let output = demo(&scratch, &["--minutes", "60", "--fast", "120"]).stdin(Stdio::null()).output();
    let text = text_of(&output.expect("run the demonstration"));
    let summary = text.split_once("minutes played").expect("a summary").1;
    let stored = number_before(summary, "readings");
    // Eight sensors a minute, less the one that dies after 16 minutes and the faults of one probe.
    assert_eq!(stored, 8 * 60 - 44 - 7, "{text}");
    let (_, central) = summary.split_once("PostgreSQL:").expect("what is in PostgreSQL");
    assert_eq!(number_before(central, "readings"), stored, "{text}");
    assert_eq!(number_before(central, "alerts"), number_before(summary, "alerts"), "{text}");
    let cut = text.find("the internet is cut").expect("it is cut");
    let alarm = text.find("critical: Chest freezer").expect("the freezer's alarm");
    let back = text.find("the internet is back").expect("it is restored");
    assert!(cut < alarm && alarm < back, "the alarm rises while cut off:\n{text}");
    for what in ["Fish fridge", "Dessert display", "bytes per reading"] {
        assert!(summary.contains(what), "nothing of {what} in:\n{text}");
    }
    assert_nothing_is_left(&scratch);
}

#[test]
fn without_postgresql_it_says_how_to_get_it() {
    let scratch = Scratch::new("demo");
    let output =
        demo(&scratch, &["--minutes", "3", "--fast", "240"]).env("PG_BIN", scratch.join("none")).output();
    let text = text_of(&output.expect("run the demonstration"));
    assert!(text.contains("apt-get install postgresql"), "{text}");
    assert_eq!(number_before(&text, "readings"), 8 * 3, "{text}");
    assert_nothing_is_left(&scratch);
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let scratch = Scratch::new("demo");
    let logs = Scratch::new("log");
    let mut process = Running::start("demo", &mut demo(&scratch, &[]), &logs.join("log"));
    process.wait_until("the internet to be cut", || {
        let text = fs::read_to_string(logs.join("log")).unwrap_or_default();
        text.contains("the internet is cut").then_some(())
    });
    assert!(processes_with(scratch.path()).iter().any(|line| line.contains("postgres")));
    assert!(process.stop(Signal::Int).success(), "{}", process.log_text());
    assert_nothing_is_left(&scratch);
}

#[test]
fn in_a_terminal_a_key_cuts_and_restores_the_internet() {
    let scratch = Scratch::new("demo");
    let desk = Scratch::new("desk");
    let mut terminal = Pty::new(desk.join("terminal"));
    let open =
        || File::options().read(true).write(true).open(desk.join("terminal")).expect("open the terminal");
    let mut command = demo(&scratch, &["--fast", "1"]);
    let mut process = Running::start_with("demo", command.stdin(open()).stdout(open()), &desk.join("log"));
    drop(command);
    let mut seen = String::new();
    let mut wait_for_picture = |terminal: &mut Pty, text: &str| {
        seen.clear();
        let end = deadline();
        while !seen.contains(text) {
            assert!(now() < end, "{text:?} is not in:\n{seen}");
            let mut chunk = [0; 4096];
            // An error: nothing was drawn for a while.
            let length = terminal.near().read(&mut chunk).unwrap_or(0);
            seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    };
    wait_for_picture(&mut terminal, "Chest freezer");
    wait_for_picture(&mut terminal, "c cuts and restores");
    terminal.write(b"c").expect("press a key");
    wait_for_picture(&mut terminal, "CUT");
    terminal.write(b"c").expect("press a key");
    wait_for_picture(&mut terminal, "open");
    terminal.write(b"q").expect("press a key");
    wait_for_picture(&mut terminal, "minutes played");
    let status = process.wait_until_ended();
    assert!(status.success(), "{status}");
    assert_nothing_is_left(&scratch);
}
