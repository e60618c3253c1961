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
    pub(super) fn with_indent(indent: usize) -> Self {
        Self { rows: Vec::new(), indent }
    }

    pub(super) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.into())).collect());
    }
}

impl Table {
    /// Writes the rows. Where a row is wider than `width` columns, its last cell goes on below itself. Where too little
    /// is left beside the others, the cells that have no room go on below the row. `None` for no limit.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        self.fitted_on(&mut Vec::new(), width)
    }

    /// As [`Self::render`], below a table whose columns have these widths; they grow where a cell is wider.
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
            let has_room_beside = |width: usize| at + last.width() <= width || at + LAST_MIN <= width;
            match width {
                Some(width) if line.trim_end().width() > width || !has_room_beside(width) => {
                    text.push_str(&self.render_broken_row(row, widths, width));
                }
                Some(width) => text.extend([&line, wrap(last, at, width).as_str()]),
                None => text.extend([&line, last.as_str()]),
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

impl Table {
    /// Writes the cells of a row that have room in it, and the others below.
    fn render_broken_row(&self, row: &[String], widths: &[usize], width: usize) -> String {
        let mut line = " ".repeat(self.indent);
        let fits = |line: &str, cell: &str| line.width() + cell.width() <= width;
        let mut cells = row.iter().zip(widths).peekable();
        while let Some((cell, column)) = cells.next_if(|(cell, _)| fits(&line, cell)) {
            line.push_str(cell);
            line.push_str(&" ".repeat(column - cell.width() + GAP));
        }
        let at = self.indent + 2 * GAP;
        let rest = cells.map(|(cell, _)| cell.as_str()).filter(|cell| !cell.is_empty());
        let rest = wrap(&rest.collect::<Vec<_>>().join(&" ".repeat(GAP)), at, width);
        format!("{}\n{}{rest}", line.trim_end(), " ".repeat(at))
    }
}

/// Breaks a text between words, so that it stands between the columns `at` and `width`.
fn wrap(text: &str, at: usize, width: usize) -> String {
    let (mut lines, mut used) = (String::new(), at);
    for word in text.split(' ') {
        if used > at && used + 1 + word.width() > width {
            // Two blanks stand between cells.
            lines.truncate(lines.trim_end().len());
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
        let mut table = Table::with_indent(1);
        table.row(["узел-1", "a"]);
        table.row(["ノード", "b"]);
        table.row(["x"]);
        assert_eq!(table.render(None), " узел-1  a\n ノード  b\n x\n");
    }

    #[test]
    fn a_row_fits_the_terminal() {
        let mut table = Table::with_indent(2);
        table.row(["vmmanager", "a sentence of some words that is long"]);
        let beside = "  vmmanager  a sentence of some words that\n             is long\n";
        assert_eq!(table.render(Some(43)), beside);
        let below = "  vmmanager\n      a sentence of\n      some words\n      that is long\n";
        assert_eq!(table.render(Some(20)), below);
        assert_eq!(table.render(Some(100)), table.render(None));
        let mut table = Table::with_indent(1);
        table.row(["1.", "web-1 (1001)", "kvm-01 -> kvm-02", "memory 78.1 % > 70 %", ""]);
        table.row(["2.", "a", "kvm-01 -> kvm-02", "memory", "DONE"]);
        let below = " 1.  web-1 (1001)\n     kvm-01 -> kvm-02\n     memory 78.1 % >\n     70 %\n \
                     2.  a\n     kvm-01 -> kvm-02\n     memory  DONE\n";
        assert_eq!(table.render(Some(22)), below, "no cell is cut and no line is longer");
        assert_eq!(wrap("unbreakable", 2, 5), "unbreakable");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d"), "a?[2Jb?c?d");
    }
}
