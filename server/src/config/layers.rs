//! Four layers become one configuration: defaults, file, environment, flags.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, ConfigError, blame, read_file};

/// What environment variables of ours begin with.
const PREFIX: &str = "DOORBELL_";
/// Names the file; everything else under the prefix is a key.
const FILE_VARIABLE: &str = "DOORBELL_CONFIG";

/// One key set outside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where it was set, as the operator wrote it: `--listen`, `DOORBELL_LISTEN`.
    pub origin: String,
    /// The key's path.
    pub path: Vec<String>,
    /// Its value as text.
    pub value: String,
}

/// The layers above the defaults.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    environment: Vec<Setting>,
    flags: Vec<Setting>,
}

impl Layers {
    /// Takes the flags, and sorts out which of the environment variables are ours. A file named by a flag stands
    /// over one named by the environment.
    pub fn new(
        file: Option<PathBuf>,
        flags: Vec<Setting>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut layers = Self { file, environment: Vec::new(), flags };
        for (name, value) in environment {
            if name == FILE_VARIABLE {
                layers.file.get_or_insert_with(|| PathBuf::from(value));
            } else if let Some(key) = name.strip_prefix(PREFIX) {
                let path = key.to_ascii_lowercase().split("__").map(str::to_owned).collect();
                layers.environment.push(Setting { origin: name, path, value });
            }
        }
        layers.environment.sort_by(|one, other| one.origin.cmp(&other.origin));
        layers
    }

    /// The configuration, checked.
    ///
    /// # Errors
    /// What is wrong, where it was set, and the nearest valid key where one is misspelt.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let defaults = Table::try_from(Config::default()).expect("the configuration's types are all TOML");
        let (text, mut table) = match &self.file {
            Some(path) => {
                let text = read_file(path)?;
                let table = parse_file(path, &text, &defaults)?;
                (text, table)
            }
            None => (String::new(), Table::new()),
        };
        let foreign = |setting: &&Setting| !is_foreign(setting, &defaults);
        let settings: Vec<_> = self.environment.iter().filter(foreign).chain(&self.flags).collect();
        for setting in &settings {
            table = overlay(table, setting, &defaults)?;
        }
        let config: Config = table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Broken(error.message().to_owned()))?;
        config.validate().map_err(|rules| {
            ConfigError::Relations(blame::locate(&rules, self.file.as_deref(), &text, &settings))
        })?;
        Ok(config)
    }
}

/// Other programs use the prefix too: Kubernetes sets `DOORBELL_PORT` and `DOORBELL_SERVICE_HOST` for a service
/// named doorbell. A name of one part that is near no key of ours is none of our business.
fn is_foreign(setting: &Setting, defaults: &Table) -> bool {
    match setting.path.as_slice() {
        [key] => !defaults.contains_key(key) && blame::nearest(key, defaults.keys()).is_none(),
        _ => false,
    }
}

fn parse_file(path: &Path, text: &str, defaults: &Table) -> Result<Table, ConfigError> {
    let wrong = |error: &toml::de::Error| {
        let line = error.span().map(|span| blame::line_at(text, span.start));
        let message = blame::with_suggestion(error.message(), defaults);
        let message = blame::with_key(message, line.and_then(|line| text.lines().nth(line - 1)));
        ConfigError::InFile { path: path.to_owned(), line, message }
    };
    // Read as the configuration first: only then does an error know its line.
    toml::from_str::<Config>(text).map_err(|error| wrong(&error))?;
    toml::from_str(text).map_err(|error| wrong(&error))
}

/// Sets one key, as the type that its default has.
fn overlay(table: Table, setting: &Setting, defaults: &Table) -> Result<Table, ConfigError> {
    let wrong = |message: &str| ConfigError::InSetting {
        origin: setting.origin.clone(),
        message: blame::with_suggestion(message, defaults),
    };
    if setting.value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(wrong("the value is not UTF-8"));
    }
    let mut refused = String::new();
    for value in readings(setting, blame::look_up(defaults, &setting.path)) {
        let mut next = table.clone();
        insert(&mut next, &setting.path, value).map_err(|message| wrong(&message))?;
        match next.clone().try_into::<Config>() {
            Ok(_) => return Ok(next),
            Err(error) if refused.is_empty() => error.message().clone_into(&mut refused),
            Err(_) => {}
        }
    }
    Err(wrong(&refused))
}

/// How the text can be meant, the likeliest first.
fn readings(setting: &Setting, default: Option<&Value>) -> Vec<Value> {
    let text = Value::String(setting.value.clone());
    let literal = format!("v = {}", setting.value).parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    match default {
        Some(Value::String(_)) => vec![text],
        Some(Value::Array(_)) if literal.is_none() => {
            let items = setting.value.split(',').map(str::trim).filter(|item| !item.is_empty());
            vec![Value::Array(items.map(|item| Value::String(item.to_owned())).collect())]
        }
        _ => literal.into_iter().chain([text]).collect(),
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Err("names no key".to_owned()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            match entry {
                Value::Table(inner) => insert(inner, rest, value),
                _ => Err(format!("`{section}` is a key, not a section")),
            }
        }
    }
}
