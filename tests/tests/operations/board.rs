//! The dashboard's expressions, as Grafana would send them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const BOARD: &str = include_str!("../../../grafana/dashboards/overview.json");

/// What stands for Grafana's rate interval: four scrapes and more.
const RATE_INTERVAL: &str = "5s";

/// One expression and where it stands.
pub struct Expression {
    /// The title of its panel, or the annotation's name.
    pub place: String,
    /// With the variables filled in.
    pub text: String,
}

/// All of them: panels, annotations, and the variable that lists the processes.
pub fn expressions() -> Result<Vec<Expression>> {
    let board: Value = serde_json::from_str(BOARD)?;
    let mut all = Vec::new();
    for panel in board["panels"].as_array().context("no panels")? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        let targets = panel["targets"].as_array().context("a panel without targets")?;
        ensure!(!targets.is_empty(), "{title}: nothing is asked");
        for target in targets {
            all.push(expression(title, &target["expr"])?);
        }
    }
    for annotation in board["annotations"]["list"].as_array().context("no annotations")? {
        let name = annotation["name"].as_str().context("an annotation without a name")?;
        let mut expression = expression(name, &annotation["expr"])?;
        // It shows when something happens: what it compares is there always.
        let compared = expression.text.rsplit_once(" == ").or_else(|| expression.text.rsplit_once(" > "));
        expression.text = compared.context("an annotation compares")?.0.to_owned();
        all.push(expression);
    }
    for variable in board["templating"]["list"].as_array().context("no variables")? {
        let Some(definition) = variable["definition"].as_str() else { continue };
        let metric = definition.strip_prefix("label_values(").and_then(|rest| rest.split_once(','));
        let text = metric.context("a variable lists the values of a label")?.0.to_owned();
        all.push(Expression { place: format!("the variable {}", variable["name"]), text });
    }
    Ok(all)
}

fn expression(place: &str, text: &Value) -> Result<Expression> {
    let text = text.as_str().with_context(|| format!("{place}: no expression"))?;
    let text = text.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*");
    ensure!(!text.contains('$'), "{place}: a variable that this test does not know: {text}");
    Ok(Expression { place: place.to_owned(), text })
}
