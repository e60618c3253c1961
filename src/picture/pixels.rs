//! Draws a picture's marks.

use std::sync::LazyLock;

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};
use ttf_parser::{
    Face, GlyphId, OutlineBuilder,
    gpos::{PairAdjustment, PositioningSubtable},
};

use super::{
    PictureError,
    sketch::{Anchor, Colour, Mark, Sketch, Style, WIDTH},
};

/// DejaVu Sans and its bold face: Latin, Cyrillic, digits, punctuation and arrows.
const FONTS: [&[u8]; 2] =
    [include_bytes!("fonts/DejaVuSans.ttf"), include_bytes!("fonts/DejaVuSans-Bold.ttf")];

/// The two faces, the bold one last.
static FACES: LazyLock<Vec<Face<'static>>> =
    LazyLock::new(|| FONTS.into_iter().filter_map(|font| Face::parse(font, 0).ok()).collect());

/// The radius of a rectangle's corners.
const CORNER: f64 = 3.0;

/// How far a curve's handles are from the ends of a quarter of a circle of radius 1.
const QUARTER: f64 = 0.552_284_75;

const LINE: f32 = 3.0;
const COURSE: f32 = 4.0;

/// A dash and the gap behind it.
const DASH: [f32; 2] = [9.0, 7.0];

pub(super) fn drawn(sketch: &Sketch) -> Result<Pixmap, PictureError> {
    // A few thousand at most.
    let [width, height] = [WIDTH, sketch.height].map(|length| length.max(0.0).ceil() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or(PictureError::Size { width, height })?;
    for mark in &sketch.marks {
        match mark {
            Mark::Rect { at, size, colour, opacity } => {
                fill(&mut pixels, rounded(*at, *size), *colour, *opacity);
            }
            Mark::Line { from, to, colour, dashed } => {
                let dash = dashed.then(|| StrokeDash::new(DASH.to_vec(), 0.0)).flatten();
                let stroke = Stroke { width: LINE, dash, ..Stroke::default() };
                trace(&mut pixels, &[*from, *to], *colour, &stroke);
            }
            Mark::Course { points, colour } => {
                let (line_cap, line_join) = (LineCap::Round, LineJoin::Round);
                let stroke = Stroke { width: COURSE, line_cap, line_join, ..Stroke::default() };
                trace(&mut pixels, points, *colour, &stroke);
            }
            Mark::Text { at, text, style } => {
                fill(&mut pixels, letters(*at, text, *style), style.colour, 1.0)
            }
        }
    }
    Ok(pixels)
}

fn fill(pixels: &mut Pixmap, path: Option<Path>, colour: Colour, opacity: f64) {
    if let Some(path) = path {
        pixels.fill_path(&path, &paint(colour, opacity), FillRule::Winding, Transform::identity(), None);
    }
}

fn trace(pixels: &mut Pixmap, points: &[(f64, f64)], colour: Colour, stroke: &Stroke) {
    let mut path = PathBuilder::new();
    for (index, (x, y)) in points.iter().enumerate() {
        match index {
            0 => path.move_to(*x as f32, *y as f32),
            _ => path.line_to(*x as f32, *y as f32),
        }
    }
    if let Some(path) = path.finish() {
        pixels.stroke_path(&path, &paint(colour, 1.0), stroke, Transform::identity(), None);
    }
}

fn paint(colour: Colour, opacity: f64) -> Paint<'static> {
    let [red, green, blue] = colour;
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(red, green, blue, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8));
    paint
}

/// A rectangle with round corners; nothing where it has no area.
fn rounded((x, y): (f64, f64), (width, height): (f64, f64)) -> Option<Path> {
    let [left, top, right, bottom] = [x, y, x + width, y + height].map(|length| length as f32);
    Rect::from_ltrb(left, top, right, bottom).filter(|rect| rect.width() > 0.0 && rect.height() > 0.0)?;
    let radius = CORNER.min(width / 2.0).min(height / 2.0);
    let (r, h) = (radius as f32, (radius * (1.0 - QUARTER)) as f32);
    let mut path = PathBuilder::new();
    path.move_to(left + r, top);
    path.line_to(right - r, top);
    path.cubic_to(right - h, top, right, top + h, right, top + r);
    path.line_to(right, bottom - r);
    path.cubic_to(right, bottom - h, right - h, bottom, right - r, bottom);
    path.line_to(left + r, bottom);
    path.cubic_to(left + h, bottom, left, bottom - h, left, bottom - r);
    path.line_to(left, top + r);
    path.cubic_to(left, top + h, left + h, top, left + r, top);
    path.close();
    path.finish()
}

