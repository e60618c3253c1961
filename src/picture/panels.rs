//! Courses over time: panels one below the other, with lines or columns.

use super::{
    Hue,
    sketch::{Anchor, HEAD, LEGEND, MARGIN, Sketch, Style, TEXT, TRACK, WIDTH, legend_rows},
};

/// A chart of panels that share their time.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    pub title: String,
    pub panels: Vec<Panel>,
    /// Words below the last panel, each with its place as a part of the width.
    pub times: Vec<(f64, String)>,
    pub legend: Vec<(Hue, String)>,
}

/// One panel. Heights are parts of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub title: String,
    /// Words at heights.
    pub marks: Vec<(f64, String)>,
    /// A threshold.
    pub limit: Option<f64>,
    pub content: Content,
}

/// What a panel shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Lines(Vec<Line>),
    Columns(Vec<Column>),
}

/// A course; each of its pieces is unbroken. Points are parts of the width and of the height.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub hue: Hue,
    pub pieces: Vec<Vec<(f64, f64)>>,
}

/// A column with its middle and its height.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub hue: Hue,
    pub at: f64,
    pub height: f64,
    /// Stands above it.
    pub words: String,
}

const PANEL: f64 = 296.0;
/// Above the drawing of a panel, for its title and for what stands on its highest column.
const TITLE: f64 = 66.0;
/// Left of the drawing, for the words at heights.
const LEFT: f64 = 100.0;

impl Panels {
    pub(super) fn sketch(&self) -> Sketch {
        let words = self.legend.iter().map(|(_, words)| words.as_str());
        let legend = match self.legend.is_empty() {
            true => 8.0,
            false => LEGEND + 32.0 * (legend_rows(words) as f64 - 1.0),
        };
        let foot = HEAD + PANEL * self.panels.len() as f64;
        let mut sketch = Sketch::new(foot + 44.0 + legend, &self.title);
        for (index, panel) in self.panels.iter().enumerate() {
            panel.draw(&mut sketch, HEAD + PANEL * index as f64);
        }
        for (at, words) in &self.times {
            let style = Style::of(21.0).in_muted_colour().at(Anchor::Middle);
            sketch.text((across(*at), foot + 26.0), 150.0, words, style);
        }
        let legend: Vec<_> = self.legend.iter().map(|(hue, words)| (hue.colour(), words.clone())).collect();
        sketch.legend(foot + 70.0, &legend);
        sketch
    }
}

/// How large a reading is drawn that stands alone; twice the width of a line is seen on a phone.
const DOT: f64 = 8.0;

fn across(part: f64) -> f64 {
    LEFT + (WIDTH - MARGIN - LEFT) * part.clamp(0.0, 1.0)
}

impl Panel {
    fn draw(&self, sketch: &mut Sketch, top: f64) {
        let (low, high) = (top + PANEL - 8.0, top + TITLE);
        let up = |part: f64| low - (low - high) * part.clamp(0.0, 1.0);
        sketch.text((MARGIN, top + 30.0), WIDTH - 2.0 * MARGIN, &self.title, Style::of(24.0).bold());
        for (height, words) in &self.marks {
            sketch.line((across(0.0), up(*height)), (across(1.0), up(*height)), TRACK, false);
            let style = Style::of(21.0).in_muted_colour().at(Anchor::End);
            sketch.text((LEFT - 10.0, up(*height) + 7.0), LEFT - 14.0, words, style);
        }
        match &self.content {
            Content::Lines(lines) => {
                for Line { hue, pieces } in lines {
                    for piece in pieces {
                        let points: Vec<_> = piece.iter().map(|(x, y)| (across(*x), up(*y))).collect();
                        match points.as_slice() {
                            // A line of one point has no length, so nothing of it would be drawn.
                            [(x, y)] => {
                                let corner = (x - DOT / 2.0, y - DOT / 2.0);
                                sketch.rect(corner, (DOT, DOT), hue.colour(), 1.0);
                            }
                            _ => sketch.course(points, hue.colour()),
                        }
                    }
                }
            }
            Content::Columns(columns) => {
                let width = ((across(1.0) - across(0.0)) / columns.len().max(1) as f64 * 0.72).min(60.0);
                for Column { hue, at, height, words } in columns {
                    let (x, y) = (across(*at), up(*height));
                    sketch.rect((x - width / 2.0, y), (width, low - y), hue.colour(), 1.0);
                    let style = Style::of(20.0).at(Anchor::Middle);
                    sketch.text((x, y - 6.0), width * 1.7, words, style);
                }
            }
        }
        if let Some(limit) = self.limit {
            sketch.line((across(0.0), up(limit)), (across(1.0), up(limit)), TEXT, true);
        }
    }
}
