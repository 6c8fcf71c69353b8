use std::io;
use std::path::Path;

use gpiocdev::line::Value;
use gpiocdev::{Chip, Request};

use crate::config::SignalSection;

/// Who holds the line, as others see it (`gpioinfo`).
pub const CONSUMER: &str = "frostguard";
/// Begins the path of a file that stands in for a chip.
pub const FAKE_PREFIX: &str = "fake:";

/// An output that switches a load.
pub trait Line: Send {
    fn set(&mut self, is_on: bool) -> io::Result<()>;
}

/// Chips may be fake: never in a production build, where a forgotten one would be a buzzer that keeps silent.
pub fn is_fake_allowed() -> bool {
    cfg!(any(test, feature = "demo"))
}

/// Takes the configured line as an output that is off. The error says what to do.
pub fn open(config: &SignalSection) -> Result<Box<dyn Line>, String> {
    #[cfg(any(test, feature = "demo"))]
    if let Some(path) = config.chip.strip_prefix(FAKE_PREFIX) {
        return Ok(Box::new(fake::FakeLine::open(path)?));
    }
    let chip = chip(&config.chip)?;
    let mut request = Request::builder();
    request.on_chip(chip.path()).with_consumer(CONSUMER).with_line(config.line);
    if config.active_low {
        request.as_active_low();
    }
    request.as_output(Value::Inactive);
    let request = request.request().map_err(|error| refusal(&chip, config.line, &error))?;
    Ok(Box::new(GpioLine(request)))
}

/// Opens a chip by its path or by its label.
pub fn chip(name: &str) -> Result<Chip, String> {
    if name.starts_with('/') {
        return Chip::from_path(name)
            .map_err(|error| format!("open {name}: {error}{}", remedy(Path::new(name))));
    }
    let paths = gpiocdev::chip::chips().map_err(|error| format!("look for GPIO chips in /dev: {error}"))?;
    let mut labels = Vec::new();
    for path in &paths {
        // One that cannot be opened or asked may be the one that is meant: it is told below.
        match Chip::from_path(path).and_then(|chip| Ok((chip.info()?.label, chip))) {
            Ok((label, chip)) if label == name => return Ok(chip),
            Ok((label, _)) => labels.push(format!("{label:?}")),
            Err(error) => labels.push(format!("{}: {error}{}", path.display(), remedy(path))),
        }
    }
    let found =
        if labels.is_empty() { "there is none".into() } else { format!("there are {}", labels.join(", ")) };
    Err(format!("find a GPIO chip with the label {name:?}: {found}; see `gpiodetect`"))
}

fn remedy(path: &Path) -> &'static str {
    match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            " (add the hub's user to group gpio)"
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => " (is the chip there? see `gpiodetect`)",
        _ => "",
    }
}

/// Why a line was not given: mostly because somebody has it.
pub fn refusal(chip: &Chip, line: u32, error: &gpiocdev::Error) -> String {
    let path = chip.path().display();
    if let Ok(info) = chip.info()
        && line >= info.num_lines
    {
        return format!(
            "take line {line} of {path}: it has the lines 0 to {}",
            info.num_lines.saturating_sub(1)
        );
    }
    match chip.line_info(line) {
        Ok(info) if info.used => {
            let holder = if info.consumer.is_empty() { "somebody" } else { &info.consumer };
            format!(
                "take line {line} of {path}: {holder} holds it; end that program, or configure another line"
            )
        }
        _ => format!("take line {line} of {path}: {error}"),
    }
}

struct GpioLine(Request);

impl Line for GpioLine {
    fn set(&mut self, is_on: bool) -> io::Result<()> {
        let value = if is_on { Value::Active } else { Value::Inactive };
        self.0.set_lone_value(value).map(drop).map_err(io::Error::other)
    }
}

#[cfg(any(test, feature = "demo"))]
mod fake {
    use std::fs::File;
    use std::io::{self, Write};

    /// Writes each change of the line down.
    pub struct FakeLine {
        file: File,
        is_on: bool,
    }

    impl FakeLine {
        /// Off, as the kernel gives a line.
        pub fn open(path: &str) -> Result<Self, String> {
            let open = || {
                let file = File::options().append(true).create(true).open(path)?;
                let mut line = Self { file, is_on: false };
                line.write()?;
                Ok(line)
            };
            open().map_err(|error: io::Error| format!("open the fake chip {path}: {error}"))
        }

        fn write(&mut self) -> io::Result<()> {
            self.file.write_all(if self.is_on { b"1\n" } else { b"0\n" })
        }
    }

    impl super::Line for FakeLine {
        fn set(&mut self, is_on: bool) -> io::Result<()> {
            if self.is_on != is_on {
                self.is_on = is_on;
                self.write()?;
            }
            Ok(())
        }
    }
}
