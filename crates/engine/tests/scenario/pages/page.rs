//! Writes a page: a ladder with its messages numbered, and the comparison under it.

use expect_test::ExpectFile;

use crate::world::World;

/// A message of the RFC's figure, or a difference.
pub(crate) struct Row {
    /// The RFC's message, by its name there; empty when the figure has none.
    pub(crate) rfc: &'static str,
    /// The numbers of our messages that stand for it.
    pub(crate) ours: &'static [usize],
    /// What is different, and why. Empty when nothing is.
    pub(crate) why: &'static str,
}

/// Characters of the RFC's column.
const RFC: usize = 42;

/// Compares the page with the file. Each message of the ladder is in one row, and a message that the
/// RFC does not have is in a row that says why, unless it is only provisional.
pub(crate) fn check(world: &World, head: &str, rows: &[Row], file: &ExpectFile) {
    check_ladder(&world.ladder.to_string(), head, rows, file);
}

/// The same for a part of what happened.
pub(crate) fn check_ladder(ladder: &str, head: &str, rows: &[Row], file: &ExpectFile) {
    let (ladder, messages) = numbered(ladder);
    let mut listed: Vec<usize> = rows.iter().flat_map(|row| row.ours).copied().collect();
    listed.sort_unstable();
    let all: Vec<usize> = (1..=messages.len()).collect();
    assert_eq!(listed, all, "each message is compared once\n{ladder}");

    let mut page = format!("{head}\n\n{ladder}\n");
    page += "Message by message: the RFC's on the left, ours by their numbers on the right.\n\n";
    for row in rows {
        let ours: Vec<&str> = row.ours.iter().map(|number| &*messages[number - 1]).collect();
        let provisional = ours.iter().all(|message| message.contains(" 1"));
        assert!(!(row.rfc.is_empty() && row.why.is_empty()) || provisional, "why {ours:?}?");
        let rfc = if row.rfc.is_empty() { "-" } else { row.rfc };
        let ours = if ours.is_empty() { "none".to_owned() } else { ours.join(", ") };
        for (index, line) in wrapped(&ours, 100 - RFC).iter().enumerate() {
            let rfc = if index == 0 { rfc } else { "" };
            page += format!("{rfc:<RFC$}{line}").trim_end();
            page.push('\n');
        }
        for line in wrapped(row.why, 94) {
            page += &format!("      {line}\n");
        }
        page.push('\n');
    }
    file.assert_eq(&format!("{}\n", page.trim_end()));
}

/// The ladder with a number before each message, and the messages by number and label.
fn numbered(ladder: &str) -> (String, Vec<String>) {
    let (mut text, mut messages) = (String::new(), Vec::new());
    for line in ladder.lines() {
        let label = line.split('|').find(|cell| cell.contains("--"));
        let number = label.map_or(String::new(), |label| {
            let number = messages.len() + 1;
            messages.push(format!("{number} {}", label.trim_matches(['<', '-', '>', ' '])));
            number.to_string()
        });
        text += format!("{number:>3}  {line}").trim_end();
        text.push('\n');
    }
    (text, messages)
}

/// Text in lines of this many characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.len() + 1 + word.len() <= width) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
