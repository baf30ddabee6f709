//! The headers that this crate interprets, one file each. Each type borrows from the value that it
//! was read from, and is read when asked for.

pub(crate) mod cseq;
pub(crate) mod event;
pub(crate) mod name_addr;
pub(crate) mod params;
pub(crate) mod replaces;
pub(crate) mod subscription_state;
pub(crate) mod via;

/// Reads text that the grammar keeps to ASCII or UTF-8.
pub(crate) fn text(bytes: &[u8], fault: crate::ParseError) -> Result<&str, crate::ParseError> {
    str::from_utf8(bytes).map_err(|_| fault)
}
