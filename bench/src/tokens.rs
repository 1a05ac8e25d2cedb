//! Users' tokens: made with the server's key, or by a command.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::Host;

/// Makes tokens of a key that it holds: `server` reads the key file, as `doorbell token` does.
pub trait Mint: Send + Sync {
    /// A token for a user that outlives the run, whose user may send as much as the run does.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn token(&self, user: &str) -> anyhow::Result<String>;
}

/// Where tokens come from.
pub enum Tokens {
    /// A key.
    Key(Box<dyn Mint>),
    /// A command, each user's once until the token is refused.
    Command {
        /// With `{user}` where the user's name goes.
        line: String,
        /// Those made.
        made: Mutex<HashMap<String, String>>,
        /// Few at a time.
        running: Semaphore,
    },
}

impl Tokens {
    /// Of an installation of somebody's: by its key, or by a command.
    ///
    /// # Errors
    /// Neither is given, or there is no such key.
    pub fn of_installation(key: Option<&Path>, command: Option<&str>, host: &Host) -> anyhow::Result<Self> {
        match (key, command) {
            (Some(file), _) => Ok(Self::Key((host.mint)(file, &[])?)),
            (None, Some(line)) => Ok(Self::command(line.to_owned())),
            (None, None) => {
                bail!(
                    "--url needs --key-file, the server's key, or --token-command, which prints a user's token"
                )
            }
        }
    }

    /// By a command.
    pub fn command(line: String) -> Self {
        Self::Command { line, made: Mutex::default(), running: Semaphore::new(4) }
    }

    /// A user's token.
    ///
    /// # Errors
    /// Where the key does not serve, or the command fails.
    pub async fn of(&self, user: &str) -> anyhow::Result<String> {
        match self {
            Self::Key(mint) => mint.token(user),
            Self::Command { line, made, running } => {
                if let Some(token) = made.lock().get(user) {
                    return Ok(token.clone());
                }
                let _turn = running.acquire().await.context("no turn")?;
                let token = run(line, user).await?;
                made.lock().insert(user.to_owned(), token.clone());
                Ok(token)
            }
        }
    }

    /// The user's token was refused: the next is a fresh one.
    pub fn forget(&self, user: &str) {
        if let Self::Command { made, .. } = self {
            made.lock().remove(user);
        }
    }
}

/// Runs the command without a shell: its words are split at spaces, and the user's name is put in afterwards.
async fn run(line: &str, user: &str) -> anyhow::Result<String> {
    let mut words = line.split_whitespace().map(|word| word.replace("{user}", user));
    let Some(program) = words.next() else { bail!("the token command is empty") };
    // It answers nobody's keys, and ends with who asked for it.
    let mut command = Command::new(&program);
    let output = command.args(words).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot start the token command `{program}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the token command fails for {user}: {}", said.trim());
    let token =
        String::from_utf8(output.stdout).context("the token command prints no text")?.trim().to_owned();
    ensure!(!token.is_empty(), "the token command prints nothing for {user}");
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_makes_each_users_token_once_until_it_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let log = scratch.path().join("log");
        let script = scratch.path().join("mint.sh");
        std::fs::write(&script, format!("echo \"$1\" >> {}\necho token-of-$1\n", log.display())).unwrap();
        let tokens = Tokens::command(format!("sh {} {{user}}", script.display()));

        assert_eq!(tokens.of("ada").await.unwrap(), "token-of-ada");
        tokens.of("ada").await.unwrap();
        tokens.forget("ada");
        tokens.of("ada").await.unwrap();

        assert_eq!(std::fs::read_to_string(log).unwrap(), "ada\nada\n");
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let error = Tokens::command("ls /no/such/{user}".to_owned()).of("ada").await.unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/ada"), "{error:#}");
        assert!(Tokens::command("true".to_owned()).of("ada").await.is_err());
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_any_more_is_ended() {
        let scratch = tempfile::tempdir().unwrap();
        let (pid, script) = (scratch.path().join("pid"), scratch.path().join("mint.sh"));
        let line = format!("echo $$ > {0}.part; mv {0}.part {0}; exec sleep 60\n", pid.display());
        std::fs::write(&script, line).unwrap();
        let tokens = Tokens::command(format!("sh {}", script.display()));
        let started = async {
            while !pid.exists() {
                tokio::task::yield_now().await;
            }
        };

        tokio::select! {
            made = tokens.of("ada") => panic!("{made:?}"),
            () = started => {}
        }

        let stat = format!("/proc/{}/stat", std::fs::read_to_string(pid).unwrap().trim());
        let is_running = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let gone = async {
            while is_running() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
    }
}
