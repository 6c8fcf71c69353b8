//! What the kernel says of the process and of the disk under the data folder. What cannot be read is left out.

use std::fs;
use std::path::Path;

use crate::store::partition;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub partition: Option<partition::Space>,
    /// Sent to the storage by this process, its cached pages included.
    pub written_bytes: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub open_files: Option<u64>,
}

pub fn read(state_dir: &Path) -> Machine {
    let text = |path: &str| fs::read_to_string(path).ok();
    Machine {
        partition: partition::space(state_dir),
        written_bytes: text("/proc/self/io").and_then(|text| field(&text, "write_bytes:")),
        // In KiB, whatever the size of a page.
        resident_bytes: text("/proc/self/status")
            .and_then(|text| field(&text, "VmRSS:"))
            .map(|kib| kib << 10),
        open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_fields_and_does_without() {
        let text = "Name:\thub\nVmRSS:\t   12345 kB\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n";
        for (name, want) in
            [("VmRSS:", Some(12_345)), ("write_bytes:", Some(4_096)), ("Name:", None), ("Missing:", None)]
        {
            assert_eq!(field(text, name), want, "{name}");
        }
        let machine = read(Path::new("/"));
        assert!(machine.partition.is_some() && machine.resident_bytes.is_some());
        assert_eq!(read(Path::new("/no/such/folder")).partition, None);
    }
}
