//! Charts as SVG text, and that every one of them becomes a PNG.

use super::*;

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

#[test]
fn charts_are_written_as_svg() {
    insta::assert_snapshot!("bars", Chart::Bars(bars()).svg());
    insta::assert_snapshot!("panels", Chart::Panels(panels()).svg());
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
fn odd_names_break_nothing_and_turn_nothing_round() {
    let mut odd = bars();
    odd.rows[0].name = "a<b>&\"c\u{202e}gpj\u{0}\n\u{2066}x".into();
    let svg = Chart::Bars(odd.clone()).svg();
    assert!(svg.contains("a&lt;b&gt;&amp;&quot;cgpj  x"), "{svg}");
    assert!(!svg.contains('\u{202e}') && !svg.contains('\u{0}'));
    Chart::Bars(odd).png().unwrap();
}

#[test]
fn parts_outside_of_a_chart_end_at_its_edge() {
    let mut wild = bars();
    wild.rows[0].gauges[0].now = 7.0;
    wild.rows[1].gauges[0].now = f64::NAN;
    wild.rows[1].gauges[1].now = -1.0;
    let svg = Chart::Bars(wild.clone()).svg();
    assert!(svg.contains(r#"width="664.0""#) && !svg.contains("width=\"-"), "{svg}");
    Chart::Bars(wild).png().unwrap();
}

#[test]
fn a_reading_that_stands_alone_is_seen() {
    let mut first = panels();
    let line = Line { hue: Hue::Memory, pieces: vec![vec![(0.5, 0.5)]] };
    first.panels[0].content = Content::Lines(vec![line]);
    let svg = Chart::Panels(first).svg();
    assert!(svg.contains(r#"width="8.0" height="8.0""#) && !svg.contains("polyline"), "{svg}");
}
