//! Makes a recovery read what the disk holds, not what the kernel remembers.
//!
//! After a failed fsync the kernel may mark pages clean that never reached the disk (Rebello et al., "Can
//! Applications Recover from fsync Failures?", USENIX ATC 2020). Read from the cache, such a page would make an
//! unwritten record look durable. So before a journal is read, its dirty pages are written, and then its pages are
//! dropped: what is read after that comes from the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Applies to every journal in `dir`; nothing to do where there is no such directory.
pub fn settle(dir: &Path) -> io::Result<()> {
    let listing = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        listing => listing?,
    };
    for file in listing {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let journal = File::options().read(true).write(true).open(&path)?;
            journal.sync_data()?;
            drop_cached(&journal)?;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn drop_cached(journal: &File) -> io::Result<()> {
    let whole_file = None;
    rustix::fs::fadvise(journal, 0, whole_file, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// Elsewhere the kernel's memory has to be trusted.
#[cfg(not(target_os = "linux"))]
fn drop_cached(_journal: &File) -> io::Result<()> {
    Ok(())
}
