//! Room on the partition that holds a folder.

use std::path::Path;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    /// For the hub, without what is kept for root.
    pub available_bytes: u64,
    /// Both 0: the file system has no fixed number of files.
    pub files_total: u64,
    pub files_available: u64,
}

/// None: there is no such folder.
#[allow(unsafe_code)]
pub fn space(dir: &Path) -> Option<Space> {
    let path = std::ffi::CString::new(dir.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: statvfs is plain integers, for which all zeros is a valid value.
    let mut stats: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is a valid C string and `stats` a valid statvfs; both outlive the call.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut stats) } != 0 {
        return None;
    }
    // The fields are narrower on 32-bit targets.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    Some(Space {
        total_bytes: (stats.f_blocks as u64).saturating_mul(stats.f_frsize as u64),
        available_bytes: (stats.f_bavail as u64).saturating_mul(stats.f_frsize as u64),
        files_total: stats.f_files as u64,
        files_available: stats.f_favail as u64,
    })
}
