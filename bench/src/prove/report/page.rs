//! The page: one file that needs nothing else, in light and dark.

use std::fmt::Write as _;

use super::outcome::{outcome, overall};
use super::{series, spread, timeline};
use crate::prove::history::Bounds;
use crate::prove::judge::evidence::Evidence;
use crate::prove::judge::verdict::{Judgement, Outcome, Overall, Rule, Spread, Verdict};
use crate::report::page::{self, Head, Tile, Tone};
use crate::words::{count, escaped, length, moment};

/// The whole page.
pub fn html(evidence: &Evidence, judgement: &Judgement) -> String {
    let mut page = head(evidence, judgement);
    let series = series::of(evidence);
    let _ = write!(
        page,
        "<section><h2>What happened when</h2><div class=\"plot\" tabindex=\"0\">{}</div><p class=\"legend\"><i class=\"fault\"></i> a fault \
         <i class=\"a\"></i> acknowledged, median, sessions <i class=\"soft\"></i> 99 of 100 hints came within \
         <i class=\"bad\"></i> sends without an answer, sent again</p></section>",
        timeline::svg(evidence, &series)
    );
    violations(&mut page, judgement);
    rules(&mut page, judgement);
    latency(&mut page, judgement);
    faults(&mut page, evidence);
    setup(&mut page, evidence);
    page::end(&mut page);
    page
}

/// The page up to the end of its head.
fn head(evidence: &Evidence, judgement: &Judgement) -> String {
    let counts = &judgement.counts;
    let tone = match judgement.overall() {
        Overall::Kept => Tone::Good,
        Overall::Lost => Tone::Lost,
        Overall::NotJudged | Overall::Invalid => Tone::Unsure,
    };
    let (title, lead) = (overall(judgement.overall()), lead(judgement));
    let mut page = page::begin(&Head { tool: "doorbell bench prove", title, lead: &lead, tone });
    let calm =
        judgement.latency.calm.quantile(990).map_or_else(|| "–".to_owned(), |took| length(took.into()));
    let figures = [
        ("sends acknowledged", count(counts.acked)),
        ("hints", count(counts.hints)),
        ("pulls", count(counts.pulls)),
        ("sessions at once", count(counts.sessions_peak)),
        ("came back", count(counts.reconnects)),
        ("faults that took effect", format!("{} of {}", counts.effective, counts.faults)),
        ("99 of 100 hints within", calm),
        ("length", length(evidence.end)),
    ];
    let tile = |(name, value): (&str, String)| Tile { name: name.to_owned(), value, more: String::new() };
    page::tiles(&mut page, figures.map(tile));
    page::end_head(&mut page);
    page
}

fn lead(judgement: &Judgement) -> String {
    let judged = judgement.rules.iter().filter(|(_, outcome)| outcome.verdict() == Verdict::Holds).count();
    match judgement.overall() {
        Overall::Kept => {
            let open = judgement.rules.len() - judged;
            let rest = if open == 0 { String::new() } else { format!(" {open} could not be judged.") };
            format!(
                "{judged} rules hold: what was acknowledged is there, once, in one order, and everybody who should know does.{rest}"
            )
        }
        Overall::Lost => {
            let broken: Vec<String> =
                judgement.broken().map(|rule| format!("{} ({})", rule.id(), rule.what())).collect();
            format!("Broken: {}. {judged} rules hold.", broken.join(", "))
        }
        Overall::NotJudged => {
            let open: Vec<String> =
                judgement.unjudged().map(|(rule, why)| format!("{rule}: {why}")).collect();
            format!("No rule is broken, but some that must be judged were not. {}.", open.join(". "))
        }
        Overall::Invalid => {
            format!("No rule is broken, but too little happened: {}.", judgement.invalid.join("; "))
        }
    }
}

fn rules(page: &mut String, judgement: &Judgement) {
    page.push_str(
        "<section><h2>The rules</h2><table><thead><tr><th>rule</th><td></td><th>what must be so</th>\
         <th class=\"number\">checked</th><th>found</th></tr></thead><tbody>",
    );
    for (rule, found) in &judgement.rules {
        let notes = found.not_judged.iter().chain(&found.note);
        let note = notes.map(|said| format!("<small>{}</small>", escaped(said))).collect::<String>();
        let _ = write!(
            page,
            "<tr><td><b>{}</b></td><td class=\"what\">{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"{}\"><span>{}</span>{note}</td></tr>",
            rule.id(),
            rule.what(),
            rule.meaning(),
            count(found.checked),
            class(found),
            outcome(found)
        );
    }
    page.push_str("</tbody></table></section>");
}

const fn class(found: &Outcome) -> &'static str {
    match found.verdict() {
        Verdict::Holds => "good",
        Verdict::Broken => "lost",
        Verdict::NotJudged => "unsure",
    }
}

