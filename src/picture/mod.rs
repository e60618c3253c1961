//! Draws charts: figures and worded texts in, PNG out. Pure; knows nothing of nodes or plans.
//!
//! A chart is 720 pixels wide, twice what a phone shows, on a dark ground of its own: it looks the same in a light and
//! in a dark chat.

mod bars;
mod panels;
mod pixels;
mod sketch;

pub(crate) use bars::{Bars, Gauge, Row};
pub(crate) use panels::{Column, Content, Line, Panel, Panels};

use sketch::{Colour, Sketch};

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
    #[error("a chart of {width} x {height} pixels cannot be drawn")]
    Size { width: u32, height: u32 },
    #[error("a chart cannot be written as PNG: {0}")]
    Png(String),
}

impl Hue {
    fn colour(self) -> Colour {
        match self {
            Self::Memory => [0x58, 0xa6, 0xff],
            Self::Load => [0x4a, 0xc2, 0x6b],
            Self::Over => [0xff, 0x6b, 0x6b],
            Self::Plain => [0x8f, 0xa3, 0xb8],
            #[cfg(feature = "sandbox")]
            Self::Warm => [0xe3, 0xb3, 0x41],
        }
    }
}

impl Chart {
    fn sketch(&self) -> Sketch {
        match self {
            Self::Bars(bars) => bars.sketch(),
            Self::Panels(panels) => panels.sketch(),
        }
    }

    /// Returns the chart as PNG. It takes some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// Names the size, or says what the encoder said.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let pixels = pixels::drawn(&self.sketch())?;
        pixels.encode_png().map_err(|error| PictureError::Png(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