/// The outlines of a text.
fn letters((x, foot): (f64, f64), text: &str, style: Style) -> Option<Path> {
    let glyphs = glyphs(text, style);
    let width: f64 = glyphs.iter().map(|glyph| glyph.advance).sum();
    let mut x = begins_at(x, width, style.anchor);
    let mut path = PathBuilder::new();
    for Glyph { face, id, scale, advance } in glyphs {
        face.outline_glyph(id, &mut Pen { path: &mut path, x, foot, scale });
        x += advance;
    }
    path.finish()
}

/// Where a text of that width begins: at its point as it stands there, but within the picture.
pub(super) fn begins_at(x: f64, width: f64, anchor: Anchor) -> f64 {
    let wanted = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x - width,
    };
    wanted.min(WIDTH - width).max(0.0)
}

/// How wide a text is.
#[cfg(test)]
pub(super) fn width(text: &str, style: Style) -> f64 {
    glyphs(text, style).iter().map(|glyph| glyph.advance).sum()
}

struct Glyph {
    face: &'static Face<'static>,
    id: GlyphId,
    /// Pixels for each of the font's units.
    scale: f64,
    /// From this letter to the next one.
    advance: f64,
}

/// What stands for each letter: of the face that is asked for, else of the other one, else the sign for what is not in a
/// font.
fn glyphs(text: &str, style: Style) -> Vec<Glyph> {
    let faces: Vec<&Face<'_>> =
        if style.bold { FACES.iter().rev().collect() } else { FACES.iter().collect() };
    let glyph = |letter: char| {
        let known = faces.iter().find_map(|face| Some((*face, face.glyph_index(letter)?)));
        let (face, id) = known.or_else(|| Some((*faces.first()?, GlyphId(0))))?;
        let scale = style.size / f64::from(face.units_per_em());
        Some(Glyph { face, id, scale, advance: scale * f64::from(face.glyph_hor_advance(id).unwrap_or(0)) })
    };
    let mut glyphs: Vec<Glyph> = text.chars().filter_map(glyph).collect();
    for index in 1..glyphs.len() {
        let (next, before) = (glyphs[index].id, &mut glyphs[index - 1]);
        before.advance += before.scale * f64::from(kerning(before.face, before.id, next));
    }
    glyphs
}

/// How much farther than usual the second letter stands, in the font's units: mostly less than 0.
fn kerning(face: &Face<'_>, first: GlyphId, second: GlyphId) -> i16 {
    let lookups = face.tables().gpos.into_iter().flat_map(|table| table.lookups);
    let mut tables = lookups.flat_map(|lookup| lookup.subtables.into_iter::<PositioningSubtable<'_>>());
    let moved = |table: PositioningSubtable<'_>| {
        let PositioningSubtable::Pair(pairs) = table else { return None };
        let index = pairs.coverage().get(first)?;
        let (value, _) = match pairs {
            PairAdjustment::Format1 { sets, .. } => sets.get(index)?.get(second)?,
            PairAdjustment::Format2 { classes, matrix, .. } => {
                matrix.get((classes.0.get(first), classes.1.get(second)))?
            }
        };
        Some(value.x_advance)
    };
    tables.find_map(moved).unwrap_or(0)
}

/// Writes a glyph into a path. A font counts upwards and a picture downwards.
struct Pen<'a> {
    path: &'a mut PathBuilder,
    x: f64,
    foot: f64,
    scale: f64,
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        ((self.x + f64::from(x) * self.scale) as f32, (self.foot - f64::from(y) * self.scale) as f32)
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
