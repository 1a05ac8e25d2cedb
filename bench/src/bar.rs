//! How a run goes, for who watches it: on a terminal a bar with figures that changes in place, elsewhere a line now and then. It goes to
//! standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Between two changes on a terminal, and between two lines elsewhere.
const CHANGE_PAUSE: Duration = Duration::from_millis(200);
const LINE_PAUSE: Duration = Duration::from_secs(1);
const WITH_END: &str = "{prefix:<10} {bar:10}  {wide_msg}";
const WITHOUT_END: &str = "{prefix:<10}  {wide_msg}";

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What goes on.
    pub what: String,
    /// How far it is, of how much; `None` where nobody knows its end.
    pub place: Option<(u64, u64)>,
    /// Figures.
    pub figures: String,
}

impl From<String> for Shown {
    fn from(what: String) -> Self {
        Self { what, ..Self::default() }
    }
}

/// The bar, or the lines.
pub struct Bar {
    on_terminal: bool,
    /// While something is shown on a terminal.
    bar: Option<ProgressBar>,
    next: Option<Instant>,
}

impl Bar {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { on_terminal: std::io::stderr().is_terminal(), bar: None, next: None }
    }

    /// Shows how it goes, where the last time is long enough ago.
    pub fn show<S: Into<Shown>>(&mut self, shown: impl FnOnce() -> S) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        let shown = shown().into();
        if self.on_terminal {
            self.next = Some(now + CHANGE_PAUSE);
            change(self.bar.get_or_insert_with(bar), shown);
        } else {
            self.next = Some(now + LINE_PAUSE);
            // Who closed the output does not want to be told.
            let _ = writeln!(std::io::stderr(), "{}", line(&shown));
        }
    }

    /// Says something that stays.
    pub fn say(&mut self, what: &str) {
        self.end();
        let _ = writeln!(std::io::stderr(), "{what}");
    }

    /// What comes next begins a line of its own.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.next = None;
    }
}

fn bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
}

fn change(bar: &ProgressBar, shown: Shown) {
    let template = if shown.place.is_some() { WITH_END } else { WITHOUT_END };
    let style = ProgressStyle::with_template(template).expect("the template is in order");
    bar.set_style(style.progress_chars("█▌░"));
    if let Some((at, end)) = shown.place {
        bar.set_length(end);
        bar.set_position(at.min(end));
    }
    bar.set_prefix(shown.what);
    bar.set_message(shown.figures);
}

fn line(Shown { what, figures, .. }: &Shown) -> String {
    format!("{what:<12} {figures}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_goes_on_and_its_figures() {
        let shown = Shown { what: "at rest".to_owned(), place: Some((1, 2)), figures: "3 open".to_owned() };

        assert_eq!(line(&shown), "at rest      3 open");
        assert_eq!(line(&"starting".to_owned().into()), "starting");
    }

    #[test]
    fn a_bar_says_how_far_it_is_where_that_is_known() {
        let bar = ProgressBar::hidden();
        for (place, expected) in [(Some((9, 4)), (4, Some(4))), (Some((1, 4)), (1, Some(4)))] {
            change(&bar, Shown { place, ..Shown::default() });
            assert_eq!((bar.position(), bar.length()), expected);
        }
        change(&bar, "starting".to_owned().into());
        assert_eq!(bar.prefix(), "starting");
    }
}
