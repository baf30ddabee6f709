//! SIP calls over time.
