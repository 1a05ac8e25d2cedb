//! The page: one file that needs nothing else, in light and dark.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use humantime_serde::re::humantime::format_rfc3339_seconds;

use super::{course, legend, percentiles};
use crate::load::findings::{Figure, Findings, HALF_WITHIN, Unit};
use crate::load::outcome::{Outcome, printable, shown};
use crate::load::spread::Summary;
use crate::load::trial::Side;
use crate::report::page::{self, Head, Tile, Tone};
use crate::words::{count, escaped};

/// The whole page.
pub fn html(outcome: &Outcome) -> String {
    let mut page = head(outcome);
    courses(&mut page, outcome);
    times(&mut page, &outcome.findings);
    figures(&mut page, outcome);
    counts(&mut page, &outcome.findings);
    setup(&mut page, outcome);
    page::end(&mut page);
    page
}

/// The page up to the end of its head.
fn head(outcome: &Outcome) -> String {
    let findings = &outcome.findings;
    let (title, tone) = match findings.wrong.as_slice() {
        [] if findings.tool_was_the_limit || !outcome.optimised => ("All there", Tone::Unsure),
        [] => ("All there", Tone::Good),
        _ => ("Not as it should be", Tone::Lost),
    };
    let tool = format!("doorbell bench {}", outcome.what);
    let lead = lead(outcome);
    let mut page = page::begin(&Head { tool: &tool, title, lead: &lead, tone });
    said(&mut page, "lost", &findings.wrong);
    let told = findings.figures.iter().filter(|figure| is_told_first(figure));
    page::tiles(&mut page, told.map(tile));
    said(&mut page, "unsure", &findings.notes);
    page::end_head(&mut page);
    page
}

fn lead(outcome: &Outcome) -> String {
    let asked = |name| outcome.parameters.get(name).map_or("", String::as_str);
    let (first, rest) = (asked("server").chars().next(), asked("server").chars().skip(1));
    let server: String = first.iter().flat_map(|first| first.to_uppercase()).chain(rest).collect();
    let sessions = asked("sessions").parse().map_or_else(|_| "some".to_owned(), count);
    let findings = &outcome.findings;
    let beside = if findings.figures.iter().any(|figure| figure.reference.is_some()) {
        ", beside a bare epoll loop that does the same with the same bytes"
    } else {
        ""
    };
    let care = match (findings.tool_was_the_limit, outcome.optimised) {
        (_, false) => " It is a debug build: its figures say nothing about a release.",
        (true, true) => " The tool was the limit: the server can do more than the figures say.",
        (false, true) => "",
    };
    let judged = if findings.wrong.is_empty() { "Every session and every hint was there." } else { "" };
    format!("{server} with {sessions} sessions{beside}. {judged}{care}").trim_end().to_owned()
}

fn said(page: &mut String, class: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    page.push_str("<ul class=\"said\">");
    for line in lines {
        let _ = write!(page, "<li class=\"{class}\">{}</li>", escaped(&printable(line)));
    }
    page.push_str("</ul>");
}

/// Of times only what 99 of 100 took, but for when the last of those who were lost is back; of the tool nothing: that is below.
fn is_told_first(Figure { name, .. }: &Figure) -> bool {
    let is_last = ["back_max", "current_max"].contains(&name.as_str());
    is_last || !name.ends_with("_p50") && !name.ends_with("_max") && !name.starts_with("tool_")
}

fn tile(figure: &Figure) -> Tile {
    let mut more = String::new();
    if let (Some(reference), Some(ratio)) = (figure.reference, figure.ratio) {
        let _ = write!(more, "{ratio:.2} × the bare loop's {}", shown(figure.unit, reference));
    }
    if let Some(range) = range(figure) {
        let _ = write!(more, " ({range})");
    }
    Tile { name: figure.what.clone(), value: shown(figure.unit, figure.value), more: more.trim().to_owned() }
}

