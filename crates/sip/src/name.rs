//! The header names that this crate knows, with their compact forms (RFC 3261 §7.3.3 and IANA).
//!
//! A name is looked up once, when its line is parsed, by its length: at most a handful of names
//! share one.

use std::fmt;

macro_rules! names {
    ($($name:ident = $text:literal $(| $compact:literal)?,)*) => {
        /// A header name. Names are case-insensitive, and a compact form is the same name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are the headers")]
        pub enum Name {
            $($name,)*
            /// A name that this crate does not know; the message keeps it as written.
            Other,
        }

        const NAMES: &[(Name, &str)] = &[$((Name::$name, $text),)*];
        const COMPACT: &[(Name, &str)] = &[$($((Name::$name, $compact),)?)*];
    };
}

names! {
    Via = "Via" | "v",
    From = "From" | "f",
    To = "To" | "t",
    CallId = "Call-ID" | "i",
    CSeq = "CSeq",
    MaxForwards = "Max-Forwards",
    MaxBreadth = "Max-Breadth",
    Contact = "Contact" | "m",
    Route = "Route",
    RecordRoute = "Record-Route",
    ContentLength = "Content-Length" | "l",
    ContentType = "Content-Type" | "c",
    ContentEncoding = "Content-Encoding" | "e",
    ContentDisposition = "Content-Disposition",
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AuthenticationInfo = "Authentication-Info",
    ProxyAuthenticationInfo = "Proxy-Authentication-Info",
    SecurityClient = "Security-Client",
    SecurityServer = "Security-Server",
    SecurityVerify = "Security-Verify",
    Allow = "Allow",
    AllowEvents = "Allow-Events" | "u",
    Supported = "Supported" | "k",
    Require = "Require",
    ProxyRequire = "Proxy-Require",
    Unsupported = "Unsupported",
    Expires = "Expires",
    MinExpires = "Min-Expires",
    ReferTo = "Refer-To" | "r",
    ReferredBy = "Referred-By" | "b",
    ReferSub = "Refer-Sub",
    Replaces = "Replaces",
    TargetDialog = "Target-Dialog",
    Event = "Event" | "o",
    SubscriptionState = "Subscription-State",
    SessionExpires = "Session-Expires" | "x",
    MinSe = "Min-SE",
    RSeq = "RSeq",
    RAck = "RAck",
    Authorization = "Authorization",
    ProxyAuthorization = "Proxy-Authorization",
    WwwAuthenticate = "WWW-Authenticate",
    ProxyAuthenticate = "Proxy-Authenticate",
    UserAgent = "User-Agent",
    Server = "Server",
    Reason = "Reason",
    RetryAfter = "Retry-After",
    Path = "Path",
    ServiceRoute = "Service-Route",
    Date = "Date",
    Timestamp = "Timestamp",
    Warning = "Warning",
    Subject = "Subject" | "s",
    Organization = "Organization",
    Priority = "Priority",
    CallInfo = "Call-Info",
    AlertInfo = "Alert-Info",
    AnswerMode = "Answer-Mode",
    PrivAnswerMode = "Priv-Answer-Mode",
    Privacy = "Privacy",
    PAssertedIdentity = "P-Asserted-Identity",
    PPreferredIdentity = "P-Preferred-Identity",
    Diversion = "Diversion",
    HistoryInfo = "History-Info",
    Join = "Join",
    MimeVersion = "MIME-Version",
    InReplyTo = "In-Reply-To",
    Identity = "Identity" | "y",
}

