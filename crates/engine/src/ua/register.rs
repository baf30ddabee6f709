//! Our REGISTER, and the answer to a challenge of any request of ours (RFC 3261 §10.2, §22).

use std::time::Instant;

use sip::digest::Challenge;
use sip::{Method, Name, Response, Writer};

use super::again::via;
use super::{Event, Failure, LegId, Owner, Purpose, UserAgent};
use crate::transaction::Hop;

/// What all our REGISTERs share (RFC 3261 §10.2).
pub(super) struct Registration {
    call_id: String,
    /// From tag.
    tag: LegId,
    pub(super) seq: u32,
    pub(super) hop: Hop,
}

/// A name and password, for whoever asks for them.
pub(super) struct Password {
    username: String,
    password: String,
}

impl UserAgent {
    /// Answers challenges with this password from now on.
    pub fn set_password(&mut self, username: &str, password: &str) {
        let (username, password) = (username.to_owned(), password.to_owned());
        self.password = Some(Password { username, password });
    }

    /// Registers our Contact for this many seconds; 0 takes it back. `registrar` is its domain as a
    /// URI. The answer comes as [`Event::Registered`].
    pub fn register(&mut self, now: Instant, hop: Hop, registrar: &str, aor: &str, expires: u32) {
        let branch = self.ids.branch();
        let registration = self.registration.get_or_insert_with(|| Registration {
            call_id: self.ids.call_id(),
            tag: self.ids.tag(),
            seq: self.ids.cseq(),
            hop: hop.clone(),
        });
        registration.seq += 1;
        registration.hop = hop.clone();
        let mut writer = Writer::request("REGISTER", registrar);
        via(&mut writer, &self.identity, branch);
        writer.header("Max-Forwards", 70);
        writer.header("From", format_args!("<{aor}>;tag={}", registration.tag));
        writer.header("To", format_args!("<{aor}>"));
        writer.header("Call-ID", &registration.call_id);
        writer.header("CSeq", format_args!("{} REGISTER", registration.seq));
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        writer.header("Expires", expires);
        let owner = Owner { leg: registration.tag, purpose: Purpose::Register };
        let bytes = writer.finish();
        if self.transactions.request(now, branch, Method::Register, hop, bytes, owner).is_err() {
            self.events.push_back(Event::Registered(Err(Failure::unreachable())));
        }
    }

    /// Sends a request again with credentials, when its answer asks for some that we have. False
    /// when it does not, or did so before.
    pub(super) fn authenticate(&mut self, now: Instant, owner: Owner, response: &Response) -> bool {
        let (asks, answers, header) = match response.status {
            401 => (Name::WwwAuthenticate, "Authorization", Name::Authorization),
            407 => (Name::ProxyAuthenticate, "Proxy-Authorization", Name::ProxyAuthorization),
            _ => return false,
        };
        let request = self.transactions.answered(response);
        let (Some(password), Some(request)) = (&self.password, request) else { return false };
        // RFC 8760 §2.4: the first challenge that we understand.
        let mut challenges =
            response.iter().filter(|line| line.name == asks).map(|line| line.value);
        let challenge = challenges.find_map(Challenge::parse);
        let (Some(challenge), None) = (challenge, request.value(header)) else { return false };
        let (branch, cnonce) = (self.ids.branch(), format!("{:016x}", self.ids.number()));
        let credentials = challenge.answer(
            &password.username,
            &password.password,
            request.method_name(),
            request.uri(),
            1,
            &cnonce,
        );
        let uri = request.uri().to_owned();
        self.send_again(now, owner, &request, &uri, branch, &[(answers, credentials)])
    }
}
