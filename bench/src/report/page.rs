//! A page: its head with the verdict, figures as tiles, pairs of names and values.

use std::fmt::Write as _;

use crate::words::escaped;

const STYLE: &str = include_str!("style.css");

/// What a page says at first sight, by its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something is not.
    Lost,
    /// It is to be read with care.
    Unsure,
}

impl Tone {
    /// Its class in the style.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Lost => "lost",
            Self::Unsure => "unsure",
        }
    }
}

/// Who made the page, and what it says at first sight.
pub struct Head<'a> {
    /// The command, without its flags.
    pub tool: &'a str,
    /// The verdict in few words.
    pub title: &'a str,
    /// A sentence or two.
    pub lead: &'a str,
    /// The colour of both.
    pub tone: Tone,
}

/// Begins a page and its head, which [`end_head`] ends.
pub fn begin(head: &Head<'_>) -> String {
    let Head { tool, title, lead, tone } = head;
    let (tool, title, lead, tone) = (escaped(tool), escaped(title), escaped(lead), tone.class());
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} · {tool}</title><style>{STYLE}</style></head><body><main>\
         <header class=\"{tone}\"><p class=\"tool\">{tool}</p><h1>{title}</h1><p class=\"lead\">{lead}</p>"
    )
}

/// Ends the head.
pub fn end_head(page: &mut String) {
    page.push_str("</header>");
}

/// Ends the page.
pub fn end(page: &mut String) {
    page.push_str("</main></body></html>\n");
}

/// A figure: its name, its value, and what is said of it in small letters.
pub struct Tile {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: String,
    /// Beside what; empty where there is nothing.
    pub more: String,
}

/// Figures side by side.
pub fn tiles(page: &mut String, tiles: impl IntoIterator<Item = Tile>) {
    page.push_str("<dl class=\"figures\">");
    for Tile { name, value, more } in tiles {
        let more = if more.is_empty() { more } else { format!("<small>{}</small>", escaped(&more)) };
        let _ = write!(page, "<div><dt>{}</dt><dd>{}{more}</dd></div>", escaped(&name), escaped(&value));
    }
    page.push_str("</dl>");
}

/// Names and what stands for them, one below the other.
pub fn pairs<N: AsRef<str>, V: AsRef<str>>(page: &mut String, pairs: impl IntoIterator<Item = (N, V)>) {
    page.push_str("<dl class=\"setup\">");
    for (name, value) in pairs {
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escaped(name.as_ref()), escaped(value.as_ref()));
    }
    page.push_str("</dl>");
}
