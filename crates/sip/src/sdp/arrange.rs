//! Media sections in another order.
//!
//! A third party that joins two calls passes an offer of one dialog into another, but within a
//! dialog the sections must keep their places (RFC 3264 §8): so an offer is rearranged to fit the
//! dialog it goes into (RFC 3725 §7), and the answer is put back in the order of the offer.

use super::Sdp;
use super::edit::end_line;
use super::parts::{Line, Parts};
use crate::error::{ErrorKind, ParseError};

/// Places the sections of `sdp` where a dialog has sections of these kinds (`slots`, as in
/// `["audio", "video"]`): a kind that `sdp` lacks becomes a disabled section, and sections without
/// a slot follow at the end. Also returns for each section of the result which one of `sdp` it is,
/// for [`restored`].
pub fn arranged(sdp: &[u8], slots: &[&str]) -> Result<(Vec<u8>, Vec<Option<usize>>), ParseError> {
    let (parsed, parts) = (Sdp::parse(sdp)?, Parts::of(sdp)?);
    let kinds: Vec<_> = parsed.media().map(|media| media.kind).collect();
    let mut order: Vec<Option<usize>> = Vec::with_capacity(kinds.len() + slots.len());
    for slot in slots {
        let fits = |at: &usize| kinds[*at] == *slot && !order.contains(&Some(*at));
        order.push((0..kinds.len()).find(fits));
    }
    let extra: Vec<_> = (0..kinds.len()).map(Some).filter(|at| !order.contains(at)).collect();
    order.extend(extra);

    let mut copy = Vec::with_capacity(sdp.len() + 32 * slots.len());
    push(&mut copy, &parts.session);
    for (at, source) in order.iter().enumerate() {
        match source {
            Some(source) => push(&mut copy, &parts.media[*source]),
            None => push_disabled(&mut copy, slots[at]),
        }
    }
    Ok((copy, order))
}

/// The answer to an offer that was [`arranged`], put back into the offer's own order. `order` is what
/// `arranged` returned, `media_count` how many sections the offer had.
pub fn restored(
    answer: &[u8],
    order: &[Option<usize>],
    media_count: usize,
) -> Result<Vec<u8>, ParseError> {
    let parts = Parts::of(answer)?;
    let mut copy = Vec::with_capacity(answer.len());
    push(&mut copy, &parts.session);
    for at in 0..media_count {
        // An answer has a section for each one of the offer (RFC 3264 §6).
        let section = order.iter().position(|source| *source == Some(at));
        let section = section.and_then(|section| parts.media.get(section));
        push(&mut copy, section.ok_or(ParseError::new(ErrorKind::Sdp, answer.len()))?);
    }
    Ok(copy)
}

/// The answer that refuses every stream of an offer (RFC 3264 §6), for an offer that must be
/// answered but that nobody wants. What cannot be read of the offer is left out.
pub fn rejecting(offer: &[u8]) -> Vec<u8> {
    let mut answer =
        b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n".to_vec();
    let parsed = Sdp::parse(offer);
    for media in parsed.iter().flat_map(|parsed| parsed.media()) {
        let line = format!("m={} 0 {} {}\r\n", media.kind, media.proto, media.formats);
        answer.extend_from_slice(line.as_bytes());
    }
    answer
}

fn push(copy: &mut Vec<u8>, lines: &[Line<'_>]) {
    // The lines of a part are neighbours: an empty one would stand in the middle when the part moves.
    for line in lines.iter().filter(|line| !line.text.is_empty()) {
        copy.extend_from_slice(line.whole);
    }
    end_line(copy);
}

fn push_disabled(copy: &mut Vec<u8>, kind: &str) {
    copy.extend_from_slice(format!("m={kind} 0 RTP/AVP 0\r\n").as_bytes());
}
