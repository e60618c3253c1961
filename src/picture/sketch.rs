//! What a chart consists of: rectangles, lines and texts on a dark ground, as a list of marks.

pub(super) const WIDTH: f64 = 720.0;
pub(super) const MARGIN: f64 = 28.0;

/// Red, green and blue.
pub(super) type Colour = [u8; 3];

pub(super) const GROUND: Colour = [0x17, 0x21, 0x2b];
pub(super) const TRACK: Colour = [0x2d, 0x3b, 0x49];
pub(super) const TEXT: Colour = [0xee, 0xf3, 0xf8];
pub(super) const MUTED: Colour = [0xa9, 0xb8, 0xc6];

/// The widest letters that a size has room for are about this part of it; texts are cut by that.
const LETTER: f64 = 0.62;

/// The head of a chart ends here.
pub(super) const HEAD: f64 = 64.0;

pub(super) const LEGEND: f64 = 44.0;

/// A picture under way.
pub(super) struct Sketch {
    pub(super) height: f64,
    pub(super) marks: Vec<Mark>,
}

/// A part of a picture. What comes later covers what came before. Lengths are pixels from the upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    Rect { at: (f64, f64), size: (f64, f64), colour: Colour, opacity: f64 },
    Line { from: (f64, f64), to: (f64, f64), colour: Colour, dashed: bool },
    Course { points: Vec<(f64, f64)>, colour: Colour },
    Text { at: (f64, f64), text: String, style: Style },
}

/// How a text stands at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) colour: Colour,
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

    pub(super) fn with_colour(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

impl Sketch {
    /// A ground of this height with a title.
    pub(super) fn new(height: f64, title: &str) -> Self {
        let mut sketch = Self { height, marks: Vec::new() };
        sketch.rect((0.0, 0.0), (WIDTH, height), GROUND, 1.0);
        sketch.text((MARGIN, 44.0), WIDTH - 2.0 * MARGIN, title, Style::of(29.0).bold());
        sketch
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), colour: Colour, opacity: f64) {
        let size = (size.0.max(0.0), size.1.max(0.0));
        self.marks.push(Mark::Rect { at, size, colour, opacity });
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, dashed: bool) {
        self.marks.push(Mark::Line { from, to, colour, dashed });
    }

    pub(super) fn course(&mut self, points: Vec<(f64, f64)>, colour: Colour) {
        self.marks.push(Mark::Course { points, colour });
    }

    /// Writes a text with its foot at a point; what is wider than `room` is cut in its middle.
    pub(super) fn text(&mut self, at: (f64, f64), room: f64, text: &str, style: Style) {
        let text = plain(&cut(text, letters(room, style.size)));
        self.marks.push(Mark::Text { at, text, style });
    }

    /// Squares with what their colours mean, from left to right, in as many rows as they need.
    pub(super) fn legend(&mut self, foot: f64, entries: &[(Colour, String)]) {
        let (mut x, mut y) = (MARGIN, foot);
        for (colour, words) in entries {
            let width = width(words, 22.0) + 34.0;
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + 32.0);
            }
            self.rect((x, y - 17.0), (18.0, 18.0), *colour, 1.0);
            self.text((x + 26.0, y), WIDTH - MARGIN - x - 26.0, words, Style::of(22.0).in_muted_colour());
            x += width + 20.0;
        }
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

/// Drops what changes the direction of writing or is no letter at all.
fn plain(text: &str) -> String {
    let kept = |c: char| match c {
        '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => None,
        c if c.is_control() => Some(' '),
        c => Some(c),
    };
    text.chars().filter_map(kept).collect()
}
