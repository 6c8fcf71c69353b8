use std::io;

use gpiocdev::Request;
use gpiocdev::line::Value;

use crate::config::SignalSection;
use crate::gpio::{chip, refusal};

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
