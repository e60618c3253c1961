//! Columns that line up, and texts that cannot steer a terminal.

use unicode_width::UnicodeWidthStr as _;

pub(super) use crate::talk::words::format::printable;

/// Rows of cells; each column is as wide as its widest cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// A table that is indented by this many blanks.
    pub(super) fn indented(indent: usize) -> Self {
        Self { rows: Vec::new(), indent }
    }

    pub(super) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.into())).collect());
    }
}

impl Table {
    /// Writes the rows. Where a row is wider than `width` columns, its last cell goes on below itself, or below the
    /// row where nothing is left beside it; `None` for no limit.
    pub(super) fn fitted(&self, width: Option<usize>) -> String {
        self.fitted_on(&mut Vec::new(), width)
    }

    /// As [`Self::fitted`], below a table whose columns have these widths; they grow where a cell is wider.
    pub(super) fn fitted_on(&self, widths: &mut Vec<usize>, width: Option<usize>) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
        widths.resize(columns.max(widths.len()), 0);
        for (column, before) in widths.iter_mut().enumerate() {
            *before = widest(column).unwrap_or_default().max(*before);
        }
        let mut text = String::new();
        for row in &self.rows {
            let Some((last, front)) = row.split_last() else { continue };
            let mut line = " ".repeat(self.indent);
            for (cell, width) in front.iter().zip(&*widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width() + GAP));
            }
            let at = line.width();
            match width {
                Some(width) if at + last.width() > width && width < at + LAST_MIN => {
                    let at = self.indent + 2 * GAP;
                    text.extend([line.trim_end(), "\n", &" ".repeat(at)]);
                    text.push_str(&wrapped(last, at, width));
                }
                Some(width) => text.extend([&line, wrapped(last, at, width).as_str()]),
                None => text.extend([&line, last.as_str()]),
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

/// Breaks a text between words, so that it stands between the columns `at` and `width`.
fn wrapped(text: &str, at: usize, width: usize) -> String {
    let (mut lines, mut used) = (String::new(), at);
    for word in text.split(' ') {
        if used > at && used + 1 + word.width() > width {
            lines.extend(["\n", &" ".repeat(at)]);
            used = at;
        } else if used > at {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += word.width();
    }
    lines
}

/// With fewer columns than this beside the others, the last one goes below them.
const LAST_MIN: usize = 30;

/// The width of the terminal; `None` where the output goes elsewhere.
pub(super) fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Blanks between columns.
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::indented(1);
        table.row(["узел-1", "a"]);
        table.row(["ノード", "b"]);
        table.row(["x"]);
        assert_eq!(table.fitted(None), " узел-1  a\n ノード  b\n x\n");
    }

    #[test]
    fn a_row_fits_the_terminal() {
        let mut table = Table::indented(2);
        table.row(["vmmanager", "a sentence of some words that is long"]);
        let beside = "  vmmanager  a sentence of some words that\n             is long\n";
        assert_eq!(table.fitted(Some(43)), beside);
        let below = "  vmmanager\n      a sentence of\n      some words\n      that is long\n";
        assert_eq!(table.fitted(Some(20)), below);
        assert_eq!(table.fitted(Some(100)), table.fitted(None));
        assert_eq!(wrapped("unbreakable", 2, 5), "unbreakable");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d"), "a?[2Jb?c?d");
    }
}