impl Name {
    /// The name that `text` spells, in any case, long or compact.
    pub fn parse(text: &[u8]) -> Self {
        let Some(candidates) = BY_LENGTH.get(text.len()) else { return Self::Other };
        candidates
            .iter()
            .take_while(|(name, _)| *name != Self::Other)
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(text))
            .map_or(Self::Other, |(name, _)| *name)
    }

    /// Whether the header is meant for the other end of a call, whoever is in between. All others
    /// belong to a dialog, a hop, or an agreement between two neighbours.
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn is_end_to_end(self) -> bool {
        match self {
            // The dialog, and the way to it.
            Self::Via
            | Self::From
            | Self::To
            | Self::CallId
            | Self::CSeq
            | Self::MaxForwards
            | Self::MaxBreadth
            | Self::Contact
            | Self::Route
            | Self::RecordRoute
            | Self::Path
            | Self::ServiceRoute
            | Self::Replaces
            | Self::Join
            | Self::TargetDialog
            | Self::InReplyTo => false,
            // Written with the body.
            Self::ContentLength | Self::ContentType => false,
            // What the two ends of one leg can, want, and have agreed on.
            Self::Accept
            | Self::AcceptEncoding
            | Self::AcceptLanguage
            | Self::Allow
            | Self::AllowEvents
            | Self::Supported
            | Self::Require
            | Self::ProxyRequire
            | Self::Unsupported
            | Self::Expires
            | Self::MinExpires
            | Self::SessionExpires
            | Self::MinSe
            | Self::RSeq
            | Self::RAck
            | Self::ReferTo
            | Self::ReferredBy
            | Self::ReferSub
            | Self::Timestamp => false,
            // Secrets, and signatures over what we change.
            Self::Authorization
            | Self::ProxyAuthorization
            | Self::WwwAuthenticate
            | Self::ProxyAuthenticate
            | Self::AuthenticationInfo
            | Self::ProxyAuthenticationInfo
            | Self::SecurityClient
            | Self::SecurityServer
            | Self::SecurityVerify
            | Self::Identity => false,
            // Asserted to us by somebody we would have to trust (RFC 3325 §5).
            Self::PAssertedIdentity => false,
            // What is meant for the other end.
            Self::ContentEncoding
            | Self::ContentDisposition
            | Self::MimeVersion
            | Self::Event
            | Self::SubscriptionState
            | Self::UserAgent
            | Self::Server
            | Self::Reason
            | Self::RetryAfter
            | Self::Date
            | Self::Warning
            | Self::Subject
            | Self::Organization
            | Self::Priority
            | Self::CallInfo
            | Self::AlertInfo
            | Self::AnswerMode
            | Self::PrivAnswerMode
            | Self::Privacy
            | Self::PPreferredIdentity
            | Self::Diversion
            | Self::HistoryInfo
            | Self::Other => true,
        }
    }

    /// The long form in its usual spelling; empty for [`Name::Other`].
    pub fn as_str(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |(_, text)| text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No known name is longer, and no more than [`MOST`] are equally long.
const LONGEST: usize = 25;
const MOST: usize = 16;

/// The known spellings by their length; [`Name::Other`] ends each row.
static BY_LENGTH: [[(Name, &str); MOST]; LONGEST + 1] = by_length();

const fn by_length() -> [[(Name, &'static str); MOST]; LONGEST + 1] {
    let mut table = [[(Name::Other, ""); MOST]; LONGEST + 1];
    let mut next = [0; LONGEST + 1];
    let mut at = 0;
    while at < NAMES.len() + COMPACT.len() {
        let entry = if at < NAMES.len() { NAMES[at] } else { COMPACT[at - NAMES.len()] };
        let length = entry.1.len();
        table[length][next[length]] = entry;
        next[length] += 1;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_in_its_compact_form() {
        for (name, text) in NAMES.iter().chain(COMPACT) {
            assert_eq!(Name::parse(text.as_bytes()), *name, "{text}");
            assert_eq!(Name::parse(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
        }
        assert_eq!(Name::CallId.as_str(), "Call-ID");
        assert_eq!(Name::Identity.as_str(), "Identity");
    }

    #[test]
    fn a_name_that_is_not_known_is_other() {
        for text in ["", "z", "C%6Fntact", "X-Any", "A-header-name-that-is-very-long-indeed"] {
            assert_eq!(Name::parse(text.as_bytes()), Name::Other, "{text}");
        }
        assert_eq!(Name::Other.as_str(), "");
    }
}
