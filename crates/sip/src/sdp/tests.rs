//! Session descriptions: read, held, renumbered, rearranged.

use expect_test::expect;

use super::*;

const PHONE: &str = "v=0\r\no=alice 2890844526 7 IN IP4 host.example.com\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n\
    m=audio 49170/2 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=x-unknown:\u{e4}\r\n\
    m=video 51372 RTP/AVP 31\r\nc=IN IP4 224.2.1.1/127\r\na=recvonly\r\na=rtpmap:31 H261/90000\r\n";

fn text(sdp: &[u8]) -> String {
    String::from_utf8_lossy(sdp).replace("\r\n", "\n")
}

/// One audio stream with these lines before and in its section.
fn audio(session: &str, section: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\n{session}t=0 0\r\nm=audio 9000 RTP/AVP 0\r\n{section}"
    )
}

#[test]
fn sections_have_their_own_values_or_those_of_the_session() {
    let sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    let origin = Origin {
        username: "alice",
        session_id: "2890844526",
        version: 7,
        rest: "IN IP4 host.example.com",
    };
    assert_eq!(sdp.origin(), origin);
    let media: Vec<_> = sdp.media().collect();
    let audio = Media {
        kind: "audio",
        port: 49170,
        proto: "RTP/AVP",
        formats: "0 8 101",
        connection: Some("10.0.0.1"),
        direction: Direction::SendOnly,
    };
    let video = Media {
        kind: "video",
        port: 51372,
        proto: "RTP/AVP",
        formats: "31",
        connection: Some("224.2.1.1"),
        direction: Direction::RecvOnly,
    };
    assert_eq!(media, [audio, video]);
}

#[test]
fn lone_line_feeds_a_missing_last_line_end_and_an_empty_last_line_are_read() {
    for sdp in [PHONE.replace("\r\n", "\n"), PHONE.trim_end().to_owned(), format!("{PHONE}\r\n")] {
        assert_eq!(Sdp::parse(sdp.as_bytes()).unwrap().media().count(), 2);
    }
}

#[test]
fn what_is_no_description_is_refused_with_its_place() {
    for (sdp, at) in [
        ("", 0),
        ("o=- 1 1 IN IP4 a\r\n", 0),
        ("v=1\r\no=- 1 1 IN IP4 a\r\n", 0),
        ("v=0\r\n", 5),
        ("v=0\r\ns=-\r\n", 10),
        ("v=0\r\no=- 1 x IN IP4 a\r\n", 5),
        ("v=0\r\no=- 1 1\r\n", 5),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nm =audio 1 RTP/AVP 0\r\n", 23),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nm=audio x RTP/AVP 0\r\n", 23),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 65536 RTP/AVP 0\r\n", 23),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1 RTP/AVP\r\n", 23),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4\r\n", 23),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nnonsense\r\n", 23),
    ] {
        assert_eq!(Sdp::parse(sdp.as_bytes()), Err(ParseError::new(ErrorKind::Sdp, at)), "{sdp}");
    }
    let endless = audio("", &"m=audio 1 RTP/AVP 0\r\n".repeat(MAX_MEDIA));
    assert_eq!(Sdp::parse(endless.as_bytes()).unwrap_err().kind, ErrorKind::Sdp);
}

#[test]
fn a_version_beyond_64_bits_is_the_largest() {
    let sdp = "v=0\r\no=- 1 99999999999999999999 IN IP4 a\r\n";
    assert_eq!(Sdp::parse(sdp.as_bytes()).unwrap().origin().version, u64::MAX);
}

#[test]
fn hold_is_seen_in_every_way_that_phones_ask_for_it() {
    for (session, section) in [
        ("c=IN IP4 10.0.0.1\r\n", "a=sendonly\r\n"),
        ("c=IN IP4 10.0.0.1\r\n", "a=inactive\r\n"),
        ("c=IN IP4 10.0.0.1\r\na=inactive\r\n", ""),
        ("c=IN IP4 0.0.0.0\r\n", ""),
        ("c=IN IP4 10.0.0.1\r\n", "c=IN IP4 0.0.0.0\r\n"),
        ("c=IN IP6 ::\r\n", "a=recvonly\r\n"),
        ("", "a=sendonly\r\nm=video 0 RTP/AVP 31\r\na=sendrecv\r\n"),
    ] {
        let sdp = audio(session, section);
        assert!(Sdp::parse(sdp.as_bytes()).unwrap().is_on_hold(), "{sdp}");
    }
}

