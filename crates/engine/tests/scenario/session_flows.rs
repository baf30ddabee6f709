//! Sessions are kept alive whatever a flow is doing meanwhile, with phones that take no UPDATE, and
//! phones that refresh by re-INVITE are answered.
