//! The rounds of a run, and what they come to together.
//!
//! Times and rates of a machine move with whatever else it does; what both sides did one right after the other hardly moves against
//! each other. So a ratio is taken in each round, and the median of the ratios is told, which is not the ratio of the medians.

use serde::Serialize;

use super::findings::{Figure, Findings};
use super::spread::Spread;
use super::trial::Side;

/// One round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Which side was measured before the other.
    pub first: Side,
    /// What is told of it.
    #[serde(flatten)]
    pub findings: Findings,
}

/// What all of them come to: medians of figures, all times of a spread, and sums of counts.
pub fn together(rounds: &[Round]) -> Findings {
    if let [only] = rounds {
        return only.findings.clone();
    }
    let mut all = Findings { figures: figures(rounds), ..Findings::default() };
    for (round, number) in rounds.iter().zip(1..) {
        let of = &round.findings;
        for (what, number) in &of.counts {
            *all.counts.entry(what).or_default() += number;
        }
        for (why, number) in &of.failures {
            *all.failures.entry(why.clone()).or_default() += number;
        }
        all.wrong.extend(of.wrong.iter().map(|wrong| format!("round {number}: {wrong}")));
        of.notes.iter().for_each(|note| all.note(note.clone()));
        all.tool_was_the_limit |= of.tool_was_the_limit;
        // The log of the first that needs one.
        if all.log.is_empty() && !of.wrong.is_empty() {
            all.log.clone_from(&of.log);
        }
    }
    let mut spreads = std::collections::BTreeMap::<&String, Spread>::new();
    for (name, summary) in rounds.iter().flat_map(|round| &round.findings.spreads) {
        spreads.entry(name).or_default().merge(&summary.values_us);
    }
    all.spreads = spreads.into_iter().map(|(name, spread)| (name.clone(), spread.summary())).collect();
    all
}

/// A figure that some rounds lack is that of the others.
fn figures(rounds: &[Round]) -> Vec<Figure> {
    let mut all = Vec::<Figure>::new();
    for figure in rounds.iter().flat_map(|round| &round.findings.figures) {
        if all.iter().any(|known| known.name == figure.name) {
            continue;
        }
        let those = || {
            let figures = rounds.iter().flat_map(|round| &round.findings.figures);
            figures.filter(|other| other.name == figure.name)
        };
        let values = sorted(those().map(|of| of.value));
        let ratios = sorted(those().filter_map(|of| of.ratio));
        all.push(Figure {
            value: median(&values).unwrap_or(figure.value),
            reference: median(&sorted(those().filter_map(|of| of.reference))),
            ratio: median(&ratios),
            value_range: range(&values),
            ratio_range: range(&ratios),
            ..figure.clone()
        });
    }
    all
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of an even number the middle between the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

fn range(sorted: &[f64]) -> Option<[f64; 2]> {
    Some([*sorted.first()?, *sorted.last()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::findings::Unit;

    fn round(value: f64, reference: Option<f64>, micros: u64) -> Round {
        let mut findings = Findings::default();
        findings.figure(("cpu", "CPU"), Unit::Micros, value, reference);
        let mut spread = Spread::default();
        spread.record(micros);
        findings.spreads.insert("late".to_owned(), spread.summary());
        findings.counts.insert("publishes", 10);
        Round { first: Side::Doorbell, findings }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() {
        let rounds = [round(4.0, Some(2.0), 10), round(9.0, Some(3.0), 30), round(5.0, Some(5.0), 20)];

        let all = together(&rounds);

        let [figure] = all.figures.as_slice() else { panic!("{all:?}") };
        assert_eq!((figure.value, figure.reference, figure.ratio), (5.0, Some(3.0), Some(2.0)));
        assert_eq!((figure.value_range, figure.ratio_range), (Some([4.0, 9.0]), Some([1.0, 3.0])));
        let late = &all.spreads["late"];
        assert_eq!((late.count, late.min_us, late.p50_us, late.max_us), (3, 10, 20, 30));
        assert_eq!(all.counts["publishes"], 30);
    }

    #[test]
    fn of_two_rounds_the_middle_is_told_and_a_bare_loop_that_one_lacks_is_the_others() {
        let mut rounds = [round(4.0, None, 1), round(8.0, Some(4.0), 2)];
        rounds[1].findings.wrong.push("2 of 3".to_owned());
        rounds[1].findings.log.push("why".to_owned());

        let all = together(&rounds);

        let figure = &all.figures[0];
        assert_eq!((figure.value, figure.reference, figure.ratio), (6.0, Some(4.0), Some(2.0)));
        assert_eq!((all.wrong, all.log), (vec!["round 2: 2 of 3".to_owned()], vec!["why".to_owned()]));
    }

    #[test]
    fn one_round_is_told_as_it_was() {
        let all = together(&[round(4.0, Some(2.0), 10)]);

        assert_eq!((all.figures[0].value, all.figures[0].value_range), (4.0, None));
    }
}
