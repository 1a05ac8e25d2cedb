//! Looks at the journals before the database does.
//!
//! **What the disk holds, not what the kernel remembers.** After a failed fsync the kernel may mark pages clean that
//! never reached the disk (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Read from
//! the cache, such a page would make an unwritten record look durable. So a journal's dirty pages are written, and
//! then its pages are dropped, before anything is read.
//!
//! **A torn end is cut off, damage in the middle is refused.** fjall 3.1 cuts a journal at the first byte that it cannot
//! read, whatever comes after, and refuses one whose last batch has a wrong checksum. The first could lose what was
//! acknowledged, in silence; the second would let a power cut in the middle of a large batch keep the store closed. So
//! here the newest journal's torn end is cut off (nothing of it was acknowledged: its fsync had not returned), and
//! everything else that cannot be read is said loudly.

mod scan;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use self::scan::{Scan, scan};
use crate::Error;

/// Makes the journals in `dir` ready to be read, and answers how many there are.
pub fn prepare(dir: &Path) -> Result<usize, Error> {
    let mut journals = listing(dir).map_err(io_error("list the journals in", dir))?;
    journals.sort_unstable();
    let count = journals.len();
    let newest = journals.pop();
    for (_, path) in journals {
        if !matches!(read(&path)?, Scan::Whole) {
            return Err(damaged(&path));
        }
    }
    let Some((_, path)) = newest else { return Ok(0) };
    match read(&path)? {
        Scan::Whole => Ok(count),
        Scan::Damaged => Err(damaged(&path)),
        Scan::Torn { whole_bytes } => {
            warn!(journal = %path.display(), whole_bytes, "cutting off a write that was never finished");
            cut(&path, whole_bytes).map_err(io_error("cut the torn end off", &path))?;
            Ok(count)
        }
    }
}

/// Journals are named by their number.
fn listing(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let path = file?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), Some("jnl")) =
            (number, path.extension().and_then(|extension| extension.to_str()))
        {
            journals.push((number, path));
        }
    }
    Ok(journals)
}

fn read(path: &Path) -> Result<Scan, Error> {
    let settled = || {
        let journal = File::options().read(true).write(true).open(path)?;
        journal.sync_data()?;
        drop_cached(&journal)?;
        std::fs::read(path)
    };
    Ok(scan(&settled().map_err(io_error("read the journal", path))?))
}

fn cut(path: &Path, whole_bytes: u64) -> io::Result<()> {
    let journal = File::options().write(true).open(path)?;
    journal.set_len(whole_bytes)?;
    journal.sync_all()
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

fn damaged(path: &Path) -> Error {
    let reason = "this journal is damaged before its end, and what follows was acknowledged".to_owned();
    Error::Unreadable { path: path.to_owned(), reason }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}
