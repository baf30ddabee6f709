//! `CallStart` and transfers on the embedded engine, with phones that fail in every way: what a client
//! sends (`>`) and reads (`<`). The ladders of the same scenarios are in the engine's own tests.
//!
//! Engine and phones run in virtual time. Call-IDs come from a fixed seed, other ids and times are
//! masked. `UPDATE_EXPECT=1` rewrites the expectations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod transfers;
mod v2;
#[path = "../../../engine/tests/world/mod.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use call_api::api::{Command, CommandError, Registration};
use call_api::backend::embedded::translate;
use call_api::backend::{Backend, EventSink, Outcome, Progress};
use call_api::config::Limits;
use call_api::server::Phase;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::journal::Journal;
use call_api::server::outbox::Outbox;
use engine::phone::{Answer, Notify, OnRefer};
use expect_test::{Expect, expect};
use tokio::sync::watch;
use world::{CALLEE, CALLER, Fate, World};

/// An engine and phones, made for each command: how they are before it, and what happens while it
/// runs.
struct Lab {
    prepare: fn(&mut World),
    during: fn(&mut World),
}

impl Backend for Lab {
    fn run(&self, command: Command, progress: Progress) -> Outcome<'_> {
        Box::pin(async move {
            let mut world = World::new(1);
            (self.prepare)(&mut world);
            let command = match command {
                Command::CallStart(start) => world.start_with(translate::start(start)),
                Command::CallBlindTransfer(blind) => {
                    world.transfer(translate::blind_transfer(blind))
                }
                Command::CallAttendedTransfer(attended) => {
                    world.transfer(translate::attended_transfer(attended))
                }
                Command::CallHold(hold) => world.change_hold(translate::hold(hold)),
                Command::CallUnHold(unhold) => world.change_hold(translate::unhold(unhold)),
                Command::CallEnd(end) => world.end(end.callid.as_str()),
                Command::Mistaken(mistaken) => return Err(mistaken.into()),
                Command::Echo(_) => {
                    return Err(CommandError::Unsupported("not in this lab".to_owned()));
                }
            };
            (self.during)(&mut world);
            world.run_for(Duration::from_secs(600));
            let mut outcome = None;
            for event in &world.events {
                match event {
                    engine::Event::Progress(of, step) if *of == command => {
                        progress.report(translate::progress(step));
                    }
                    engine::Event::Done(of, result) if *of == command => {
                        outcome = Some(translate::outcome(result.clone()));
                    }
                    engine::Event::Progress(..)
                    | engine::Event::Done(..)
                    | engine::Event::Call(_)
                    | engine::Event::Registration { .. } => {}
                    engine::Event::Bug(text) => panic!("{text}"),
                }
            }
            outcome.expect("every command ends")
        })
    }
}

/// Places one call in a lab that was prepared so, and compares what the client sees.
async fn check(params: &str, prepare: fn(&mut World), transcript: Expect) {
    check_during(params, prepare, |_| {}, transcript).await;
}

/// The same, with something that happens while the command runs.
async fn check_during(
    params: &str,
    prepare: fn(&mut World),
    during: fn(&mut World),
    transcript: Expect,
) {
    let text = run(Dialect::V1, &start(params), prepare, during).await;
    transcript.assert_eq(&text);
}

