//! Rewrites the parts of documents that are made from code; `tidy` or a test fails while one is stale.

use std::path::Path;

use anyhow::{Context, Result};

use crate::close_codes;
use crate::process::{command, run};

/// Writes them all.
///
/// # Errors
/// Where a file cannot be read or written, or is not as expected.
pub fn write(root: &Path) -> Result<()> {
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    let document = read(close_codes::DOCUMENT)?;
    let written = close_codes::rewrite(&document, &read(close_codes::SOURCE)?)
        .with_context(|| close_codes::DOCUMENT)?;
    if written != document {
        std::fs::write(root.join(close_codes::DOCUMENT), written)
            .with_context(|| format!("cannot write {}", close_codes::DOCUMENT))?;
        println!("wrote {}", close_codes::DOCUMENT);
    }
    // The tests that compare these pages with the code also write them.
    for page in [&["--test", "reference"][..], &["--test", "process", "the_page_of_metrics_is_current"]] {
        let words = [&["test", "--quiet", "--workspace"], page].concat();
        let mut test = command("cargo", &words, root);
        test.env("WRITE_REFERENCE", "1");
        run(test)?;
    }
    Ok(())
}
