use std::fs;
use std::path::Path;
use std::process::Command;

use frostguard_hub::config::{ButtonSection, Config, SignalSection};
use frostguard_hub::domain::Severity;
use frostguard_hub::notify::signal::{Button, Signal};
use frostguard_hub::notify::{Board, Kind, Notifier};
use tokio::time::timeout;

use crate::kitchen::{check_failure, message};
use crate::support::{PATIENCE, Scratch, wait_for_async};

fn section(role: &str, chip: &str, line: u32) -> SignalSection {
    let text =
        format!("[[notify.signal]]\nname = \"out\"\nrole = \"{role}\"\nchip = \"{chip}\"\nline = {line}");
    Config::parse(&text).expect("the section is right").notify.signal.remove(0)
}

fn button(chip: &str, line: u32, active_low: bool) -> ButtonSection {
    let text = format!("[notify.button]\nchip = \"{chip}\"\nline = {line}\nactive_low = {active_low}");
    Config::parse(&text).expect("the section is right").notify.button.expect("there is one")
}

fn calling(sound: Option<Severity>) -> Board {
    Board { calling: sound, sound, light: sound, ..Board::default() }
}

#[tokio::test]
async fn what_is_shown_is_on_the_line_when_show_returns() {
    let scratch = Scratch::new("signal");
    let file = scratch.join("relay");
    let mut relay = Signal::start(section("relay", &format!("fake:{}", file.display()), 4));
    let written = || fs::read_to_string(&file).expect("the fake chip is a file").replace('\n', "");
    relay.show(&calling(None)).await.expect("the line works");
    assert_eq!(written(), "0");
    relay.show(&calling(Some(Severity::Warning))).await.expect("the line works");
    assert_eq!(written(), "0");
    relay.show(&calling(Some(Severity::Critical))).await.expect("the line works");
    assert_eq!(written(), "01");
    relay.deliver(&message(Kind::Call)).await.expect("the board shows it");
    assert_eq!(written(), "01");
    relay.show(&calling(None)).await.expect("the line works");
    assert_eq!(written(), "010");
    let receipt = relay.deliver(&message(Kind::Test)).await.expect("the line works");
    assert!(receipt.detail.contains("line 4 of fake:"), "{}", receipt.detail);
    relay.show(&calling(None)).await.expect("the line works");
    assert_eq!(written(), "01010");
    // What is on goes off with the hub.
    relay.show(&calling(Some(Severity::Critical))).await.expect("the line works");
    drop(relay);
    wait_for_async("the relay to open", async || (written() == "0101010").then_some(())).await;
}

#[tokio::test]
async fn a_pattern_goes_on_by_itself() {
    let scratch = Scratch::new("signal");
    let file = scratch.join("buzzer");
    let mut buzzer = Signal::start(section("buzzer", &format!("fake:{}", file.display()), 4));
    buzzer.show(&calling(Some(Severity::Critical))).await.expect("the line works");
    let written = || fs::read_to_string(&file).expect("the fake chip is a file").replace('\n', "");
    wait_for_async("a few beeps", async || written().starts_with("01010").then_some(())).await;
}

#[tokio::test]
async fn a_line_that_cannot_be_had_says_what_to_do() {
    let scratch = Scratch::new("signal");
    let plain = scratch.write("plain", "");
    for (chip, want) in [
        ("/dev/no-such-chip", "later: is the chip there?"),
        ("no-such-label", "later: find a GPIO chip with the label"),
        (&plain.display().to_string(), "later: open"),
        (&format!("fake:{}/no/file", plain.display()), "later: open the fake chip"),
    ] {
        let mut lamp = Signal::start(section("lamp", chip, 1));
        check_failure(lamp.show(&calling(None)).await, want);
        check_failure(lamp.deliver(&message(Kind::Test)).await, want);
    }
    // It is there later: showing takes it.
    let folder = scratch.join("late");
    let mut lamp = Signal::start(section("lamp", &format!("fake:{}/lamp", folder.display()), 1));
    check_failure(lamp.show(&calling(Some(Severity::Warning))).await, "later: open the fake chip");
    fs::create_dir(&folder).expect("make a directory");
    lamp.show(&calling(Some(Severity::Warning))).await.expect("the line works");
    assert_eq!(fs::read_to_string(folder.join("lamp")).expect("the fake chip is a file"), "0\n1\n");
}

