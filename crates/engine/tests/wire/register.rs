//! REGISTER rule by rule (RFC 3261 §10.3, RFC 3327, RFC 7616).

use std::time::Duration;

use engine::limits::{MAX_CONTACTS, NONCE_LIFETIME};
use engine::{BindingChange, Config, Event, User, Users};
use sip::digest::{Algorithm, Challenge};

use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, ENGINE, NAMED, Sent, Wire, address, the};

const DOMAIN: &str = "sip:192.0.2.1:5060";
const BOB: &str = "sip:bob@192.0.2.1:5060";

/// A registrar, and the number of the last REGISTER: every one is a transaction of its own.
struct Registrar {
    wire: Wire,
    last: u32,
}

impl Registrar {
    fn open() -> Self {
        Self { wire: Wire::new(), last: 0 }
    }

    fn with_bob() -> Self {
        Self::with_bobs_hashes(true)
    }

    fn with_bobs_hashes(sha256: bool) -> Self {
        let ha1 = |algorithm: Algorithm| algorithm.ha1("bob", "here", "secret");
        let bob = User {
            name: "bob".to_owned(),
            sha256: sha256.then(|| ha1(Algorithm::Sha256)),
            md5: Some(ha1(Algorithm::Md5)),
        };
        let users = Some(Users { realm: "here".to_owned(), users: vec![bob] });
        let (advertise, next_hop) = (None, None);
        let config = Config { advertise, next_hop, users, ..Config::at(ENGINE) };
        Self { wire: Wire::seeded(config, 1), last: 0 }
    }

    /// The next REGISTER for bob, with these contacts.
    fn draft(&mut self, contacts: &[&str]) -> Draft {
        self.last += 1;
        let draft = Draft::request("REGISTER", DOMAIN, CALLEE)
            .branch(&format!("z9hG4bK-{}", self.last))
            .set("From", "<sip:bob@192.0.2.1:5060>;tag=bob")
            .set("To", format!("<{BOB}>"))
            .set("Call-ID", "bob's")
            .set("CSeq", format!("{} REGISTER", self.last))
            .without("Contact");
        contacts.iter().fold(draft, |draft, contact| draft.add("Contact", *contact))
    }