/// From where to where it went over several rounds: where there are ratios, it is them that are to be trusted.
fn range(figure: &Figure) -> Option<String> {
    match (figure.ratio_range, figure.value_range) {
        (Some([least, most]), _) => Some(format!("{least:.2} … {most:.2}")),
        (None, Some(values)) => Some(values.map(|value| shown(figure.unit, value)).join(" … ")),
        (None, None) => None,
    }
}

/// What happened when: of each round.
fn courses(page: &mut String, outcome: &Outcome) {
    let only = [&outcome.findings];
    let rounds: Vec<&Findings> = outcome.rounds.iter().map(|round| &round.findings).collect();
    let all: &[&Findings] = if rounds.is_empty() { &only } else { &rounds };
    if !all.iter().any(|findings| course::is_told(&findings.timelines)) {
        return;
    }
    page.push_str("<section><h2>What happened when</h2>");
    for (number, findings) in (1..).zip(all) {
        let _ = match (rounds.len(), number) {
            (0, _) => Ok(()),
            (many, 1) => write!(page, "<h3 class=\"plain\">Round 1 of {many}</h3>"),
            (many, _) => write!(page, "<details class=\"plain\"><summary>Round {number} of {many}</summary>"),
        };
        let _ = write!(page, "<div class=\"plots\">{}</div>", course::figures(&findings.timelines));
        if !rounds.is_empty() && number > 1 {
            page.push_str("</details>");
        }
    }
    let bare = all.iter().flat_map(|findings| &findings.timelines).any(|of| of.side == Side::Bare);
    let _ = write!(
        page,
        "<p class=\"legend\">{} <i class=\"toolcpu\"></i> tool</p></section>",
        legend::sides(bare)
    );
}

/// Each distribution of times that has any, with the bare loop's.
fn times(page: &mut String, findings: &Findings) {
    let told = findings.spreads.iter().filter(|(key, times)| !key.starts_with("bare.") && times.count > 0);
    let mut told: Vec<(&String, &Summary)> = told.collect();
    // In the order of their figures; those that have none come last.
    told.sort_by_key(|(key, _)| half(findings, key).map_or(usize::MAX, |(place, _)| place));
    if told.is_empty() {
        return;
    }
    page.push_str(
        "<section><h2>How long things took</h2><p>Each line: so many of all took no longer. To the right are the few that took longest.</p>\
         <div class=\"plots\">",
    );
    for (key, times) in told {
        let bare = findings.spreads.get(&format!("bare.{key}")).filter(|bare| bare.count > 0);
        let mut sides = vec![(Side::Doorbell, times)];
        sides.extend(bare.map(|bare| (Side::Bare, bare)));
        let name = name(findings, key);
        let _ = write!(
            page,
            "<figure><h3>{}</h3>{}<p class=\"legend\">{}</p>",
            escaped(&name),
            percentiles::svg(&name, &sides),
            legend::sides(bare.is_some())
        );
        quantiles(page, times, bare);
        page.push_str("</figure>");
    }
    page.push_str("</div></section>");
}

/// The figure that says what half of a distribution took, with its place.
fn half<'a>(findings: &'a Findings, key: &str) -> Option<(usize, &'a Figure)> {
    let of = format!("{key}_p50");
    findings.figures.iter().enumerate().find(|(_, figure)| figure.name == of)
}

/// What a distribution is, for people: as its figures say it.
fn name(findings: &Findings, key: &str) -> String {
    let what = half(findings, key).and_then(|(_, figure)| figure.what.strip_suffix(HALF_WITHIN));
    what.map_or_else(|| key.replace('_', " "), str::to_owned)
}

