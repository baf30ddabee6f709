//! Command lines as the Go implementation takes them: a long option may have one dash (`-method
//! CallStart`, `-config=FILE`).

use std::ffi::OsString;

/// Gives every option of `long` that was written with one dash its second one.
pub fn with_two_dashes(
    args: impl Iterator<Item = OsString>,
    long: &[&str],
) -> impl Iterator<Item = OsString> {
    args.map(move |arg| {
        let is_long = arg.to_str().and_then(|text| text.strip_prefix('-')).is_some_and(|option| {
            let name = option.split_once('=').map_or(option, |(name, _)| name);
            long.contains(&name)
        });
        if !is_long {
            return arg;
        }
        let mut dashes = OsString::from("-");
        dashes.push(arg);
        dashes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_as_good_as_two() {
        let args = ["-method", "CallStart", "--params", "{}", "-url=ws://x", "-v", "-", "-metho"];
        let read: Vec<_> =
            with_two_dashes(args.iter().map(OsString::from), &["method", "params", "url"])
                .collect();
        assert_eq!(
            read,
            ["--method", "CallStart", "--params", "{}", "--url=ws://x", "-v", "-", "-metho"]
        );
    }
}
