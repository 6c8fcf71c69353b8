//! The smallest tar there is: plain files in one folder (POSIX ustar).

use super::Entry;

const BLOCK: usize = 512;

/// The files in `folder`, readable to their owner.
pub fn archive(folder: &str, entries: &[Entry], unix_s: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for Entry { name, text } in entries {
        out.extend_from_slice(&header(&format!("{folder}/{name}"), text.len(), unix_s));
        out.extend_from_slice(text.as_bytes());
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks end it.
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn header(path: &str, length: usize, unix_s: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    debug_assert!(path.len() < 100, "names are the hub's own and short");
    put(0, path);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{length:011o}\0"));
    put(136, &format!("{unix_s:011o}\0"));
    // The sum counts its own field as spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            Entry { name: "a.txt", text: "x".repeat(600) },
            Entry { name: "empty", text: String::new() },
            Entry { name: "b.json", text: "{\"ü\":1}\n".into() },
        ];
        let path = folder.path().join("bundle.tar");
        std::fs::write(&path, archive("top", &entries, 1_900_000_000)).unwrap();
        let unpacked = std::process::Command::new("tar")
            .arg("-xf")
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        for Entry { name, text } in entries {
            assert_eq!(std::fs::read_to_string(folder.path().join("top").join(name)).unwrap(), text);
        }
    }
}
