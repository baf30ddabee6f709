//! RFC 4475 §3.1.2: invalid messages. Where the RFC leaves the choice, a request whose fault lies in
//! a part that we use is refused.

use expect_test::expect;

use super::check;

/// §3.1.2.1: 400.
#[test]
fn extraneous_header_separators() {
    check("badinv01", expect![[]]);
}

/// §3.1.2.2: 400 over UDP.
#[test]
fn content_length_larger_than_the_message() {
    check("clerr", expect![[]]);
}

/// §3.1.2.3: an error.
#[test]
fn a_negative_content_length() {
    check("ncl", expect![[]]);
}

/// §3.1.2.4: 400, for CSeq.
#[test]
fn a_request_with_overlarge_numbers() {
    check("scalar02", expect![[]]);
}

/// §3.1.2.5: discarded.
#[test]
fn a_response_with_overlarge_numbers() {
    check("scalarlg", expect![[]]);
}

/// §3.1.2.6: 400.
#[test]
fn an_unterminated_quoted_string_in_a_display_name() {
    check("quotbal", expect![[]]);
}

/// §3.1.2.7: 400 is always reasonable.
#[test]
fn brackets_around_the_request_uri() {
    check("ltgtruri", expect![[]]);
}

/// §3.1.2.8: 400.
#[test]
fn blanks_in_the_request_uri() {
    check("lwsruri", expect![[]]);
}

/// §3.1.2.9: may be refused.
#[test]
fn several_blanks_between_the_parts_of_the_request_line() {
    check("lwsstart", expect![[]]);
}

/// §3.1.2.10: may be refused.
#[test]
fn blanks_at_the_end_of_the_request_line() {
    check("trws", expect![[]]);
}

/// §3.1.2.11: may be refused with 400.
#[test]
fn escaped_headers_in_the_request_uri() {
    check("escruri", expect![[]]);
}

/// §3.1.2.12: may be read by whoever does not look at Date, as we do not.
#[test]
fn an_invalid_time_zone_in_date() {
    let message = check("baddate", expect![[]]);
    assert!(message.is_some_and(|message| message.headers().named("date").is_some()));
}

/// §3.1.2.13: the Contact cannot be read. Refusing the REGISTER with 400 is the registrar's part.
#[test]
fn a_uri_with_headers_that_is_not_enclosed_in_brackets() {
    let message = check("regbadct", expect![[]]);
    assert!(message.is_some_and(|message| message.headers().contact().is_none()));
}

/// §3.1.2.14: 400 is reasonable.
#[test]
fn blanks_within_an_address() {
    check("badaspec", expect![[]]);
}

/// §3.1.2.15: 400 is always reasonable.
#[test]
fn separators_in_an_unquoted_display_name() {
    check("baddn", expect![[]]);
}

/// §3.1.2.16: 505.
#[test]
fn an_unknown_protocol_version() {
    check("badvers", expect![[]]);
}

/// §3.1.2.17: 400.
#[test]
fn the_start_line_and_cseq_name_different_methods() {
    check("mismatch01", expect![[]]);
}

/// §3.1.2.18: 400 or 501.
#[test]
fn an_unknown_method_differs_from_that_in_cseq() {
    check("mismatch02", expect![[]]);
}

/// §3.1.2.19: dropped.
#[test]
fn an_overlarge_response_code() {
    check("bigcode", expect![[]]);
}
