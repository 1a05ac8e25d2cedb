//! Which processes there are, and how each is started.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use doorbell_backplane::Role;

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Gateways.
    pub gateways: u16,
    /// Notifiers.
    pub notifiers: u16,
    /// Channel services.
    pub channels: u16,
    /// Message services.
    pub messages: u16,
}

/// One process to start.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name among the others: `gateway-1`.
    pub name: String,
    /// Its flags.
    pub args: Vec<String>,
    /// Keys of the configuration, as environment variables.
    pub env: Vec<(String, String)>,
    /// Where it listens; 0 asks for a free port.
    pub port: u16,
    /// Where its log goes.
    pub log: PathBuf,
}

impl Plan {
    /// All processes, in the order in which they are started.
    ///
    /// # Errors
    /// One role has nobody, or the ports end.
    pub fn processes(&self, first_port: u16, redis: &str, dir: &Path) -> Result<Vec<Planned>> {
        let kinds = [
            (Role::Message, self.messages),
            (Role::Channel, self.channels),
            (Role::Notifier, self.notifiers),
            (Role::Gateway, self.gateways),
        ];
        let mut planned = Vec::new();
        for (role, count) in kinds {
            if count == 0 {
                bail!("no {role}: an installation needs one of each at least");
            }
            for number in 1..=count {
                let is_fixed = role == Role::Gateway && first_port != 0;
                let port = if is_fixed { first_port.checked_add(number - 1) } else { Some(0) };
                let Some(port) = port else { bail!("there are not so many ports after {first_port}") };
                planned.push(one(role, number, port, redis, dir));
            }
        }
        Ok(planned)
    }
}

fn one(role: Role, number: u16, port: u16, redis: &str, dir: &Path) -> Planned {
    let name = format!("{role}-{number}");
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let args = ["serve", "--roles", role.name(), "--redis", redis, "--log-format", "human", "--key-file"];
    let mut args: Vec<String> = args.map(str::to_owned).to_vec();
    args.push(text(dir.join("key")));
    // Message services of one installation share the directory: one has it, the others wait for it.
    args.extend(["--data-dir".to_owned(), text(dir.join("messages"))]);
    let mut env = Vec::new();
    if role == Role::Gateway {
        env.push(("DOORBELL_DEMO".to_owned(), "on".to_owned()));
    }
    let log = dir.join("logs").join(format!("{name}.log"));
    Planned { name, args, env, port, log }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_a_name_a_role_and_gateways_their_ports() {
        let plan = Plan { gateways: 2, notifiers: 1, channels: 1, messages: 1 };
        let planned = plan.processes(8_080, "redis://h", Path::new("/d")).unwrap();
        let shown: Vec<_> = planned.iter().map(|one| (one.name.as_str(), one.port)).collect();
        assert_eq!(
            shown,
            [
                ("message-1", 0),
                ("channel-1", 0),
                ("notifier-1", 0),
                ("gateway-1", 8_080),
                ("gateway-2", 8_081)
            ]
        );
        assert!(plan.processes(65_535, "redis://h", Path::new("/d")).is_err());
        assert!(Plan { channels: 0, ..plan }.processes(0, "redis://h", Path::new("/d")).is_err());
    }
}
