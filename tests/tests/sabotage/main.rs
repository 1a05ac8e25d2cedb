//! What needs a build that breaks promises or dies when it is told to. `cargo xtask test sabotage` makes it and says where it is.

mod checker;
mod points;
mod stage;

use std::path::PathBuf;

use anyhow::Context;

fn sabotaged() -> anyhow::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the harness is started by xtask")]
    let path = std::env::var("DOORBELL_SABOTAGED_BIN");
    Ok(path.context("run `cargo xtask test sabotage`, which builds the binary and names it")?.into())
}
