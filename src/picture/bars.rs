//! Nodes as bars: how full each is, its thresholds, and how full it was before.

use super::{
    Hue,
    sketch::{Anchor, HEAD, LEGEND, MARGIN, Sketch, Style, TEXT, TRACK, WIDTH, legend_rows, width},
};

/// A chart with one row for each node.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    pub title: String,
    pub rows: Vec<Row>,
    /// What was cut, in words.
    pub more: Option<String>,
    /// What the colours mean.
    pub legend: Vec<(Hue, String)>,
    /// What the marks of the thresholds mean.
    pub mark: String,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub is_over: bool,
    /// The figures in words.
    pub figures: String,
    pub gauges: Vec<Gauge>,
}

/// One resource of a node, each as a part of the whole width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauge {
    pub hue: Hue,
    pub now: f64,
    pub before: Option<f64>,
    pub threshold: f64,
    pub is_over: bool,
}

const ROW: f64 = 92.0;
const BAR: f64 = 15.0;

impl Bars {
    pub(super) fn sketch(&self) -> Sketch {
        let words = self.legend.iter().map(|(_, words)| words.as_str()).chain([self.mark.as_str()]);
        let legend = LEGEND + 32.0 * (legend_rows(words) as f64 - 1.0);
        let more = if self.more.is_some() { 36.0 } else { 0.0 };
        let height = HEAD + ROW * self.rows.len() as f64 + more + legend + 8.0;
        let mut sketch = Sketch::new(height, &self.title);
        for (index, row) in self.rows.iter().enumerate() {
            row.draw(&mut sketch, HEAD + ROW * index as f64);
        }
        let mut y = HEAD + ROW * self.rows.len() as f64;
        if let Some(more) = &self.more {
            sketch.text((MARGIN, y + 24.0), WIDTH - 2.0 * MARGIN, more, Style::of(23.0).in_muted_colour());
            y += 36.0;
        }
        let legend = self.legend.iter().map(|(hue, words)| (hue.colour(), words.clone()));
        let legend: Vec<_> = legend.chain([(TEXT, self.mark.clone())]).collect();
        sketch.legend(y + 28.0, &legend);
        sketch
    }
}

impl Row {
    fn draw(&self, sketch: &mut Sketch, top: f64) {
        let name = if self.is_over { format!("⚠ {}", self.name) } else { self.name.clone() };
        let figures = Style::of(24.0).at(Anchor::End);
        let figures = if self.is_over { figures.with_colour(Hue::Over.colour()) } else { figures };
        let inside = WIDTH - 2.0 * MARGIN;
        let taken = width(&self.figures, 24.0).min(inside * 0.7);
        sketch.text((MARGIN, top + 30.0), inside - taken - 12.0, &name, Style::of(25.0).bold());
        sketch.text((WIDTH - MARGIN, top + 30.0), taken, &self.figures, figures);
        for (index, gauge) in self.gauges.iter().enumerate() {
            gauge.draw(sketch, top + 42.0 + (BAR + 5.0) * index as f64);
        }
    }
}

impl Gauge {
    fn draw(&self, sketch: &mut Sketch, top: f64) {
        let Self { hue, now, before, threshold, is_over } = *self;
        let across = |part: f64| (WIDTH - 2.0 * MARGIN) * part.clamp(0.0, 1.0);
        let hue = if is_over { Hue::Over } else { hue };
        sketch.rect((MARGIN, top), (across(1.0), BAR), TRACK, 1.0);
        if let Some(before) = before {
            sketch.rect((MARGIN, top), (across(before), BAR), hue.colour(), 0.38);
        }
        sketch.rect((MARGIN, top), (across(now), BAR), hue.colour(), 1.0);
        sketch.rect((MARGIN + across(threshold) - 1.5, top - 3.0), (3.0, BAR + 6.0), TEXT, 1.0);
    }
}
