//! Lines of the kernel's GPIO character device: finding a chip, and why a line is not to be had.

use std::io;
use std::path::Path;

use gpiocdev::Chip;
use gpiocdev::line::Bias;

use crate::config::Pull;

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

/// The same, as it was asked for.
pub fn bias_of(pull: Pull) -> Bias {
    match pull {
        Pull::Up => Bias::PullUp,
        Pull::Down => Bias::PullDown,
        Pull::None => Bias::Disabled,
    }
}

/// What holds an input where nothing drives it: a contact that is open floats. Chips without pulls of their own ignore it;
/// the board has one then.
pub fn bias(active_low: bool) -> Bias {
    if active_low { Bias::PullUp } else { Bias::PullDown }
}
