//! A run as a self-contained page.
