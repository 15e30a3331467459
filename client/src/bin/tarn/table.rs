//! Small tables without lines, as quiet as `ls`. Numbers stand right.

use std::fmt;

use comfy_table::{CellAlignment, presets};

/// A table being filled row by row.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Words.
    Text(&'static str),
    /// Numbers.
    Number(&'static str),
}

impl Table {
    /// A table with these columns and no rows.
    pub(crate) fn new(columns: &[Column]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.iter().map(|column| match column {
            Column::Text(heading) | Column::Number(heading) => *heading,
        }));
        for (column, wanted) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match wanted {
                Column::Text(_) => CellAlignment::Left,
                Column::Number(_) => CellAlignment::Right,
            });
        }
        Self(table)
    }

    /// A table of words with these headings and no rows.
    pub(crate) fn with_headings(headings: impl IntoIterator<Item = String>) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(headings);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    /// Adds a row: one cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells.into_iter().map(|cell| printable(&cell)));
    }
}

/// Nothing that a file's name or a server says may move the terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_rows_end_where_their_words_do() {
        let mut table =
            Table::new(&[Column::Text("NAME"), Column::Number("SIZE"), Column::Text("")]);
        table.row(["a".to_owned(), "1000".to_owned(), "x".to_owned()]);
        table.row(["long\u{1b}name".to_owned(), "7".to_owned(), String::new()]);
        assert_eq!(
            table.to_string(),
            "NAME       SIZE\na          1000  x\nlong\u{fffd}name     7"
        );
    }
}
