//! Tests that the page's colours are readable: every text colour on each of its backgrounds, in both themes.
//!
//! WCAG's numbers: 4.5 for text, 3 for bars and frames.

use std::collections::{BTreeMap, BTreeSet};

use super::STYLE;

const TEXT_MIN: f64 = 4.5;
const SHAPE_MIN: f64 = 3.0;

/// Each text colour with its backgrounds, in the style sheet and on the canvas (paint.js).
const TEXTS: [(&str, &[&str]); 14] = [
    ("ink", &["page", "panel", "theirs", "own", "wall", "code", "button on wall"]),
    ("faint", &["page", "panel", "theirs", "own", "wall", "code"]),
    ("accent", &["page", "panel", "theirs", "own", "code"]),
    ("accent-ink", &["accent", "danger", "tone0", "tone1", "tone2", "tone3", "tone4", "tone5"]),
    ("danger", &["panel", "button on wall"]),
    ("success", &["panel", "button on wall"]),
    ("over", &["page", "panel"]),
    ("maintenance", &["page", "panel"]),
    ("tone0", &["theirs"]),
    ("tone1", &["theirs"]),
    ("tone2", &["theirs"]),
    ("tone3", &["theirs"]),
    ("tone4", &["theirs"]),
    ("tone5", &["theirs"]),
];
const SHAPES: [(&str, &[&str]); 5] = [
    ("cpu", &["track"]),
    ("load", &["track"]),
    ("over", &["track"]),
    ("limit", &["track"]),
    ("accent", &["page", "wall"]),
];

type Rgb = [f64; 3];

#[test]
fn every_text_can_be_read_in_both_themes() {
    let too_weak = |theme: &str| {
        let colors = colors(theme);
        let texts = weaker_than(TEXT_MIN, &TEXTS, &colors);
        texts.into_iter().chain(weaker_than(SHAPE_MIN, &SHAPES, &colors)).collect::<Vec<_>>()
    };
    assert_eq!(too_weak(":root {"), Vec::<String>::new(), "light");
    assert_eq!(too_weak(":root[data-theme=\"dark\"] {"), Vec::<String>::new(), "dark");
}

#[test]
fn every_colour_of_a_text_is_looked_at() {
    let used = STYLE.split(['{', ';', '}']).filter_map(|rule| {
        let (property, value) = rule.split_once(':')?;
        let name = value.trim().strip_prefix("var(--")?.strip_suffix(')')?;
        (property.trim() == "color").then_some(name)
    });
    let looked_at: BTreeSet<&str> = TEXTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(used.filter(|name| !looked_at.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn contrast_is_counted_as_wcag_does() {
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 0.01);
    assert!((contrast(rgb("#767676").0, [255.0; 3]) - 4.54).abs() < 0.01);
}

fn weaker_than(min: f64, pairs: &[(&str, &[&str])], colors: &BTreeMap<&str, (Rgb, f64)>) -> Vec<String> {
    let pairs = pairs.iter().flat_map(|(ink, grounds)| grounds.iter().map(move |ground| (*ink, *ground)));
    let ratios = pairs.map(|(ink, ground)| (contrast(colors[ink].0, seen(ground, colors)), ink, ground));
    let weak = ratios.filter(|(ratio, ..)| *ratio < min);
    weak.map(|(ratio, ink, ground)| format!("{ink} on {ground}: {ratio:.2}")).collect()
}

/// Returns the visible colour of a background; a translucent one is mixed with the colour below it.
fn seen(ground: &str, colors: &BTreeMap<&str, (Rgb, f64)>) -> Rgb {
    let Some((above, below)) = ground.split_once(" on ") else { return colors[ground].0 };
    let (above, share) = colors[above];
    let below = colors[below].0;
    [0, 1, 2].map(|n| above[n] * share + below[n] * (1.0 - share))
}

fn colors(theme: &str) -> BTreeMap<&'static str, (Rgb, f64)> {
    let (_, from) = STYLE.split_once(theme).unwrap();
    let (rules, _) = from.split_once('}').unwrap();
    let pairs = rules.split(';').filter_map(|rule| rule.trim().strip_prefix("--")?.split_once(": "));
    pairs.filter(|(_, value)| value.starts_with('#')).map(|(name, value)| (name, rgb(value))).collect()
}

/// Reads `#rrggbb` or `#rrggbbaa` as a colour and its opacity.
fn rgb(hex: &str) -> (Rgb, f64) {
    let part = |n: usize| {
        let digits = hex.get(1 + 2 * n..3 + 2 * n)?;
        Some(f64::from(u8::from_str_radix(digits, 16).unwrap()))
    };
    ([0, 1, 2].map(|n| part(n).unwrap()), part(3).map_or(1.0, |alpha| alpha / 255.0))
}

fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(color: Rgb) -> f64 {
    let linear = |part: f64| match part / 255.0 {
        dark if dark <= 0.040_45 => dark / 12.92,
        light => ((light + 0.055) / 1.055).powf(2.4),
    };
    let [red, green, blue] = color.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
