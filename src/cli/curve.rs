//! The simulated week as a picture: overload and RAM moved over time, one line for each rule.

use crate::{
    picture::{Chart, Content, Hue, Line, Panel, Panels},
    sandbox::week::Outcome,
};

/// The colours of the rules, in the order of the table.
const HUES: [Hue; 4] = [Hue::Over, Hue::Warm, Hue::Memory, Hue::Load];

/// Overload is drawn as the mean of this many hours: lines of single hours would be hard to read.
const HOURS: usize = 6;

/// Draws how each rule kept the cluster.
pub(super) fn curve(title: String, played: &[(&str, Outcome)]) -> Chart {
    let overload = |outcome: &Outcome| -> Vec<f64> {
        let hours: Vec<_> = outcome.hours.iter().map(|(over, _)| *over).collect();
        hours.chunks(HOURS).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect()
    };
    let gib = |outcome: &Outcome| outcome.hours.iter().map(|(_, gib)| *gib).collect::<Vec<_>>();
    let panels = vec![
        panel("Nodes overloaded at a time", played.iter().map(|(_, outcome)| overload(outcome)).collect()),
        panel("GiB moved so far", played.iter().map(|(_, outcome)| gib(outcome)).collect()),
    ];
    let days = played.first().map_or(0, |(_, outcome)| outcome.hours.len() / 24);
    let times = (0..days).map(|day| ((day as f64 + 0.5) / days as f64, format!("day {}", day + 1)));
    let legend = HUES.into_iter().zip(played).map(|(hue, (name, _))| (hue, (*name).to_owned()));
    Chart::Panels(Panels { title, panels, times: times.collect(), legend: legend.collect() })
}

fn panel(title: &str, courses: Vec<Vec<f64>>) -> Panel {
    let top = courses.iter().flatten().copied().fold(0.0, f64::max).max(1.0);
    let line = |(hue, course): (Hue, &Vec<f64>)| {
        let last = course.len().saturating_sub(1).max(1) as f64;
        let points = course.iter().enumerate().map(|(at, value)| (at as f64 / last, value / top));
        Line { hue, pieces: vec![points.collect()] }
    };
    Panel {
        title: title.to_owned(),
        marks: [0.0, 0.5, 1.0].map(|part| (part, format!("{:.0}", top * part))).into(),
        limit: None,
        content: Content::Lines(HUES.into_iter().zip(&courses).map(line).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_line_in_both_panels_and_its_name_in_the_legend() {
        let outcome = |over: f64| Outcome { hours: vec![(over, 10.0 * over); 48], ..Outcome::default() };
        let played = [("nothing", outcome(4.0)), ("ours", outcome(1.0))];
        let chart = curve("Two days".into(), &played);
        let Chart::Panels(panels) = &chart else { panic!("panels") };
        assert_eq!(
            panels.legend.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(),
            ["nothing", "ours"]
        );
        for (panel, top) in panels.panels.iter().zip(["4", "40"]) {
            let Content::Lines(lines) = &panel.content else { panic!("lines") };
            assert_eq!((lines.len(), panel.marks[2].1.as_str()), (2, top));
            assert!((lines[1].pieces[0][0].1 - 0.25).abs() < 1e-9, "a quarter of the worst");
        }
        assert!(chart.png().is_ok_and(|png| png.len() > 1000));
    }
}
