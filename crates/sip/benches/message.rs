//! How long it takes to read and to write the messages of a call.
//!
//! `cargo bench -p sip`. Results are dropped in the measured time, as a server does, so that memory is
//! used again. The INVITE is what a desk phone behind a proxy sends: 1,158 bytes with its SDP.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sip::sdp::{self, Direction};
use sip::{Message, Name, Request, Uri, Writer};

const INVITE: &[u8] = include_bytes!("invite.sip");

fn main() {
    divan::main();
}

#[divan::bench(sample_size = 1000)]
fn parse_invite(bencher: Bencher) {
    let datagram = Bytes::from_static(INVITE);
    let bencher = bencher.counter(BytesCount::new(INVITE.len()));
    bencher.bench(|| Message::parse(black_box(datagram.clone())).is_ok());
}

#[divan::bench(sample_size = 1000)]
fn parse_ok(bencher: Bencher) {
    let ok = sip::respond(&invite(), 200, "9fxced76sl", source()).finish();
    bencher.bench(|| Message::parse(black_box(ok.clone())).is_ok());
}

#[divan::bench(sample_size = 1000)]
fn print_parsed_invite(bencher: Bencher) {
    let message = Message::parse(Bytes::from_static(INVITE)).expect("the INVITE is sound");
    bencher.bench(|| black_box(&message).to_bytes().len());
}

#[divan::bench(sample_size = 1000)]
fn write_invite(bencher: Bencher) {
    let received = invite();
    bencher.bench(|| {
        let mut writer = Writer::request("INVITE", "sip:bob@192.0.2.4:5062;transport=udp");
        writer
            .header(
                "Via",
                format_args!(
                    "SIP/2.0/UDP {};branch={};rport",
                    "192.0.2.10:5060", "z9hG4bK8f3a66b1c2"
                ),
            )
            .header("Max-Forwards", 69)
            .header(
                "From",
                format_args!(
                    "{};tag={}",
                    "\"Alice\" <sip:alice@atlanta.example.com>", "9fxced76sl"
                ),
            )
            .header("To", "<sip:bob@biloxi.example.com>")
            .header("Call-ID", received.call_id())
            .header("CSeq", format_args!("{} INVITE", 20))
            .header("Contact", format_args!("<sip:{}>", "192.0.2.10:5060"))
            .copy_all(&received, Name::Allow)
            .copy_all(&received, Name::Supported)
            .copy_all(&received, Name::UserAgent);
        writer.body("application/sdp", received.body()).len()
    });
}

#[divan::bench(sample_size = 1000)]
fn write_180(bencher: Bencher) {
    let received = invite();
    bencher.bench(|| {
        let mut writer = sip::respond(black_box(&received), 180, "9fxced76sl", source());
        writer.header("Contact", "<sip:192.0.2.10:5060>");
        writer.finish().len()
    });
}

#[divan::bench(sample_size = 1000)]
fn parse_uri(bencher: Bencher) {
    let invite = invite();
    bencher.bench(|| Uri::parse(black_box(invite.uri())).map(|uri| uri.port));
}

#[divan::bench(sample_size = 1000)]
fn hold_sdp(bencher: Bencher) {
    let invite = invite();
    bencher.bench(|| sdp::with_direction(black_box(invite.body()), Direction::SendOnly).is_ok());
}

fn invite() -> Request {
    Request::parse(Bytes::from_static(INVITE)).expect("the INVITE is sound")
}

fn source() -> std::net::SocketAddr {
    ([198, 51, 100, 7], 5060).into()
}