    fn send(&mut self, draft: Draft) -> Sent {
        let mut sent = self.wire.receive(CALLEE, draft);
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    fn register(&mut self, contacts: &[&str]) -> Sent {
        let draft = self.draft(contacts);
        self.send(draft)
    }

    /// What happened to contacts since the last time.
    fn changes(&mut self) -> Vec<(String, BindingChange)> {
        let events = self.wire.events.drain(..).filter_map(|event| match event {
            Event::Registration { contact, change, .. } => Some((contact.to_string(), change)),
            Event::Progress(..) | Event::Done(..) | Event::Call(_) | Event::Bug(_) => None,
        });
        events.collect()
    }

    /// The INVITEs that somebody's call to bob becomes.
    fn call(&mut self, number: u32) -> Vec<Sent> {
        let invite = Draft::request("INVITE", BOB, CALLER)
            .branch(&format!("z9hG4bK-call-{number}"))
            .set("Call-ID", format!("call-{number}"))
            .sdp();
        self.wire.receive(CALLER, invite)
    }
}

#[test]
fn every_contact_is_told_with_its_time_and_what_it_said_of_itself() {
    let mut registrar = Registrar::open();
    let instance = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"";
    let answer = registrar.register(&[
        &format!("\"Bob\" <sip:bob@192.0.2.20:5080>;q=0.7;{instance};expires=600"),
        "<sip:bob@192.0.2.21>, <sip:bob@192.0.2.22>;expires=what",
    ]);
    assert!(answer.is("200"), "{answer}");
    assert_eq!(
        answer.texts("Contact"),
        [
            format!("<sip:bob@192.0.2.20:5080>;q=0.7;{instance};expires=600"),
            "<sip:bob@192.0.2.21>;expires=3600".to_owned(),
            "<sip:bob@192.0.2.22>;expires=3600".to_owned(),
        ]
    );
    registrar.wire.run_for(Duration::from_millis(100_500));
    // Without a contact it only asks; what is left of a second is still a second.
    let answer = registrar.register(&[]);
    assert!(answer.texts("Contact")[0].ends_with(";expires=500"), "{answer}");
    registrar.wire.run_for(Duration::from_secs(3600));
    assert_eq!(registrar.register(&[]).texts("Contact").len(), 0);
    registrar.wire.run_for(Duration::from_secs(64));
    registrar.wire.assert_at_rest();
}

#[test]
fn the_time_is_the_contacts_else_the_requests_and_within_bounds() {
    let mut registrar = Registrar::open();
    let draft = registrar.draft(&["<sip:bob@192.0.2.20>", "<sip:bob@192.0.2.21>;expires=90"]);
    let answer = registrar.send(draft.set("Expires", "1000000"));
    let times: Vec<_> = answer.texts("Contact");
    assert!(times[0].ends_with(";expires=7200") && times[1].ends_with(";expires=90"), "{answer}");

    let answer = registrar.register(&["<sip:bob@192.0.2.22>;expires=59"]);
    assert!(answer.is("423"), "{answer}");
    assert_eq!(answer.text("Min-Expires"), "60");
    assert_eq!(registrar.register(&[]).texts("Contact").len(), 2);
}

#[test]
fn contacts_are_taken_back_one_by_one_or_all_at_once() {
    let mut registrar = Registrar::open();
    registrar.register(&["<sip:bob@192.0.2.20>, <sip:bob@192.0.2.21>, <sip:bob@192.0.2.22>"]);
    assert_eq!(registrar.changes().len(), 3);
    // The same URI by RFC 3261 §19.1.4.
    let answer = registrar.register(&["<SIP:%62ob@192.0.2.21>;expires=0"]);
    assert_eq!(answer.texts("Contact").len(), 2, "{answer}");
    assert_eq!(registrar.changes(), [("sip:bob@192.0.2.21".to_owned(), BindingChange::Removed)]);
    for wrong in [
        registrar.draft(&["*"]),
        registrar.draft(&["*"]).set("Expires", "60"),
        registrar.draft(&["*", "<sip:bob@192.0.2.22>"]).set("Expires", "0"),
    ] {
        let wrong = wrong.branch(&format!("z9hG4bK-w{}", registrar.last));
        registrar.last += 1;
        assert!(registrar.send(wrong).is("400"));
    }
    let all = registrar.draft(&["*"]).set("Expires", "0");
    let answer = registrar.send(all);
    assert!(answer.is("200") && answer.texts("Contact").is_empty(), "{answer}");
    assert_eq!(registrar.changes().len(), 2);
    registrar.wire.run_for(Duration::from_secs(64));
    registrar.wire.assert_at_rest();
}

#[test]
fn a_contact_that_is_spelled_otherwise_takes_the_place_of_what_it_was() {
    use BindingChange::{Registered, Removed, Renewed};
    let mut registrar = Registrar::open();
    let told = |changes: &[(&str, BindingChange)]| -> Vec<(String, BindingChange)> {
        changes.iter().map(|(contact, change)| ((*contact).to_owned(), *change)).collect()
    };
    let first = "sip:bob@Phone.example.com;transport=udp;x=1";
    registrar.register(&[&format!("<{first}>")]);
    registrar.register(&[&format!("<{first}>")]);
    assert_eq!(registrar.changes(), told(&[(first, Registered), (first, Renewed)]));
    // The same by RFC 3261 §19.1.4: case, escapes, the order of parameters.
    let second = "sip:%62ob@phone.example.com;X=1;Transport=UDP";
    let answer = registrar.register(&[&format!("<{second}>")]);
    assert_eq!(answer.texts("Contact"), [format!("<{second}>;expires=3600")]);
    assert_eq!(registrar.changes(), told(&[(first, Removed), (second, Registered)]));
    // A port that is told and one that is not are two, though both mean 5060.
    let third = "sip:bob@phone.example.com:5060;transport=udp";
    registrar.register(&[&format!("<{third}>")]);
    assert_eq!(registrar.changes(), told(&[(third, Registered)]));
    // What a parameter tells apart is the same as one without it.
    let fourth = "sip:bob@phone.example.com;x=2;transport=udp";
    registrar.register(&[&format!("<{fourth}>")]);
    assert_eq!(registrar.changes(), told(&[(fourth, Registered)]));
    let fifth = "sip:bob@phone.example.com;transport=udp";
    let answer = registrar.register(&[&format!("<{fifth}>")]);
    assert_eq!(answer.texts("Contact").len(), 2, "{answer}");
    assert_eq!(
        registrar.changes(),
        told(&[(second, Removed), (fourth, Removed), (fifth, Registered)])
    );
    let answer = registrar.register(&[&format!("<{first}>;expires=0")]);
    assert_eq!(answer.texts("Contact").len(), 1, "{answer}");
    assert_eq!(registrar.changes(), told(&[(fifth, Removed)]));
    registrar.wire.run_for(Duration::from_secs(7200));
    assert_eq!(registrar.changes(), told(&[(third, BindingChange::Expired)]));
    registrar.wire.assert_at_rest();
}

#[test]
fn who_watches_is_told_how_long_a_contact_stays() {
    let mut registrar = Registrar::open();
    registrar.register(&["<sip:bob@192.0.2.20>;expires=600"]);
    registrar.wire.run_for(Duration::from_secs(300));
    registrar.register(&["<sip:bob@192.0.2.20>;expires=9000"]);
    registrar.register(&["<sip:bob@192.0.2.20>;expires=0"]);
    let told: Vec<u64> = registrar
        .wire
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Registration { expires, .. } => Some(expires.as_secs()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [600, 7200, 0]);
}

#[test]
fn a_register_that_was_overtaken_changes_nothing() {
    let mut registrar = Registrar::open();
    let early = registrar.draft(&["<sip:bob@192.0.2.20>;expires=0", "<sip:bob@192.0.2.21>"]);
    let early_star = registrar.draft(&["*"]).set("Expires", "0");
    registrar.register(&["<sip:bob@192.0.2.20>"]);
    for late in [early, early_star] {
        assert!(registrar.send(late).is("500"));
        assert_eq!(registrar.register(&[]).texts("Contact").len(), 1);
    }
    // Another Call-ID is a phone that has started anew: its numbers start anew too.
    let anew = registrar.draft(&["<sip:bob@192.0.2.20>;expires=0"]);
    let answer = registrar.send(anew.set("Call-ID", "another").set("CSeq", "1 REGISTER"));
    assert!(answer.is("200") && answer.texts("Contact").is_empty(), "{answer}");
}

#[test]
fn one_more_contact_than_there_may_be_takes_the_place_of_the_first_to_go() {
    let mut registrar = Registrar::open();
    for host in 0..MAX_CONTACTS {
        let time = 3600 - host;
        registrar.register(&[&format!("<sip:bob@192.0.2.{}>;expires={time}", host + 20)]);
    }
    registrar.changes();
    let answer = registrar.register(&["<sip:bob@192.0.2.200>"]);
    assert_eq!(answer.texts("Contact").len(), MAX_CONTACTS, "{answer}");
    let first = format!("sip:bob@192.0.2.{}", MAX_CONTACTS + 19);
    let last = "sip:bob@192.0.2.200".to_owned();
    assert_eq!(
        registrar.changes(),
        [(first, BindingChange::Removed), (last, BindingChange::Registered)]
    );
}

#[test]
fn a_call_takes_the_path_of_the_registration() {
    let mut registrar = Registrar::open();
    let path = ["<sip:192.0.2.99:5061;lr>", "<sip:p1.example.com;lr>"];
    let with_path = |draft: Draft| draft.add("Path", path[0]).add("Path", path[1]);
    let unaware = with_path(registrar.draft(&["<sip:bob@192.0.2.20:5080>"]));
    let answer = registrar.send(unaware);
    assert!(answer.is("420") && answer.text("Unsupported") == "path", "{answer}");

    let aware = with_path(registrar.draft(&["<sip:bob@192.0.2.20:5080>"]));
    let answer = registrar.send(aware.set("Supported", "path").set("Require", "path"));
    assert!(answer.is("200"), "{answer}");
    assert_eq!(answer.texts("Path"), path);
    let invite = the(&registrar.call(1), "INVITE");
    assert_eq!(invite.to, address(99, 5061));
    assert_eq!(invite.start(), "INVITE sip:bob@192.0.2.20:5080 SIP/2.0");
    assert_eq!(invite.texts("Route"), path);
    assert_eq!(invite.text("To"), format!("<{BOB}>"));
}

#[test]
fn headers_of_a_contact_stay_out_of_the_request_line() {
    let mut registrar = Registrar::open();
    let contact = "<sip:bob@192.0.2.20:5080;ob?Route=%3Csip:192.0.2.66%3E>";
    assert!(registrar.register(&[contact]).is("200"));
    let invite = the(&registrar.call(1), "INVITE");
    assert_eq!(invite.start(), "INVITE sip:bob@192.0.2.20:5080;ob SIP/2.0");
    assert!(invite.texts("Route").is_empty() && invite.to == CALLEE, "{invite}");
}

#[test]
fn what_cannot_or_must_not_be_called_is_not_registered() {
    let mut registrar = Registrar::open();
    let long = format!("<sip:{}@192.0.2.20>", "b".repeat(3000));
    for (contact, status) in [
        ("<mailto:bob@example.com>", "416"),
        ("<sips:bob@192.0.2.20>", "416"),
        ("<sip:carol@192.0.2.1:5060>", "403"),
        ("<sip:bob@192.0.2.20", "400"),
        (&*long, "513"),
    ] {
        let answer = registrar.register(&["<sip:bob@192.0.2.22>", contact]);
        assert!(answer.is(status), "{contact}: {answer}");
    }
    for (name, uri) in [("To", "<sip:bob@192.0.2.2>"), ("To", "<sip:192.0.2.1>")] {
        let draft = registrar.draft(&["<sip:bob@192.0.2.20>"]).set(name, uri);
        assert!(registrar.send(draft).is("404"));
    }
    assert_eq!(registrar.wire.engine.load().registered, 0);
}

/// As RFC 3261 §19.1.1, table 1, wants it, and PJSIP does it.
#[test]
fn a_user_is_registered_whose_to_leaves_our_port_out() {
    let config = Config { open: true, ..Config::at(address(1, 5080)) };
    let mut registrar = Registrar { wire: Wire::seeded(config, 1), last: 0 };
    let to = |registrar: &mut Registrar, aor: &str| {
        let draft = registrar.draft(&["<sip:bob@192.0.2.20>"]);
        let draft = draft.start("REGISTER sip:192.0.2.1:5080 SIP/2.0");
        registrar.send(draft.set("To", format!("<{aor}>")))
    };
    assert!(to(&mut registrar, "sip:bob@192.0.2.1").is("200"));
    assert!(to(&mut registrar, "sip:bob@192.0.2.1:5060").is("404"));
    assert_eq!(registrar.wire.engine.load().registered, 1);
}

#[test]
fn a_closed_engine_without_users_registers_nobody() {
    let mut registrar = Registrar { wire: Wire::with(None, false), last: 0 };
    assert!(registrar.register(&["<sip:bob@192.0.2.20>"]).is("403"));
}

/// The challenge for this algorithm in an answer, as credentials of bob.
fn credentials(answer: &Sent, algorithm: Algorithm, count: u32, uri: &str) -> String {
    let challenges = answer.all("WWW-Authenticate");
    let challenge = challenges.iter().filter_map(|value| Challenge::parse(value));
    let challenge = challenge.into_iter().find(|challenge| challenge.algorithm == algorithm);
    let challenge = challenge.expect("a challenge for each algorithm");
    challenge.answer("bob", "secret", "REGISTER", uri, count, "cnonce")
}

fn is_stale(answer: &Sent) -> bool {
    assert!(answer.is("401"), "{answer}");
    let challenges = answer.texts("WWW-Authenticate");
    assert_eq!(challenges.len(), 2, "{answer}");
    challenges.iter().all(|challenge| challenge.ends_with(", stale=true"))
}

#[test]
fn credentials_are_good_once_for_a_while_and_for_what_they_were_made() {
    for algorithm in Algorithm::ALL {
        let mut registrar = Registrar::with_bob();
        let contact = ["<sip:bob@192.0.2.20:5080>"];
        let challenge = registrar.register(&contact);
        assert!(!is_stale(&challenge));
        let send = |registrar: &mut Registrar, challenge: &Sent, count, uri| {
            let credentials = credentials(challenge, algorithm, count, uri);
            let draft = registrar.draft(&contact).set("Authorization", credentials);
            registrar.send(draft)
        };
        assert!(!is_stale(&send(&mut registrar, &challenge, 1, "sip:192.0.2.2")));
        assert!(send(&mut registrar, &challenge, 1, DOMAIN).is("200"));
        // Somebody has heard it.
        assert!(is_stale(&send(&mut registrar, &challenge, 1, DOMAIN)));
        assert!(send(&mut registrar, &challenge, 2, DOMAIN).is("200"));
        registrar.wire.run_for(NONCE_LIFETIME + Duration::from_secs(1));
        let again = send(&mut registrar, &challenge, 3, DOMAIN);
        assert!(is_stale(&again));
        assert!(send(&mut registrar, &again, 1, DOMAIN).is("200"));
        assert_eq!(registrar.wire.engine.load().registered, 1);
    }
}

#[test]
fn a_user_without_a_hash_is_not_asked_for_it_and_cannot_use_it() {
    let mut registrar = Registrar::with_bobs_hashes(false);
    let contact = ["<sip:bob@192.0.2.20:5080>"];
    let challenge = registrar.register(&contact);
    let asked = challenge.texts("WWW-Authenticate");
    assert!(asked.len() == 1 && asked[0].contains("algorithm=MD5"), "{challenge}");
    // Even the right password proves nothing with it.
    let unasked = asked[0].replace("algorithm=MD5", "algorithm=SHA-256");
    let unasked = Challenge::parse(unasked.as_bytes()).expect("a challenge");
    let unasked = unasked.answer("bob", "secret", "REGISTER", DOMAIN, 1, "c");
    let draft = registrar.draft(&contact).set("Authorization", unasked);
    assert!(registrar.send(draft).is("401"));
    let right = credentials(&challenge, Algorithm::Md5, 1, DOMAIN);
    let draft = registrar.draft(&contact).set("Authorization", right);
    assert!(registrar.send(draft).is("200"));
}

#[test]
fn a_user_changes_no_other_users_contacts() {
    let mut registrar = Registrar::with_bob();
    let challenge = registrar.register(&[]);
    let credentials = credentials(&challenge, Algorithm::Sha256, 1, DOMAIN);
    let draft = registrar.draft(&["<sip:bob@192.0.2.20>"]).set("To", "<sip:carol@192.0.2.1:5060>");
    assert!(registrar.send(draft.set("Authorization", credentials)).is("403"));
}

#[test]
fn contacts_whose_names_lead_back_here_do_not_call_for_ever() {
    let loops = ["<sip:bob@one.example.com>", "<sip:bob@two.example.com>"];
    // One goes round until it is noticed; two would double with every round.
    for (contacts, most, status) in [(&loops[..1], 8, "482"), (&loops[..], 62, "440")] {
        let mut registrar = Registrar::open();
        registrar.register(contacts);
        let mut waiting = registrar.call(1);
        let (mut invites, mut refusals) = (0, 0);
        while let Some(sent) = waiting.pop() {
            refusals += usize::from(sent.is(status));
            invites += usize::from(sent.is("INVITE"));
            assert!(invites <= most, "it goes round and round");
            // Somebody out there sends what comes for these names back to us.
            let text = String::from_utf8_lossy(&sent.bytes)
                .replace("INVITE sip:bob@one.example.com", &format!("INVITE {BOB}"))
                .replace("INVITE sip:bob@two.example.com", &format!("INVITE {BOB}"));
            if sent.to == NAMED || sent.to == ENGINE {
                waiting.extend(registrar.wire.receive(ENGINE, text));
            }
        }
        assert!(refusals > 0, "{invites} INVITEs, nobody said {status}");
        registrar.wire.run_for(Duration::from_secs(4000));
        registrar.wire.assert_at_rest();
    }
}
