//! Runs as people see them: [`text`] for a terminal, [`html`] for a browser. Both are drawn from a trace by playing it
//! again; nothing here prints, and nothing is decided.

mod headline;
mod names;
mod story;
mod teller;
mod view;
mod words;

pub mod html;
pub mod text;

#[cfg(test)]
mod tests;
