//! A machine's debug text, written down without what no longer decides anything: the machines keep their state to
//! themselves, and this is all of it that they show.

use std::fmt::Write;

/// Writes `text`, the debug text of a machine whose clock shows `now`, without its troubles, without its servermap
/// unless it `looks` at it, and with every moment as it is seen from now, in units of `grain`.
pub(super) fn write(out: &mut impl Write, text: &str, now: u64, grain: u64, looks: bool) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}|", away(now, 0, grain));
    let mut rest = text;
    while let Some(at) = next_mark(rest) {
        let (plain, marked) = rest.split_at(at);
        let _ = out.write_str(plain);
        rest = if let Some(after) = marked.strip_prefix(MOMENT) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let moment = after[..digits].parse().unwrap_or(u64::MAX);
            let _ = write!(out, "@{}", away(moment, now, grain));
            &after[digits..]
        } else if let Some(after) = marked.strip_prefix(TROUBLES) {
            skip_braces(after)
        } else if let Some(after) = marked.strip_prefix(SERVERMAP) {
            if looks {
                let _ = out.write_str(SERVERMAP);
                after
            } else {
                skip_braces(after)
            }
        } else {
            // No mark after all: one character at a time.
            let _ = out.write_str(&marked[..1]);
            &marked[1..]
        };
    }
    let _ = out.write_str(rest);
}

const MOMENT: &str = "Millis(";
const TROUBLES: &str = "troubles: {";
const SERVERMAP: &str = "servermap: ServerMap {";

/// The next place where a mark may begin.
fn next_mark(text: &str) -> Option<usize> {
    text.bytes().position(|byte| matches!(byte, b'M' | b't' | b's'))
}

/// What follows the closing brace of what was opened before `text`.
fn skip_braces(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return &text[at + 1..];
                }
            }
            _ => {}
        }
    }
    ""
}

/// How far a moment is away, to the nearest multiple of `grain`; what is past is negative.
pub(super) fn away(moment: u64, now: u64, grain: u64) -> i64 {
    let (moment, now, grain) = (i128::from(moment), i128::from(now), i128::from(grain.max(1)));
    let away = (2 * (moment - now) + grain).div_euclid(2 * grain);
    i64::try_from(away).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, now: u64, looks: bool) -> String {
        let mut out = String::new();
        write(&mut out, text, now, 100, looks);
        out
    }

    #[test]
    fn moments_are_told_from_now() {
        let text = |at: u64| format!("Machine {{ now: Millis({}), late: Millis({at}) }}", at - 500);
        assert_eq!(written(&text(700), 200, true), "2|Machine { now: @0), late: @5) }");
        assert_eq!(written(&text(513), 13, true), "0|Machine { now: @0), late: @5) }");
        assert_ne!(written(&text(513), 13, true), written(&text(600), 13, true));
    }

    #[test]
    fn what_decides_nothing_is_left_out() {
        let text =
            r#"M { servermap: ServerMap { a: {1: "}\""} }, troubles: {2: T { s: 1 }}, k: 3 }"#;
        assert_eq!(written(text, 0, false), "0|M { , , k: 3 }");
        assert_eq!(
            written(text, 0, true),
            r#"0|M { servermap: ServerMap { a: {1: "}\""} }, , k: 3 }"#
        );
    }
}