#[expect(clippy::cast_precision_loss, reason = "at most an hour")]
fn quantiles(page: &mut String, times: &Summary, bare: Option<&Summary>) {
    let row = |Summary { p50_us, p90_us, p99_us, p999_us, max_us, .. }: &Summary| {
        [*p50_us, *p90_us, *p99_us, *p999_us, *max_us].map(|micros| micros as f64)
    };
    let cells = |cells: [String; 5]| cells.map(|cell| format!("<td class=\"number\">{cell}</td>")).concat();
    page.push_str("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><td></td>");
    for name in ["half", "9 of 10", "99 of 100", "99.9 %", "all"] {
        let _ = write!(page, "<th class=\"number\">{name}</th>");
    }
    let of = row(times).map(|micros| shown(Unit::Micros, micros));
    let _ = write!(page, "</tr></thead><tbody><tr><td>doorbell</td>{}</tr>", cells(of));
    if let Some(bare) = bare {
        let (of, bare) = (row(times), row(bare));
        let mut ratios = of.iter().zip(bare).map(|(of, bare)| format!("{:.2} ×", of / bare.max(1.0)));
        let ratios = [(); 5].map(|()| ratios.next().unwrap_or_default());
        let _ = write!(
            page,
            "<tr><td>bare loop</td>{}</tr><tr><td>ratio</td>{}</tr>",
            cells(bare.map(|micros| shown(Unit::Micros, micros))),
            cells(ratios)
        );
    }
    page.push_str("</tbody></table></div>");
}

