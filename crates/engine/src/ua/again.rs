//! A request of ours once more, in a transaction of its own: with credentials, to another address,
//! with a longer session (RFC 3261 §8.1.3.5).

use std::time::Instant;

use bytes::Bytes;
use sip::{Name, Request, Writer};

use super::invite::finish;
use super::leg::{Offer, State};
use super::{Owner, Purpose, UserAgent};
use crate::dialog::Identity;
use crate::ids::Branch;

impl UserAgent {
    /// Sends a request again with other, or more, headers (RFC 3261 §8.1.3.5).
    pub(super) fn send_again(
        &mut self,
        now: Instant,
        owner: Owner,
        request: &Request,
        uri: &str,
        branch: Branch,
        headers: &[(&str, String)],
    ) -> bool {
        // A PRACK may have used the number after it.
        let used = self.legs.get(&owner.leg).map_or(0, |leg| leg.dialog.local_seq);
        let seq = request.cseq().number.max(used) + 1;
        let hop = match owner.purpose {
            Purpose::Register => {
                let Some(registration) = &mut self.registration else { return false };
                registration.seq = seq;
                registration.hop.clone()
            }
            Purpose::Invite | Purpose::Offer | Purpose::Refresh => {
                let leg = self.legs.get_mut(&owner.leg).filter(|leg| !leg.released);
                let Some(leg) = leg else { return false };
                match (owner.purpose, &mut leg.state, &mut leg.offer) {
                    (Purpose::Invite, State::Inviting { branch: now, provisional, .. }, _) => {
                        (*now, *provisional) = (branch, false);
                        leg.forget_early();
                    }
                    (Purpose::Offer, State::Established, Offer::Sent { branch: now, .. })
                        if !self.transactions.is_cancelled(*now) =>
                    {
                        *now = branch;
                    }
                    (Purpose::Refresh, State::Established, _) => {}
                    _ => return false,
                }
                leg.dialog.local_seq = seq;
                leg.hop.clone()
            }
            Purpose::Refer | Purpose::Bye | Purpose::Pass { .. } | Purpose::Courtesy => {
                return false;
            }
        };
        let bytes = again(request, uri, &self.identity, branch, seq, headers);
        self.transactions.request(now, branch, request.method, hop, bytes, owner).is_ok()
    }
}

/// A request with other headers of these names.
fn again(
    request: &Request,
    uri: &str,
    identity: &Identity,
    branch: Branch,
    seq: u32,
    headers: &[(&str, String)],
) -> Bytes {
    let mut writer = Writer::request(request.method_name(), uri);
    via(&mut writer, identity, branch);
    let mut replaced = vec![Name::Via, Name::CSeq, Name::ContentType, Name::ContentLength];
    // The way to another address is another one.
    if uri != request.uri() {
        replaced.push(Name::Route);
    }
    let is_new = |name: &str| headers.iter().any(|(new, _)| new.eq_ignore_ascii_case(name));
    for header in request.iter() {
        if !replaced.contains(&header.name) && !is_new(header.text) {
            writer.copy(header);
        }
    }
    writer.header("CSeq", format_args!("{seq} {}", request.method_name()));
    for (name, value) in headers {
        writer.header(name, value);
    }
    finish(writer, Some(request.body()))
}

pub(super) fn via(writer: &mut Writer, identity: &Identity, branch: Branch) {
    writer.header("Via", format_args!("SIP/2.0/UDP {};branch={branch};rport", identity.sent_by));
}
