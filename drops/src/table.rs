//! What was tried, operation by operation, for the end of a test's output. Fails nothing by itself.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::{SaidIfItPanics, Tried, drop_at_every_poll, drop_at_every_turn};

/// The operations of one test. Printed when it goes, whether or not the test's output is shown.
#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    operation: String,
    unit: &'static str,
    tried: Tried,
}

impl Table {
    /// Nothing was tried yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Drops an operation at its every poll: see [`drop_at_every_poll`].
    pub async fn polls<F: Future>(
        &mut self,
        operation: &str,
        make: impl AsyncFnMut() -> F,
        after: impl AsyncFnMut(Option<F::Output>),
    ) {
        let _said = SaidIfItPanics(operation);
        let tried = drop_at_every_poll(make, after).await;
        self.add(operation, "polls", tried);
    }

    /// Drops an operation at every turn of the runtime: see [`drop_at_every_turn`].
    pub async fn turns<F: Future>(
        &mut self,
        operation: &str,
        make: impl AsyncFnMut() -> F,
        after: impl AsyncFnMut(Option<F::Output>),
    ) {
        let _said = SaidIfItPanics(operation);
        let tried = drop_at_every_turn(make, after).await;
        self.add(operation, "turns", tried);
    }

    /// Adds what was tried in a way of the test's own.
    pub fn add(&mut self, operation: &str, unit: &'static str, tried: Tried) {
        self.rows.push(Row { operation: operation.to_owned(), unit, tried });
    }

    fn text(&self) -> String {
        let drops: usize = self.rows.iter().map(|row| row.tried.drops).sum();
        let mut text = format!("\n{}: {} operations, {drops} drops\n", self.title, self.rows.len());
        for Row { operation, unit, tried } in &self.rows {
            let Tried { polls, drops } = tried;
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {operation:<52} {polls:>5} {unit}  {drops:>5} drops");
        }
        text
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // Past the harness, which shows only what failing tests print.
        let _ = std::io::stdout().lock().write_all(self.text().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_sums_up_what_was_tried() {
        let mut table = Table::new("a made-up table");
        table.add("read", "polls", Tried { polls: 2, drops: 3 });
        table.add("write", "turns", Tried { polls: 40, drops: 40 });
        let text = table.text();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a", "made-up", "table:", "2", "operations,", "43", "drops"]);
        assert_eq!(lines[2], ["read", "2", "polls", "3", "drops"]);
        assert_eq!(lines[3], ["write", "40", "turns", "40", "drops"]);
    }
}
