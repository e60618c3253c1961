//! Draws charts: figures and worded texts in, SVG or PNG out. Pure; knows nothing of nodes or plans.
//!
//! A chart is 720 pixels wide, twice what a phone shows, on a dark ground of its own: it looks the same in a light and
//! in a dark chat.

mod bars;
mod panels;
mod svg;

pub(crate) use bars::{Bars, Gauge, Row};
pub(crate) use panels::{Column, Content, Line, Panel, Panels};

use std::sync::Arc;

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg,
};

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// One row for each node.
    Bars(Bars),
    /// Courses over time, one below the other.
    Panels(Panels),
}

/// The colour of a bar or line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    Memory,
    Load,
    /// Over a threshold.
    Over,
    Plain,
    #[cfg(feature = "sandbox")]
    Warm,
}

/// Why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("the SVG of a chart cannot be read")]
    Svg(#[from] usvg::Error),
    #[error("a chart of {width} x {height} pixels cannot be drawn")]
    Size { width: u32, height: u32 },
    #[error("a chart cannot be written as PNG: {0}")]
    Png(String),
}

/// DejaVu Sans and its bold face: Latin, Cyrillic, digits, punctuation and arrows.
const FONTS: [&[u8]; 2] =
    [include_bytes!("fonts/DejaVuSans.ttf"), include_bytes!("fonts/DejaVuSans-Bold.ttf")];

const FAMILY: &str = "DejaVu Sans";

impl Hue {
    fn colour(self) -> &'static str {
        match self {
            Self::Memory => "#58a6ff",
            Self::Load => "#4ac26b",
            Self::Over => "#ff6b6b",
            Self::Plain => "#8fa3b8",
            #[cfg(feature = "sandbox")]
            Self::Warm => "#e3b341",
        }
    }
}

impl Chart {
    /// Returns the chart as SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        match self {
            Self::Bars(bars) => bars.svg(),
            Self::Panels(panels) => panels.svg(),
        }
    }

    /// Returns the chart as PNG. It takes some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// Says what the renderer said.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let mut options = usvg::Options { font_family: FAMILY.into(), ..usvg::Options::default() };
        let fonts = Arc::make_mut(&mut options.fontdb);
        FONTS.into_iter().for_each(|font| fonts.load_font_data(font.to_vec()));
        let tree = usvg::Tree::from_str(&self.svg(), &options)?;
        let size = tree.size().to_int_size();
        let (width, height) = (size.width(), size.height());
        let mut pixels = Pixmap::new(width, height).ok_or(PictureError::Size { width, height })?;
        resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| PictureError::Png(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