fn violations(page: &mut String, judgement: &Judgement) {
    let broken: Vec<&(Rule, Outcome)> =
        judgement.rules.iter().filter(|(_, found)| found.violated > 0).collect();
    if broken.is_empty() {
        return;
    }
    page.push_str("<section><h2>What is broken</h2>");
    for (rule, found) in broken {
        let shown = found.violations.len() as u64;
        let times =
            if found.violated == 1 { "once".to_owned() } else { format!("{} times", count(found.violated)) };
        let more = if found.violated > shown { format!(", the first {shown}") } else { String::new() };
        let _ = write!(page, "<h3>{} {} <small>{times}{more}</small></h3>", rule.id(), rule.what(),);
        for (number, violation) in found.violations.iter().enumerate() {
            let open = if number < 3 { " open" } else { "" };
            let _ = write!(
                page,
                "<details{open}><summary>{}</summary><p><em>Expected:</em> {}</p><ol>",
                escaped(&violation.found),
                escaped(&violation.expected)
            );
            for (at, what) in &violation.events {
                let _ = write!(page, "<li><time>{}</time><span>{}</span></li>", moment(*at), escaped(what));
            }
            page.push_str("</ol></details>");
        }
    }
    page.push_str("</section>");
}

fn latency(page: &mut String, judgement: &Judgement) {
    let _ = write!(
        page,
        "<section><h2>How long hints took</h2><p>From the moment a send goes out to the first hint of its version at each \
         hint-driven session. <i class=\"calm\"></i> without a fault, <i class=\"faulty\"></i> while one was on or within T \
         after it.</p><div class=\"plot\" tabindex=\"0\">{}</div><table class=\"narrow\"><thead><tr><td></td>",
        spread::svg(&judgement.latency)
    );
    for name in ["hints", "half", "9 of 10", "99 of 100", "999 of 1,000", "all"] {
        let _ = write!(page, "<th class=\"number\">{name}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for (name, spread) in
        [("without a fault", &judgement.latency.calm), ("around faults", &judgement.latency.faulty)]
    {
        let _ = write!(
            page,
            "<tr><td>{name}</td><td class=\"number\">{}</td>{}</tr>",
            count(spread.sorted.len() as u64),
            quantiles(spread)
        );
    }
    page.push_str("</tbody></table></section>");
}

fn quantiles(spread: &Spread) -> String {
    let cell =
        |thousandth| spread.quantile(thousandth).map_or_else(|| "–".to_owned(), |took| length(took.into()));
    [500, 900, 990, 999, 1_000].map(|at| format!("<td class=\"number\">{}</td>", cell(at))).concat()
}

fn faults(page: &mut String, evidence: &Evidence) {
    if evidence.faults.is_empty() {
        return;
    }
    page.push_str(
        "<section><h2>Faults</h2><table class=\"narrow\"><thead><tr><th class=\"number\">from</th><th class=\"number\">for</th>\
         <th>what</th><th>took effect</th></tr></thead><tbody>",
    );
    for fault in &evidence.faults {
        let effect = if fault.effective { "yes" } else { "no" };
        let _ = write!(
            page,
            "<tr><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{effect}</td></tr>",
            moment(fault.begin),
            length(fault.end - fault.begin),
            escaped(&fault.what)
        );
    }
    page.push_str("</tbody></table></section>");
}

fn setup(page: &mut String, evidence: &Evidence) {
    let run = &evidence.run;
    let large = run.conversations.iter().map(|conversation| conversation.members.len()).max().unwrap_or(0);
    page.push_str("<section><h2>How it was run</h2>");
    page::pairs(
        page,
        [
            ("command", run.command.clone()),
            ("seed", run.seed.to_string()),
            ("build", run.build.clone()),
            ("against", run.targets.join(", ")),
            ("users", count(run.users.len() as u64)),
            (
                "conversations",
                format!("{}, the largest with {} members", run.conversations.len(), count(large as u64)),
            ),
            ("T", settle(run.bounds)),
            ("hints end after a removal within", length(run.bounds.revoke)),
        ],
    );
    page.push_str(
        "<p>The same seed draws the same users, conversations and faults. The history beside this page can be judged again: \
         <code>doorbell bench prove --judge history.jsonl</code>.</p></section>",
    );
}

fn settle(bounds: Bounds) -> String {
    let of_redis = bounds.settle_redis.filter(|time| *time != bounds.settle);
    let of_redis = of_redis.map(|time| format!("; {} after a fault of Redis", length(time)));
    length(bounds.settle) + &of_redis.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::history::{Event, What};
    use crate::prove::judge::{judge, simulator};

    fn page(events: &[Event]) -> String {
        let evidence = Evidence::gather(events);
        html(&evidence, &judge(&evidence))
    }

    #[test]
    fn a_page_says_the_verdict_and_each_rule_and_needs_nothing_else() {
        let page = page(&simulator::history(1, 300, true));

        assert!(page.contains("<h1>Nothing lost</h1>"));
        for rule in Rule::ALL {
            assert!(page.contains(&format!("<b>{}</b>", rule.id())), "{rule}");
        }
        for outside in ["http://", "https://", "src=", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_page_shows_what_is_broken_and_no_markup_from_outside() {
        let mut events = simulator::history(1, 300, false);
        for event in &mut events {
            match &mut event.1 {
                What::Probe { ok, said, .. } => (*ok, *said) = (false, "<script>".to_owned()),
                What::Run(run) => run.command = "<b onload=x>".to_owned(),
                _ => {}
            }
        }
        let page = page(&events);

        assert!(page.contains("<h1>Not kept</h1>") && page.contains("Broken: V1 (alive again)"));
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>") && !page.contains("<b onload"));
    }
}
