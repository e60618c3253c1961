//! Charts as lists of marks, and that every one of them becomes a PNG.

use tiny_skia::Pixmap;

use super::{
    sketch::{Anchor, Mark},
    *,
};

fn gauge(hue: Hue, now: f64, before: Option<f64>, threshold: f64) -> Gauge {
    Gauge { hue, now, before, threshold, is_over: now > threshold }
}

fn bars() -> Bars {
    let row = |name: &str, memory: f64, load: f64, before: Option<f64>| Row {
        name: name.into(),
        is_over: memory > 0.7 || load > 0.66,
        figures: format!("{:.1} % · {:.2}", memory * 100.0, load * 1.5),
        gauges: vec![gauge(Hue::Memory, memory, before, 0.7), gauge(Hue::Load, load, None, 0.66)],
    };
    Bars {
        title: "Кластер msk: память и нагрузка".into(),
        rows: vec![
            row("node-002", 0.996, 0.8, None),
            row("a-node-with-a-very-long-name-0001.example.com", 0.62, 0.3, Some(0.83)),
        ],
        more: Some("… и ещё 38 узлов".into()),
        legend: vec![(Hue::Memory, "память".into()), (Hue::Load, "нагрузка на ядро".into())],
        mark: "порог".into(),
    }
}

fn panels() -> Panels {
    let line =
        Line { hue: Hue::Memory, pieces: vec![vec![(0.0, 0.2), (0.4, 0.9)], vec![(0.6, 0.5), (1.0, 0.4)]] };
    let column =
        |at, height: f64| Column { hue: Hue::Plain, at, height, words: format!("{:.0}", height * 10.0) };
    Panels {
        title: "node-002, 7 days".into(),
        panels: vec![
            Panel {
                title: "Memory, %".into(),
                marks: vec![(0.0, "0".into()), (1.0, "100 %".into())],
                limit: Some(0.7),
                content: Content::Lines(vec![line]),
            },
            Panel {
                title: "Migrations".into(),
                marks: vec![(0.0, "0".into())],
                limit: None,
                content: Content::Columns(vec![column(0.25, 0.3), column(0.75, 0.8)]),
            },
        ],
        times: vec![(0.0, "17.11".into()), (1.0, "23.11".into())],
        legend: vec![(Hue::Memory, "memory".into())],
    }
}

fn marks(chart: &Chart) -> String {
    chart.sketch().marks.iter().map(|mark| format!("{mark:.2?}\n")).collect()
}

#[test]
fn charts_consist_of_marks() {
    insta::assert_snapshot!("bars", marks(&Chart::Bars(bars())));
    insta::assert_snapshot!("panels", marks(&Chart::Panels(panels())));
}

#[test]
fn every_chart_becomes_a_png_that_shows_its_text() {
    for chart in [Chart::Bars(bars()), Chart::Panels(panels())] {
        let png = chart.png().unwrap();
        assert_eq!(&png[1..4], b"PNG");
        let drawn = Pixmap::decode_png(&png).unwrap();
        assert_eq!(drawn.width(), 720);
        assert!(drawn.height() < 1600, "Telegram cuts what is much taller than wide");
        // Without the fonts the title would be missing.
        let is_light = |x: u32| (20..48).any(|y| drawn.pixel(x, y).is_some_and(|pixel| pixel.red() > 200));
        assert!((28..200).filter(|x| is_light(*x)).count() > 50);
    }
}

#[test]
fn no_text_leaves_the_picture() {
    for mark in [Chart::Bars(bars()), Chart::Panels(panels())].iter().flat_map(|chart| chart.sketch().marks) {
        let Mark::Text { at: (x, _), text, style } = mark else { continue };
        let width = pixels::width(&text, style);
        let from = pixels::begins_at(x, width, style.anchor);
        assert!(width > 0.0 && from >= 0.0 && from + width <= 720.0, "{text:?}: {from}, {width}");
    }
    assert_eq!(pixels::begins_at(720.0, 50.0, Anchor::Middle), 670.0, "moved in from the edge");
    assert_eq!(pixels::begins_at(20.0, 800.0, Anchor::End), 0.0, "wider than the picture");
}

#[test]
fn odd_names_break_nothing_and_turn_nothing_round() {
    let mut odd = bars();
    odd.rows[0].name = "a<b>&\"c\u{202e}gpj\u{0}\n\u{2066}x".into();
    // What no font has is a sign that something is there.
    odd.rows[1].name = "虚拟机\u{e000}\u{1f600}".into();
    let chart = Chart::Bars(odd);
    let marks = chart.sketch().marks;
    let has =
        |wanted: &str| marks.iter().any(|mark| matches!(mark, Mark::Text { text, .. } if text == wanted));
    assert!(has("⚠ a<b>&\"cgpj  x") && has("虚拟机\u{e000}\u{1f600}"), "{marks:?}");
    chart.png().unwrap();
    let style = sketch::Style::of(20.0);
    assert_eq!(pixels::width("虚", style), pixels::width("\u{e000}", style));
    assert_eq!(pixels::width("", style), 0.0);
}

#[test]
fn letters_stand_as_near_as_the_font_says_and_bold_ones_may_be_missing() {
    let style = sketch::Style::of(100.0);
    let apart = pixels::width("A", style) + pixels::width("V", style);
    assert!(pixels::width("AV", style) < apart - 1.0, "no kerning");
    assert!(pixels::width("W", style.bold()) > pixels::width("W", style));
    assert_eq!(pixels::width("⚠", style.bold()), pixels::width("⚠", style), "only one face has it");
}

#[test]
fn parts_outside_of_a_chart_end_at_its_edge() {
    let mut wild = bars();
    wild.rows[0].gauges[0].now = 7.0;
    wild.rows[1].gauges[0].now = f64::NAN;
    wild.rows[1].gauges[1].now = -1.0;
    let chart = Chart::Bars(wild);
    for mark in chart.sketch().marks {
        let Mark::Rect { size: (width, height), .. } = mark else { continue };
        assert!((0.0..=720.0).contains(&width) && height >= 0.0, "{mark:?}");
    }
    chart.png().unwrap();
}

#[test]
fn a_reading_that_stands_alone_is_seen() {
    let mut first = panels();
    let line = Line { hue: Hue::Memory, pieces: vec![vec![(0.5, 0.5)], Vec::new()] };
    first.panels[0].content = Content::Lines(vec![line]);
    let chart = Chart::Panels(first);
    let marks = chart.sketch().marks;
    assert!(marks.iter().any(|mark| matches!(mark, Mark::Rect { size: (8.0, 8.0), .. })), "{marks:?}");
    chart.png().unwrap();
}
