//! Writes a page: a ladder with its messages numbered, and under it the comparison with the figure of an
//! RFC. Nothing may be left out of it on either side, and nothing may differ without a reason.

use expect_test::ExpectFile;

use crate::world::World;

/// A message of an RFC's figure.
pub(crate) struct Said {
    /// Its name there, if it has one.
    pub(crate) name: &'static str,
    /// Method or status, and what else the figure says of it.
    pub(crate) what: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

/// The messages of an RFC's figure, in order.
pub(crate) type Figure = &'static [Said];

/// Messages that stand for each other, or a difference.
pub(crate) struct Row {
    /// The RFC's messages, by their place in the figure; none where it has none.
    pub(crate) rfc: &'static [usize],
    /// The numbers of our messages that stand for them.
    pub(crate) ours: &'static [usize],
    /// What is different, and why. Empty when nothing is.
    pub(crate) why: &'static str,
}

/// Characters of the RFC's column.
const RFC: usize = 42;
const PAGE: usize = 100;

/// Compares the page with the file.
pub(crate) fn check(world: &World, head: &str, figure: Figure, rows: &[Row], file: &ExpectFile) {
    check_ladder(&world.ladder.to_string(), head, figure, rows, file);
}

/// The same for a part of what happened.
pub(crate) fn check_ladder(
    ladder: &str,
    head: &str,
    figure: Figure,
    rows: &[Row],
    file: &ExpectFile,
) {
    let (ladder, messages) = numbered(ladder);
    let all = 1..=messages.len();
    let listed = sorted(rows.iter().flat_map(|row| row.ours));
    assert!(listed.iter().copied().eq(all), "each message once, not {listed:?}\n{ladder}");
    let covered = sorted(rows.iter().flat_map(|row| row.rfc));
    assert!(covered.is_sorted_by(|a, b| a < b), "each of the RFC's once, not {covered:?}");
    let is_whole = covered.iter().copied().eq(1..=figure.len());
    assert!(is_whole || head.contains("left out"), "where is the rest of the figure? {covered:?}");
    for (at, row) in rows.iter().enumerate() {
        let differs = difference(row, figure, &messages) || overtakes(row, &rows[..at]);
        assert!(!differs || !row.why.is_empty(), "why {:?} {:?}?\n{ladder}", row.rfc, row.ours);
    }

    let mut page = format!("{head}\n\n{ladder}\n");
    page += "Message by message: the RFC's on the left, ours by their numbers on the right.\n\n";
    for row in rows {
        let ours = row.ours.iter().map(|number| format!("{number} {}", messages[number - 1]));
        let ours = ours.collect::<Vec<_>>().join(", ");
        let or = |text: String, none: &str| if text.is_empty() { none.to_owned() } else { text };
        let left = wrapped(&or(spelled(figure, row.rfc), "-"), RFC - 2);
        let right = wrapped(&or(ours, "none"), PAGE - RFC);
        for index in 0..left.len().max(right.len()) {
            let [left, right] =
                [&left, &right].map(|column| column.get(index).map_or("", String::as_str));
            page += format!("{left:<RFC$}{right}").trim_end();
            page.push('\n');
        }
        for line in wrapped(row.why, PAGE - 6) {
            page += &format!("      {line}\n");
        }
        page.push('\n');
    }
    file.assert_eq(&format!("{}\n", page.trim_end()));
}

/// Whether one side has a message that the other has not. Where the RFC leaves out what is provisional,
/// nothing is different.
fn difference(row: &Row, figure: Figure, messages: &[String]) -> bool {
    let kinds = |what: &mut dyn Iterator<Item = &str>| {
        let mut kinds: Vec<String> =
            what.filter_map(|what| what.split(' ').next()).map(str::to_owned).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    let rfc = kinds(&mut row.rfc.iter().map(|at| figure[at - 1].what));
    let ours = kinds(&mut row.ours.iter().map(|number| &*messages[number - 1]));
    rfc != ours && !(rfc.is_empty() && ours.iter().all(|kind| kind.starts_with('1')))
}

/// Whether the order is another one than the RFC's: ours come before those of a row that is earlier
/// there.
fn overtakes(row: &Row, before: &[Row]) -> bool {
    let before = before.iter().filter(|other| other.rfc.last() < row.rfc.first());
    let before = before.filter_map(|other| other.ours.first().filter(|_| other.why.is_empty()));
    !row.rfc.is_empty() && before.max() > row.ours.first() && !row.ours.is_empty()
}

fn sorted<'a>(numbers: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let mut numbers: Vec<usize> = numbers.copied().collect();
    numbers.sort_unstable();
    numbers
}

/// Messages of a figure: those that go on with the same to the next one's hop as one.
fn spelled(figure: Figure, places: &[usize]) -> String {
    let said: Vec<&Said> = places.iter().map(|place| &figure[place - 1]).collect();
    let hops = said.chunk_by(|one, next| one.what == next.what && one.to == next.from);
    let spelled = hops.map(|hops| {
        let names: Vec<&str> =
            hops.iter().map(|said| said.name).filter(|name| !name.is_empty()).collect();
        let name = names.join(", ");
        let way: String = hops.iter().map(|said| format!(" -> {}", said.to)).collect();
        format!("{name} {}, {}{way}", hops[0].what, hops[0].from).trim_start().to_owned()
    });
    spelled.collect::<Vec<_>>().join("; ")
}

/// The ladder with a number before each message, and the messages by their labels.
fn numbered(ladder: &str) -> (String, Vec<String>) {
    let (mut text, mut messages) = (String::new(), Vec::new());
    for line in ladder.lines() {
        let label = line.split('|').find(|cell| cell.contains("--"));
        let number = label.map_or(String::new(), |label| {
            // A message that is lost ends in a cross.
            let arrow = label.trim();
            let arrow = arrow.strip_suffix("-x").or(arrow.strip_prefix("x-")).unwrap_or(arrow);
            messages.push(arrow.trim_matches(['<', '-', '>', ' ']).to_owned());
            messages.len().to_string()
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
