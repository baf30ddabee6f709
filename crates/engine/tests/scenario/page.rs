//! A page of `docs/flows`: a ladder with its messages numbered, and the figure of the RFC beside
//! it, message by message.

use expect_test::ExpectFile;

use crate::world::World;

/// One message of the RFC's figure, or a reason why there are messages that it does not have.
pub(crate) struct Row {
    /// The RFC's message, by its name there; empty when it has none.
    pub(crate) rfc: &'static str,
    /// The numbers of our messages that stand for it.
    pub(crate) ours: &'static [usize],
    /// What is different, and why. Empty when nothing is.
    pub(crate) why: &'static str,
}

/// Compares the page with the file. Each message of the ladder must be in exactly one row.
pub(crate) fn check(world: &World, head: &str, rows: &[Row], file: &ExpectFile) {
    let (ladder, messages) = numbered(&world.ladder.to_string());
    let mut listed: Vec<usize> = rows.iter().flat_map(|row| row.ours).copied().collect();
    listed.sort_unstable();
    let all: Vec<usize> = (1..=messages.len()).collect();
    assert_eq!(listed, all, "each message is compared once\n{ladder}");

    let mut page = format!("{}\n\n{ladder}\n", head.trim());
    page +=
        "Message by message. An empty left column is a message that the RFC's figure lacks.\n\n";
    for row in rows {
        let ours = row.ours.iter().map(|number| format!("{number} {}", messages[number - 1]));
        let ours = ours.collect::<Vec<_>>();
        let lines = lines(&ours.join(", "), 40);
        for (index, line) in lines.iter().enumerate() {
            let rfc = if index == 0 { row.rfc } else { "" };
            page += format!("{rfc:<36} {line}").trim_end();
            page.push('\n');
        }
        for line in self::lines(row.why, 86) {
            page += &format!("      {line}\n");
        }
        page.push('\n');
    }
    file.assert_eq(&format!("{}\n", page.trim_end()));
}

/// The ladder with a number before each message, and the messages' labels.
fn numbered(ladder: &str) -> (String, Vec<String>) {
    let (mut text, mut messages) = (String::new(), Vec::new());
    for line in ladder.lines() {
        let label = line.split('|').find(|cell| cell.contains("--"));
        let number = label.map(|label| {
            let label = label.trim_matches(|c: char| "<->x ".contains(c));
            messages.push(label.to_owned());
            messages.len().to_string()
        });
        text += format!("{:>3}  {line}", number.unwrap_or_default()).trim_end();
        text.push('\n');
    }
    (text, messages)
}

/// Text in lines of this many characters.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.len() + 1 + word.len() <= width) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