/// A `CallStart` of alice and bob with these parameters beside.
fn start(params: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"CallStart","params":{{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"{params}}}}}"#
    )
}

/// What a client of this dialect reads of a command in a lab that was prepared so.
async fn run(
    dialect: Dialect,
    request: &str,
    prepare: fn(&mut World),
    during: fn(&mut World),
) -> String {
    let (_phase, follow) = watch::channel(Phase::Serving);
    let journal = Arc::new(Journal::default());
    let commands = Arc::new(Commands::new(
        Arc::new(Lab { prepare, during }),
        journal,
        &Limits::default(),
        follow,
    ));
    let (outbox, mut outgoing) = Outbox::channel(1 << 20);
    let connection = Connection::new(commands, outbox).speaking(dialect);
    let mut text = format!("> {request}\n");
    connection.receive(request);
    loop {
        let message = outgoing.messages.recv().await.unwrap();
        text += &format!("< {}\n", masked(message.text()));
        if message.text().contains(r#":"Ended""#) {
            break;
        }
    }
    assert!(outgoing.messages.try_recv().is_err(), "Ended is the last message");
    text
}

/// Without what differs from run to run.
fn masked(message: &str) -> String {
    let mut parts: Vec<&str> = message.split('"').collect();
    for at in 2..parts.len() {
        match parts[at - 2] {
            "cmd_id" => parts[at] = "CMD",
            "time" => parts[at] = "T",
            "cursor" => parts[at] = "C",
            _ => {}
        }
    }
    parts.join("\"").replace(r#","cursor":"C""#, "")
}

const REFER: &str = r#","mode":"refer""#;
const BRIDGE: &str = r#","mode":"bridge""#;

#[tokio::test]
async fn both_answer() {
    check(REFER, |_| {}, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"8ea053b3ba298896c0a9cd6d04705850"}}
    "#]]).await;
}

#[tokio::test]
async fn both_answer_verbose() {
    check(
        r#","mode":"refer","verbose":true"#,
        |w| w.phones[CALLEE].behaviour.answer = Answer::After(Duration::from_secs(2)),
        expect![[r#"
            > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer","verbose":true}}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_RINGING","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_PROGRESS","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","sip_code":100,"time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_RINGING","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_PROGRESS","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"caller","uri":"sip:alice@127.0.0.1:5071","sip_code":180,"time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"8ea053b3ba298896c0a9cd6d04705850"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn both_answer_and_are_bridged() {
    check(BRIDGE, |_| {}, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"28d67565a49ed4aa51c09533595c05df"}}
    "#]]).await;
}

#[tokio::test]
async fn caller_is_busy() {
    let busy = |w: &mut World| {
        w.phones[CALLER].behaviour.answer = Answer::Refuse(486, Duration::from_secs(1));
    };
    check("", busy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"caller: 486 Busy Here","data":{"kind":"sip_failure","origin":"caller","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn caller_never_answers() {
    check("", |w| w.phones[CALLER].behaviour.answer = Answer::Never, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn caller_is_not_there() {
    check("", |w| w.phones[CALLER].behaviour.answer = Answer::Silent, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn callee_is_busy() {
    let busy = |w: &mut World| {
        w.phones[CALLEE].behaviour.answer = Answer::Refuse(486, Duration::from_secs(1));
    };
    check("", busy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    check(BRIDGE, busy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn callee_declines() {
    let decline = |w: &mut World| {
        w.phones[CALLEE].behaviour.answer = Answer::Refuse(603, Duration::from_secs(1));
    };
    check("", decline, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"callee: 603 Decline","data":{"kind":"sip_failure","origin":"callee","sip_code":603,"sip_reason":"Decline"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn caller_hangs_up_while_the_callee_rings() {
    let rings = |w: &mut World| w.phones[CALLEE].behaviour.answer = Answer::Never;
    let hang_up = |w: &mut World| {
        w.run_for(Duration::from_secs(5));
        w.hang_up(CALLER);
    };
    check_during(REFER, rings, hang_up, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"caller: 487 Request Terminated","data":{"kind":"sip_failure","origin":"caller","sip_code":487,"sip_reason":"Request Terminated"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    check_during(BRIDGE, rings, hang_up, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"caller: 487 Request Terminated","data":{"kind":"sip_failure","origin":"caller","sip_code":487,"sip_reason":"Request Terminated"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn the_callees_200_and_our_cancel_cross() {
    let slow = |w: &mut World| {
        w.network = Box::new(|_, _, _| Fate::Arrives(Duration::from_millis(100)));
        w.phones[CALLEE].behaviour.answer = Answer::After(Duration::from_millis(4000));
    };
    check(r#","mode":"bridge","timeout_ms":4350"#, slow, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"bridge","timeout_ms":4350}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"callee: no answer in time","data":{"kind":"timeout","origin":"callee","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn callee_never_answers() {
    check("", |w| w.phones[CALLEE].behaviour.answer = Answer::Never, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"callee: no answer in time","data":{"kind":"timeout","origin":"callee","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn callee_does_not_answer_within_the_clients_time() {
    check(
        r#","timeout_ms":5000"#,
        |w| w.phones[CALLEE].behaviour.answer = Answer::Never,
        expect![[r#"
            > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","timeout_ms":5000}}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"callee: no answer in time","data":{"kind":"timeout","origin":"callee","sip_code":408}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn refer_is_refused() {
    let refuse = |w: &mut World| w.phones[CALLER].behaviour.refer = OnRefer::Refuse(405);
    check(REFER, refuse, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"caller: 405 Method Not Allowed","data":{"kind":"sip_failure","origin":"caller","sip_code":405,"sip_reason":"Method Not Allowed"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    check("", refuse, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"28d67565a49ed4aa51c09533595c05df"}}
    "#]]).await;
}

#[tokio::test]
async fn refer_is_accepted_and_nothing_follows() {
    let idle = |w: &mut World| w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
    check(REFER, idle, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    check("", idle, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"28d67565a49ed4aa51c09533595c05df"}}
    "#]]).await;
}

#[tokio::test]
async fn notify_comes_without_a_body_or_not_at_all() {
    check(REFER, |w| w.phones[CALLER].behaviour.notify = Notify::Empty, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"8ea053b3ba298896c0a9cd6d04705850"}}
    "#]]).await;
    check(REFER, |w| w.phones[CALLER].behaviour.notify = Notify::Never, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"1247ee500f8af0f98ea053b3ba298896","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"1247ee500f8af0f98ea053b3ba298896","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"1247ee500f8af0f98ea053b3ba298896"}}
    "#]]).await;
}

#[tokio::test]
async fn half_of_all_datagrams_come_twice_and_every_third_is_lost() {
    let noisy = |w: &mut World| {
        let mut count = 0;
        w.network = Box::new(move |_, _, _| {
            count += 1;
            match count % 6 {
                0 | 3 => Fate::Lost,
                1 => Fate::Doubled(Duration::ZERO, Duration::from_millis(40)),
                _ => Fate::Arrives(Duration::from_millis(10)),
            }
        });
    };
    check(REFER, noisy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_ANSWER","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"8ea053b3ba298896c0a9cd6d04705850"}}
    "#]]).await;
}

#[test]
fn a_phone_that_registers_again_with_its_uri_spelled_otherwise_is_listed_as_it_is_called() {
    let (mut world, journal) = (World::new(1), Journal::default());
    let listed = |world: &mut World| -> Vec<String> {
        for event in world.events.drain(..) {
            if let engine::Event::Registration { aor, contact, change, expires } = event {
                let event = translate::registration(&aor, &contact, change, expires);
                journal.registration(event.unwrap());
            }
        }
        let (registrations, _) = journal.registrations();
        let contact = |registration: &Registration| registration.contact.as_str().to_owned();
        registrations.iter().map(|record| contact(&record.registration)).collect()
    };
    world.register(CALLER, 600);
    world.run_for(Duration::from_secs(1));
    assert_eq!(listed(&mut world), ["sip:alice@127.0.0.1:5071"]);
    world.rewrite = Some(Box::new(|_, _, text| {
        text.replace("<sip:alice@127.0.0.1:5071>", "<sip:%61lice@127.0.0.1:5071>")
    }));
    world.register(CALLER, 600);
    world.run_for(Duration::from_secs(1));
    assert_eq!(listed(&mut world), ["sip:%61lice@127.0.0.1:5071"]);
    world.run_for(Duration::from_secs(700));
    assert_eq!(listed(&mut world), [""; 0]);
}
