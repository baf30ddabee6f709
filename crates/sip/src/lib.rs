//! SIP and SDP messages.