fn figures(page: &mut String, outcome: &Outcome) {
    let figures = &outcome.findings.figures;
    let (referred, ranged) = (
        figures.iter().any(|figure| figure.reference.is_some()),
        figures.iter().any(|figure| figure.value_range.is_some()),
    );
    page.push_str("<section><h2>All figures</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><td></td><th class=\"number\">doorbell</th>");
    let heads = [(referred, "bare loop"), (referred, "ratio"), (ranged, "from … to")];
    for (_, head) in heads.iter().filter(|(is_there, _)| *is_there) {
        let _ = write!(page, "<th class=\"number\">{head}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for figure in figures {
        let reference = figure.reference.map(|reference| shown(figure.unit, reference)).unwrap_or_default();
        let ratio = figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let range = range(figure).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"number\"><b>{}</b></td>",
            escaped(&figure.what),
            shown(figure.unit, figure.value)
        );
        for (is_there, cell) in [(referred, reference), (referred, ratio), (ranged, range)] {
            if is_there {
                let _ = write!(page, "<td class=\"number\">{cell}</td>");
            }
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div></section>");
}

fn counts(page: &mut String, findings: &Findings) {
    page.push_str("<section><h2>What there was</h2>");
    page::pairs(page, findings.counts.iter().map(|(name, number)| (*name, count(*number))));
    if !findings.failures.is_empty() {
        page.push_str("<h3>Why sessions failed or ended</h3>");
        let failures = findings.failures.iter();
        page::pairs(page, failures.map(|(why, number)| (format!("{} ×", count(*number)), printable(why))));
    }
    if !findings.wrong.is_empty() && !findings.log.is_empty() {
        let lines: Vec<String> = findings.log.iter().map(|line| escaped(&printable(line))).collect();
        let _ = write!(page, "<h3>The last lines of the server's log</h3><pre>{}</pre>", lines.join("\n"));
    }
    page.push_str("</section>");
}

fn setup(page: &mut String, outcome: &Outcome) {
    let began = UNIX_EPOCH + Duration::from_millis(outcome.started_ms);
    let build = if outcome.optimised { "" } else { ", a debug build" };
    page.push_str("<section><h2>How it was run</h2>");
    let first = [
        ("command", outcome.command.clone()),
        ("began", format_rfc3339_seconds(began).to_string()),
        ("build", format!("{}{build}", outcome.build)),
    ];
    let rest = outcome.parameters.iter().chain(&outcome.machine);
    page::pairs(page, first.into_iter().chain(rest.map(|(name, value)| (*name, value.clone()))));
    page.push_str(
        "<p>Times and rates are those of this machine on this day; the ratio to the bare loop is what to trust. \
         <code>docs/bench.md</code> says what each figure means and how it is measured.</p></section>",
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load::rounds::Round;
    use crate::load::spread::Spread;
    use crate::load::timeline::{Sample, Timeline};

    fn findings() -> Findings {
        let mut findings = Findings::default();
        let (mut slow, mut quick) = (Spread::default(), Spread::default());
        (1..2_000).for_each(|number| slow.record(number * 9));
        (1..2_000).for_each(|number| quick.record(number * 5));
        findings.figure(("hints_per_second", "hints a second"), Unit::PerSecond, 5_000.0, Some(4_000.0));
        findings.times(("late", "publish to follower"), &slow, Some(&quick));
        findings.spreads.insert("publisher_behind".to_owned(), quick.summary());
        findings.spreads.insert("of_nothing".to_owned(), Summary::default());
        findings.counts.insert("publishes", 1_234);
        let seconds = vec![Sample { part: "publishing".to_owned(), hints: 9, ..Sample::default() }];
        findings.timelines =
            [Side::Doorbell, Side::Bare].map(|side| Timeline { side, seconds: seconds.clone() }).to_vec();
        findings
    }

    fn outcome(findings: Findings, rounds: Vec<Round>) -> Outcome {
        Outcome {
            what: "fanout",
            build: "1.2.3".to_owned(),
            optimised: true,
            command: "doorbell bench fanout <b>".to_owned(),
            started_ms: 1_700_000_000_000,
            machine: BTreeMap::from([("cores", "2".to_owned())]),
            parameters: BTreeMap::from([
                ("server", "a Doorbell of its own".to_owned()),
                ("sessions", "10000".to_owned()),
            ]),
            findings,
            rounds,
        }
    }

    #[test]
    fn a_page_has_the_figures_and_a_picture_of_each_distribution_and_needs_nothing_else() {
        let page = html(&outcome(findings(), Vec::new()));

        for text in [
            "<header class=\"good\">",
            "<h1>All there</h1>",
            "A Doorbell of its own with 10,000 sessions, beside a bare epoll loop",
            "1.25 × the bare loop's 4,000/s",
            "<h3>publish to follower</h3>",
            "<h3>publisher behind</h3>",
            "<dt>publishes</dt><dd>1,234</dd>",
            "doorbell bench fanout &lt;b&gt;",
            "2023-11-14T22:13:20Z",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        // Two distributions, and four pictures of what happened when.
        assert_eq!(page.matches("<svg").count(), 6);
        assert!(!page.contains("of nothing"));
        for outside in ["http://", "https://", "src=", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_is_wrong_and_what_to_know_stand_in_plain_sight() {
        let mut findings = findings();
        findings.wrong.push("9 of 10 sessions <were> open at the end".to_owned());
        findings.notes.push("a debug build".to_owned());
        findings.failures.insert("closed with 4401".to_owned(), 1);
        findings.log.push("level=error <x>".to_owned());

        let page = html(&outcome(findings, Vec::new()));

        let head = &page[..page.find("</header>").unwrap()];
        assert!(head.contains("<header class=\"lost\">") && head.contains("<h1>Not as it should be</h1>"));
        assert!(head.contains("<li class=\"lost\">9 of 10 sessions &lt;were&gt; open at the end</li>"));
        assert!(head.contains("<li class=\"unsure\">a debug build</li>"));
        assert!(page.contains("<dt>1 ×</dt><dd>closed with 4401</dd>"));
        assert!(page.contains("<pre>level=error &lt;x&gt;</pre>"));
    }

    #[test]
    fn a_tool_that_was_the_limit_is_told_first_and_each_round_has_its_pictures() {
        let mut all = findings();
        (all.tool_was_the_limit, all.timelines) = (true, Vec::new());
        let rounds = [Side::Doorbell, Side::Bare].map(|first| Round { first, findings: findings() });

        let page = html(&outcome(all, rounds.to_vec()));

        assert!(page.contains("<header class=\"unsure\">") && page.contains("The tool was the limit"));
        assert!(page.contains("Round 1 of 2") && page.contains("Round 2 of 2"));
        assert_eq!(page.matches("<svg").count(), 2 + 2 * 4);
    }
}
