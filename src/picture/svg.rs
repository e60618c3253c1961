//! Writes SVG: rectangles, lines and texts on a dark ground.

use std::fmt::Write as _;

use super::FAMILY;

pub(super) const WIDTH: f64 = 720.0;
pub(super) const MARGIN: f64 = 28.0;

pub(super) const GROUND: &str = "#17212b";
pub(super) const TRACK: &str = "#2d3b49";
pub(super) const TEXT: &str = "#eef3f8";
pub(super) const MUTED: &str = "#a9b8c6";

/// The widest letters that a size has room for are about this part of it; texts are cut by that.
const LETTER: f64 = 0.62;

/// The head of a chart ends here.
pub(super) const HEAD: f64 = 64.0;

pub(super) const LEGEND: f64 = 44.0;

/// A picture under way.
pub(super) struct Svg {
    height: f64,
    body: String,
}

/// How a text stands at its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) colour: &'static str,
    pub(super) anchor: Anchor,
}

impl Style {
    pub(super) fn of(size: f64) -> Self {
        Self { size, bold: false, colour: TEXT, anchor: Anchor::Start }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn in_muted_colour(self) -> Self {
        Self { colour: MUTED, ..self }
    }

    pub(super) fn with_colour(self, colour: &'static str) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

impl Svg {
    /// A ground of this height with a title.
    pub(super) fn new(height: f64, title: &str) -> Self {
        let mut svg = Self { height, body: String::new() };
        svg.rect((0.0, 0.0), (WIDTH, height), GROUND, 1.0);
        svg.text((MARGIN, 44.0), WIDTH - 2.0 * MARGIN, title, Style::of(29.0).bold());
        svg
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), colour: &str, opacity: f64) {
        let ((x, y), (width, height)) = (at, (size.0.max(0.0), size.1.max(0.0)));
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="3" fill="{colour}" fill-opacity="{opacity:.2}"/>"#,
        );
        self.body.push('\n');
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, dashed: bool) {
        let dash = if dashed { r#" stroke-dasharray="9 7""# } else { "" };
        let _ = write!(
            self.body,
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}" stroke-width="3"{dash}/>"#,
            from.0, from.1, to.0, to.1,
        );
        self.body.push('\n');
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="4" stroke-linejoin="round" stroke-linecap="round"/>"#,
            points.join(" "),
        );
        self.body.push('\n');
    }

    /// Writes a text with its foot at a point; what is wider than `room` is cut in its middle.
    pub(super) fn text(&mut self, at: (f64, f64), room: f64, text: &str, style: Style) {
        let Style { size, bold, colour, anchor } = style;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { r#" font-weight="bold""# } else { "" };
        let _ = write!(
            self.body,
            r#"<text x="{:.1}" y="{:.1}" font-family="{FAMILY}" font-size="{size:.0}"{weight} fill="{colour}" text-anchor="{anchor}">{}</text>"#,
            at.0,
            at.1,
            escape(&cut(text, letters(room, size))),
        );
        self.body.push('\n');
    }

    /// Squares with what their colours mean, from left to right, in as many rows as they need.
    pub(super) fn legend(&mut self, foot: f64, entries: &[(&'static str, String)]) {
        let (mut x, mut y) = (MARGIN, foot);
        for (colour, words) in entries {
            let width = width(words, 22.0) + 34.0;
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + 32.0);
            }
            self.rect((x, y - 17.0), (18.0, 18.0), colour, 1.0);
            self.text((x + 26.0, y), WIDTH - MARGIN - x - 26.0, words, Style::of(22.0).in_muted_colour());
            x += width + 20.0;
        }
    }

    pub(super) fn finish(self) -> String {
        let Self { height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\">\n{body}</svg>\n"
        )
    }
}

/// Returns how many rows a legend takes.
pub(super) fn legend_rows<'a>(words: impl Iterator<Item = &'a str>) -> usize {
    let (mut x, mut rows) = (MARGIN, 1);
    for words in words {
        let width = width(words, 22.0) + 34.0;
        if x > MARGIN && x + width > WIDTH - MARGIN {
            (x, rows) = (MARGIN, rows + 1);
        }
        x += width + 20.0;
    }
    rows
}

/// Returns how wide a text is at most.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * LETTER
}

fn letters(room: f64, size: f64) -> usize {
    // Between 1 and a few hundred; a little more, so that a text fits the room that was measured for it.
    (room / (size * LETTER) + 0.01).max(1.0) as usize
}

/// Cuts a text in its middle, so that what tells names apart at either end stays.
fn cut(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let head: String = letters[..head].iter().collect();
    let tail: String = letters[letters.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}

/// Escapes what XML reads, and drops what changes the direction of writing or is no letter at all.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {}
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
