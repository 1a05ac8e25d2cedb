//! Virtual environments, each with what one folder's `requirements.txt` names.

use std::path::Path;

use anyhow::{Context, Result};

use super::debian;
use crate::process::{command, output, run};

/// Where the environments are, by folder: beside the other things that can be made again.
const VENVS: &str = "target/venvs";

/// Makes sure of a folder's environment, and names its Python.
///
/// # Errors
/// Where Python is missing, or something cannot be installed.
pub fn ensure(root: &Path, folder: &str) -> Result<String> {
    let requirements = root.join(folder).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {folder}/requirements.txt"))?;
    let venv = root.join(VENVS).join(folder.replace('/', "-"));
    let python = venv.join("bin/python").to_string_lossy().into_owned();
    let stamp = venv.join("installed.txt");
    let installed = std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    if installed && output(&python, &["--version"]).is_some() {
        return Ok(python);
    }
    if output("python3", &["-c", "import venv, ensurepip"]).is_none() {
        debian::install(&["python3", "python3-venv"], &format!("the Python packages of {folder}"))?;
    }
    println!("installing the Python packages of {folder} into {}", venv.display());
    run(command("python3", &["-m", "venv", "--clear", &venv.to_string_lossy()], root))?;
    let list = requirements.to_string_lossy();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &list];
    run(command(&python, &pip, root))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}