#[test]
fn a_stream_that_is_received_anywhere_is_no_hold() {
    for (session, section) in [
        ("c=IN IP4 10.0.0.1\r\n", ""),
        ("a=inactive\r\n", "a=recvonly\r\n"),
        ("", "a=sendonly\r\nm=video 4000 RTP/AVP 31\r\n"),
        ("c=IN IP4 0.0.0.0\r\n", "c=IN IP4 10.0.0.1\r\n"),
    ] {
        let sdp = audio(session, section);
        assert!(!Sdp::parse(sdp.as_bytes()).unwrap().is_on_hold(), "{sdp}");
    }
    let disabled = audio("", "").replace("9000", "0");
    assert!(!Sdp::parse(disabled.as_bytes()).unwrap().is_on_hold());
    assert!(!Sdp::parse(b"v=0\r\no=- 1 1 IN IP4 a\r\n").unwrap().is_on_hold());
}

#[test]
fn the_direction_that_is_meant_follows_rfc_3264() {
    let direction = |sdp: String| {
        Sdp::parse(sdp.as_bytes()).unwrap().media().next().map(|media| media.effective_direction())
    };
    assert_eq!(direction(audio("c=IN IP4 0.0.0.0\r\n", "")), Some(Direction::SendOnly));
    assert_eq!(
        direction(audio("c=IN IP4 0.0.0.0\r\n", "a=recvonly\r\n")),
        Some(Direction::Inactive)
    );
    assert_eq!(direction(audio("", "").replace("9000", "0")), Some(Direction::Inactive));
    assert_eq!(direction(audio("", "a=recvonly\r\n")), Some(Direction::RecvOnly));
}

#[test]
fn directions_reverse_and_hold() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let all = [SendRecv, SendOnly, RecvOnly, Inactive];
    assert_eq!(all.map(Direction::reverse), [SendRecv, RecvOnly, SendOnly, Inactive]);
    assert_eq!(all.map(Direction::held), [SendOnly, SendOnly, Inactive, Inactive]);
    assert_eq!(all.map(|direction| Direction::parse(direction.as_str())), all.map(Some));
    assert_eq!(Direction::parse("rtpmap:0 PCMU/8000"), None);
}