#[tokio::test]
async fn presses_are_told() {
    let scratch = Scratch::new("button");
    let fifo = scratch.join("button");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("run mkfifo").success());
    let mut button = Button::start(button(&format!("fake:{}", fifo.display()), 2, true));
    for _ in 0..3 {
        // Opening waits until the button reads.
        let path = fifo.clone();
        let press = tokio::task::spawn_blocking(move || fs::write(path, "10\n"));
        press.await.expect("no panic").expect("write to the button");
        timeout(PATIENCE, button.pressed()).await.expect("the press is told");
    }
}

/// A chip of the kernel's gpio-sim, taken away when dropped.
struct Simulated {
    folder: std::path::PathBuf,
    chip: String,
    lines: std::path::PathBuf,
}

impl Simulated {
    const CONFIG: &str = "/sys/kernel/config/gpio-sim";

    /// None where the kernel has none, which is said.
    fn make() -> Option<Self> {
        if !Path::new(Self::CONFIG).is_dir() {
            println!("SKIPPED: this kernel offers no {} (modprobe gpio-sim, as root)", Self::CONFIG);
            return None;
        }
        let folder = Path::new(Self::CONFIG).join(format!("frostguard-{}", std::process::id()));
        let bank = folder.join("bank0");
        fs::create_dir(&folder).expect("make a simulated chip; is this root?");
        fs::create_dir(&bank).expect("make a bank");
        fs::write(bank.join("num_lines"), "8").expect("set its lines");
        fs::write(folder.join("live"), "1").expect("switch the chip on");
        let read =
            |path: std::path::PathBuf| fs::read_to_string(path).expect("read its name").trim().to_owned();
        let (device, chip) = (read(folder.join("dev_name")), read(bank.join("chip_name")));
        let lines = Path::new("/sys/devices/platform").join(device).join(&chip);
        Some(Self { folder, chip: format!("/dev/{chip}"), lines })
    }

    fn value(&self, line: u32) -> String {
        let path = self.lines.join(format!("sim_gpio{line}/value"));
        fs::read_to_string(path).expect("read the line").trim().to_owned()
    }

    fn pull(&self, line: u32, to: &str) {
        fs::write(self.lines.join(format!("sim_gpio{line}/pull")), to).expect("pull the line");
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        // Whatever is left tells the next run by its name.
        let _ = fs::write(self.folder.join("live"), "0");
        let _ = fs::remove_dir(self.folder.join("bank0"));
        let _ = fs::remove_dir(&self.folder);
    }
}

#[tokio::test]
async fn a_simulated_chip_is_switched_and_pressed() {
    let Some(chip) = Simulated::make() else { return };
    let mut relay = Signal::start(section("relay", &chip.chip, 3));
    relay.show(&calling(None)).await.expect("the line works");
    assert_eq!(chip.value(3), "0");
    relay.show(&calling(Some(Severity::Critical))).await.expect("the line works");
    assert_eq!(chip.value(3), "1");
    let mut inverted = Signal::start(SignalSection { active_low: true, ..section("relay", &chip.chip, 4) });
    inverted.show(&calling(Some(Severity::Critical))).await.expect("the line works");
    assert_eq!(chip.value(4), "0");
    let mut second = Signal::start(section("relay", &chip.chip, 3));
    check_failure(second.show(&calling(None)).await, "later: frostguard holds it");
    let mut beyond = Signal::start(section("relay", &chip.chip, 99));
    check_failure(beyond.show(&calling(None)).await, "later: the lines 0 to 7");

    let mut button = Button::start(button(&chip.chip, 5, true));
    // Pulled again and again, since the button may not listen yet.
    let press = async {
        loop {
            for to in ["pull-up", "pull-down"] {
                chip.pull(5, to);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    };
    tokio::select! {
        pressed = timeout(PATIENCE, button.pressed()) => pressed.expect("the press is told"),
        () = press => {}
    }
}
