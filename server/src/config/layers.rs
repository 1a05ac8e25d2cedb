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
        let mut wrong = Vec::new();
        let (text, mut table) = match &self.file {
            Some(path) => {
                let text = read_file(path)?;
                let table = read_keys(path, &text, &defaults, &mut wrong);
                (text, table)
            }
            None => (String::new(), Table::new()),
        };
        let ours = |setting: &&Setting| !is_foreign(setting, &defaults);
        let settings: Vec<_> = self.environment.iter().filter(ours).chain(&self.flags).collect();
        for setting in &settings {
            match overlay(&table, setting, &defaults) {
                Ok(next) => table = next,
                Err(message) => wrong.push(message),
            }
        }
        // What relates keys would judge defaults in the place of what is wrong: first things first.
        if !wrong.is_empty() {
            return Err(ConfigError::Wrong(wrong));
        }
        let config: Config = table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Wrong(vec![error.message().to_owned()]))?;
        config.validate().map_err(|rules| {
            ConfigError::Wrong(blame::locate(&rules, self.file.as_deref(), &text, &settings))
        })?;
        Ok(config)
    }

    /// Environment variables under our prefix that name no key.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        let defaults = Table::try_from(Config::default()).expect("the configuration's types are all TOML");
        let foreign = self.environment.iter().filter(move |setting| is_foreign(setting, &defaults));
        foreign.map(|setting| setting.origin.as_str())
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

/// The file's keys that are right, each tried alone, so that all that are wrong are told at once.
fn read_keys(path: &Path, text: &str, defaults: &Table, wrong: &mut Vec<String>) -> Table {
    let file = match toml::from_str::<Table>(text) {
        Ok(file) => file,
        Err(error) => {
            let line = error.span().map(|span| blame::line_at(text, span.start));
            wrong.push(blame::in_file(path, line, error.message()));
            return Table::new();
        }
    };
    let (mut right, mut faults) = (Table::new(), Vec::new());
    for (key_path, value) in leaves(&file, defaults) {
        let mut alone = Table::new();
        let tried = insert(&mut alone, &key_path, value.clone())
            .and_then(|()| alone.try_into::<Config>().map_err(|error| error.message().to_owned()));
        match tried.and_then(|_| insert(&mut right, &key_path, value)) {
            Ok(()) => {}
            Err(message) => {
                let key = key_path.last().map(String::as_str).unwrap_or_default();
                let message = blame::with_key(blame::with_suggestion(&message, defaults), key);
                faults.push((blame::line_of(text, &key_path), message));
            }
        }
    }
    faults.sort();
    wrong.extend(faults.into_iter().map(|(line, message)| blame::in_file(path, line, &message)));
    right
}

/// The keys of a file; a section that we do not have is one.
fn leaves(file: &Table, defaults: &Table) -> Vec<(Vec<String>, Value)> {
    let mut leaves = Vec::new();
    for (name, value) in file {
        match value {
            Value::Table(section) if defaults.get(name).is_some_and(Value::is_table) => {
                let path = |key: &String| vec![name.clone(), key.clone()];
                leaves.extend(section.iter().map(|(key, value)| (path(key), value.clone())));
            }
            _ => leaves.push((vec![name.clone()], value.clone())),
        }
    }
    leaves
}

/// Sets one key, as the type that its default has.
fn overlay(table: &Table, setting: &Setting, defaults: &Table) -> Result<Table, String> {
    let wrong = |message: &str| format!("{}: {}", setting.origin, blame::with_suggestion(message, defaults));
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
