//! Phones behind NAT (RFC 3581): their Contact is an address of their own network, which nobody
//! outside reaches. What they send comes from one that does reach them, as long as the NAT keeps it.

use std::net::{IpAddr, SocketAddr};

use sip::{Name, Request, Uri};

use super::{Leg, LegId, UserAgent};
use crate::dialog::Dialog;
use crate::transaction::Hop;

impl UserAgent {
    /// Says where a leg's phone is reached, whose Contact may be an address of its own network.
    pub(crate) fn pin(&mut self, id: LegId, source: SocketAddr) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.source = Some(Box::new(source));
        }
    }

    /// Where a leg's phone is reached, as far as its Contact does not say.
    pub(crate) fn source(&self, id: LegId) -> Option<SocketAddr> {
        self.legs.get(&id)?.source.as_deref().copied()
    }
}

impl Leg {
    /// Where a request in this dialog goes: as RFC 3261 §12.2.1.1 says, but to a phone behind NAT
    /// where it sends from.
    pub(super) fn way(&self, dialog: &Dialog) -> Hop {
        let is_private = |source: &SocketAddr| {
            dialog.routes.is_empty()
                && Uri::parse(&dialog.target)
                    .ok()
                    .and_then(|target| target.ip())
                    .is_some_and(|ip| is_private(ip) && is_other(ip, *source))
        };
        match self.source.as_deref().filter(|source| is_private(source)) {
            Some(source) => Hop::Address(*source),
            None => dialog.hop().unwrap_or(self.hop.clone()),
        }
    }

    /// The phone's own request tells where it is reached, if its Contact does not. To be said before
    /// its Contact is looked at.
    pub(super) fn learn_source(&mut self, request: &Request, source: SocketAddr) {
        let contact = request.contact();
        if contact.is_some_and(|contact| is_behind_nat(request, contact.uri, source)) {
            self.source = Some(Box::new(source));
        }
    }
}

/// Whether a request comes from a phone itself, which takes answers where it sends from (`rport`), and
/// this Contact of its is another address than that. A name is left to be looked up.
pub(crate) fn is_behind_nat(request: &Request, contact: &str, source: SocketAddr) -> bool {
    let is_direct = request.values(Name::Via).count() == 1 && request.via().rport().is_some();
    let ip = Uri::parse(contact).ok().and_then(|contact| contact.ip());
    is_direct && ip.is_some_and(|ip| is_other(ip, source))
}

fn is_other(ip: IpAddr, source: SocketAddr) -> bool {
    ip.to_canonical() != source.ip().to_canonical()
}

/// Addresses that mean something else in every network (RFC 6890).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || is_shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_those_that_no_other_network_reaches() {
        for (ip, private) in [
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("169.254.1.1", true),
            ("127.0.0.1", true),
            ("192.0.2.1", false),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(ip.parse().expect("an address")), private, "{ip}");
        }
    }
}