#[test]
fn a_direction_is_set_in_every_section_and_nothing_else_changes() {
    let copy = with_direction(PHONE.as_bytes(), Direction::Inactive).unwrap();
    expect![[r#"
        v=0
        o=alice 2890844526 7 IN IP4 host.example.com
        s=-
        c=IN IP4 10.0.0.1
        t=0 0
        m=audio 49170/2 RTP/AVP 0 8 101
        a=rtpmap:0 PCMU/8000
        a=x-unknown:ä
        a=inactive
        m=video 51372 RTP/AVP 31
        c=IN IP4 224.2.1.1/127
        a=inactive
        a=rtpmap:31 H261/90000
    "#]]
    .assert_eq(&text(&copy));
}

#[test]
fn a_direction_is_set_once_whatever_was_there_and_however_the_last_line_ends() {
    let set = |sdp: &str| {
        String::from_utf8(with_direction(sdp.as_bytes(), Direction::SendOnly).unwrap()).unwrap()
    };
    let wanted = audio("", "a=sendonly\r\n");
    assert_eq!(set(&audio("", "a=inactive\r\na=sendrecv\r\n")), wanted);
    assert_eq!(set(audio("", "").trim_end()), wanted);
    assert_eq!(set(&wanted), wanted);
    let unix = audio("", "").replace("\r\n", "\n");
    assert_eq!(set(&unix), wanted.replace("\r\n", "\n"));
}

#[test]
fn each_section_can_get_its_own_direction() {
    let copy = with_directions(PHONE.as_bytes(), |at, media| match at {
        0 => media.direction.held(),
        _ => media.direction.reverse(),
    });
    let copy = copy.unwrap();
    let directions: Vec<_> =
        Sdp::parse(&copy).unwrap().media().map(|media| media.direction).collect();
    assert_eq!(directions, [Direction::SendOnly, Direction::SendOnly]);
}

#[test]
fn a_version_is_raised_and_the_session_stays_whose_it_is() {
    let copy = with_version(PHONE.as_bytes(), 8).unwrap();
    assert_eq!(text(&copy), text(PHONE.as_bytes()).replace("2890844526 7", "2890844526 8"));
}

#[test]
fn bytes_that_are_no_text_stay_as_they_are() {
    let sdp = b"v=0\r\no=- 1 1 IN IP4 a\r\ns=J\xf6rg\r\nm=audio 1 RTP/AVP 0\r\ni=\xff\r\n";
    let copy = with_direction(sdp, Direction::SendRecv).unwrap();
    assert_eq!(copy, [&sdp[..], b"a=sendrecv\r\n"].concat());
}

#[test]
fn the_origin_alone_changes() {
    let other = Origin { username: "-", session_id: "42", version: 3, rest: "IN IP4 a" };
    let copy = with_origin(PHONE.as_bytes(), &other).unwrap();
    let old = PHONE.lines().find(|line| line.starts_with("o=")).unwrap();
    assert_eq!(text(&copy), text(PHONE.as_bytes()).replace(old, "o=- 42 3 IN IP4 a"));
    let copy = with_version(PHONE.as_bytes(), 9).unwrap();
    assert_eq!(text(&copy), text(PHONE.as_bytes()).replace("2890844526 7", "2890844526 9"));
}

#[test]
fn the_first_offer_is_one_inactive_audio_stream() {
    let offer = inactive_audio("192.0.2.7".parse().unwrap(), 5);
    let sdp = Sdp::parse(offer.as_bytes()).unwrap();
    assert_eq!((sdp.origin().session_id, sdp.origin().version), ("5", 1));
    let media: Vec<_> = sdp.media().collect();
    assert_eq!((media.len(), media[0].kind, media[0].formats), (1, "audio", "0 8 9 101"));
    assert_eq!((media[0].connection, media[0].direction), (Some("192.0.2.7"), Direction::Inactive));
    assert!(inactive_audio("::1".parse().unwrap(), 5).contains("c=IN IP6 ::1\r\n"));
}

#[test]
fn a_refusal_answers_every_stream_with_port_0() {
    expect![[r#"
        v=0
        o=- 0 0 IN IP4 0.0.0.0
        s=-
        c=IN IP4 0.0.0.0
        t=0 0
        m=audio 0 RTP/AVP 0 8 101
        m=video 0 RTP/AVP 31
    "#]]
    .assert_eq(&text(&rejecting(PHONE.as_bytes())));
    assert_eq!(Sdp::parse(&rejecting(b"nonsense")).unwrap().media().count(), 0);
}

#[test]
fn an_answer_with_which_nothing_flows_takes_plain_audio_and_refuses_the_rest() {
    let offer = "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0 96\r\n\
        a=rtpmap:96 opus/48000/2\r\na=ptime:20\r\na=sendrecv\r\nm=video 2 RTP/AVP 31\r\n\
        m=audio 4 RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000";
    let address = "192.0.2.1".parse().unwrap();
    assert_eq!(
        text(&inactive_answer(offer.as_bytes(), address, 7)),
        "v=0\no=- 7 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n\
         m=audio 9 RTP/AVP 0 96\na=rtpmap:96 opus/48000/2\na=inactive\n\
         m=video 0 RTP/AVP 31\nm=audio 0 RTP/SAVP 0\n"
    );
    let nothing = text(&inactive_answer(b"nonsense", "::1".parse().unwrap(), 7));
    assert!(nothing.ends_with("c=IN IP6 ::1\nt=0 0\n"), "{nothing}");
}

fn kinds(sdp: &[u8]) -> Vec<(String, u16)> {
    Sdp::parse(sdp).unwrap().media().map(|media| (media.kind.to_owned(), media.port)).collect()
}

fn streams(lines: &[&str]) -> String {
    let lines: String =
        lines.iter().map(|line| format!("m={line} RTP/AVP 0\r\na=mid:{line}\r\n")).collect();
    format!("v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nt=0 0\r\n{lines}")
}

#[test]
fn an_offer_fits_the_sections_that_a_dialog_has_and_its_answer_fits_the_offer() {
    for (offer, slots, placed, order) in [
        (&["audio 1"][..], &["audio"][..], &[("audio", 1)][..], &[Some(0)][..]),
        (&["video 2", "audio 1"], &["audio"], &[("audio", 1), ("video", 2)], &[Some(1), Some(0)]),
        (&["audio 1"], &["audio", "video"], &[("audio", 1), ("video", 0)], &[Some(0), None]),
        (&["audio 1"], &["video", "audio"], &[("video", 0), ("audio", 1)], &[None, Some(0)]),
        (&["audio 1", "audio 2"], &["audio"], &[("audio", 1), ("audio", 2)], &[Some(0), Some(1)]),
        (&[], &["audio"], &[("audio", 0)], &[None]),
    ] {
        let offer = streams(offer);
        let (copy, actual) = arranged(offer.as_bytes(), slots).unwrap();
        let expected: Vec<_> =
            placed.iter().map(|(kind, port)| ((*kind).to_owned(), *port)).collect();
        assert_eq!((kinds(&copy), &*actual), (expected, order), "{offer}");
        // A party that mirrors what it is offered gives the offer back.
        assert_eq!(
            kinds(&restored(&copy, &actual, kinds(offer.as_bytes()).len()).unwrap()),
            kinds(offer.as_bytes())
        );
    }
}

#[test]
fn sections_keep_their_lines_when_they_move_and_the_last_line_gets_its_end() {
    let offer = streams(&["video 2", "audio 1"]);
    let (copy, _) = arranged(offer.trim_end().as_bytes(), &["audio"]).unwrap();
    assert_eq!(text(&copy), text(streams(&["audio 1", "video 2"]).as_bytes()));
}

#[test]
fn an_answer_with_too_few_sections_is_refused() {
    let answer = streams(&["audio 1"]);
    let fault = restored(answer.as_bytes(), &[Some(1), Some(0)], 2).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Sdp);
}
