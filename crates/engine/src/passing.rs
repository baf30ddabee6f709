//! Which headers of one leg's message go into the other leg's: all but those that belong to a
//! dialog, a hop, or an agreement between two neighbours.

use sip::{Headers, Name, Writer};

/// Copies what passes from one leg to the other, in order and as written.
pub(crate) fn copy_passed(writer: &mut Writer, headers: &Headers) {
    for header in headers.iter().filter(|header| passes(header.name)) {
        writer.copy(header);
    }
}

fn passes(name: Name) -> bool {
    match name {
        // The dialog, and the way to it.
        Name::Via
        | Name::From
        | Name::To
        | Name::CallId
        | Name::CSeq
        | Name::MaxForwards
        | Name::Contact
        | Name::Route
        | Name::RecordRoute
        | Name::Path
        | Name::ServiceRoute
        | Name::Replaces
        | Name::Join
        | Name::TargetDialog
        | Name::InReplyTo => false,
        // Written with the body.
        Name::ContentLength | Name::ContentType => false,
        // What the two ends of one leg can, want, and have agreed on.
        Name::Accept
        | Name::Allow
        | Name::AllowEvents
        | Name::Supported
        | Name::Require
        | Name::ProxyRequire
        | Name::Unsupported
        | Name::Expires
        | Name::MinExpires
        | Name::SessionExpires
        | Name::MinSe
        | Name::RSeq
        | Name::RAck
        | Name::ReferTo
        | Name::ReferredBy
        | Name::ReferSub
        | Name::Timestamp => false,
        // Secrets, and signatures over what we change.
        Name::Authorization
        | Name::ProxyAuthorization
        | Name::WwwAuthenticate
        | Name::ProxyAuthenticate
        | Name::Identity => false,
        // What is meant for the other end.
        Name::ContentEncoding
        | Name::ContentDisposition
        | Name::MimeVersion
        | Name::Event
        | Name::SubscriptionState
        | Name::UserAgent
        | Name::Server
        | Name::Reason
        | Name::RetryAfter
        | Name::Date
        | Name::Warning
        | Name::Subject
        | Name::Organization
        | Name::Priority
        | Name::CallInfo
        | Name::AlertInfo
        | Name::AnswerMode
        | Name::PrivAnswerMode
        | Name::Privacy
        | Name::PAssertedIdentity
        | Name::PPreferredIdentity
        | Name::Diversion
        | Name::HistoryInfo
        | Name::Other => true,
    }
}
