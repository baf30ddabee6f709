//! What clients of the Go implementation sent and read (`WS>`, `WS<`), in dialect v2 of this server: each
//! command tells the same story as it did there, except where that one was wrong.

use std::time::Duration;

use call_api::server::dialect::Dialect;
use expect_test::{Expect, expect, expect_file};
use serde_json::Value;

use crate::client::Client;
use crate::flows;
use crate::replay::{Line, Player, folder, recordings};
use crate::script::{OnRefer, Phone, Script, World};

/// Where the stories differ, and why. `replayed/v2.txt` shows both.
const DIFFERENT: [(&str, &str); 21] = [
    ("02-callstart-ok-notify", ANSWERED),
    ("07-callstart-callee-busy", SILENT),
    ("08-callstart-callee-noanswer", SILENT),
    ("09-callstart-refer-rejected", UNASKED),
    ("10-callstart-refer-silent", UNASKED),
    ("11-callstart-refer-accept-only", UNASKED),
    ("25-ws-errors", LOOSE),
    ("26-blind-twice", SILENT),
    ("27-blind-refer-rejected", UNASKED),
    ("28-hold-callee-488", HOLDS),
    ("29-hold-callee-silent", HOLDS),
    ("30-hold-caller-491", HOLDS),
    ("61-reflected-methods", "there any function of the program could be called"),
    ("62-client-leaves", "there the server died with its client"),
    ("64-concurrent-callend", MIXED),
    ("65-ringing-callstart-and-callend", MIXED),
    (
        "66-unsubscribe-kills-others",
        "there the commands of one connection got in each other's way, and a phone's report could \
        overtake the call that it speaks of",
    ),
    ("67-expiry-120s", "there a subscription ended after 120 s, and the story with it"),
    ("69-proxy-down", "there most commands waited for ever for a proxy that was down"),
    (
        "70-injection",
        "what is no SIP URI is told at once, and a cmd_id with a line break is refused in the reply",
    ),
    ("72-provisional-replies", "there a ringing phone counted as a failure"),
];

const ANSWERED: &str =
    "what a phone reports after the callee has answered is not told: the command has ended";
const SILENT: &str = "there a new call that failed was neither an Error nor an Ended";
const UNASKED: &str = "there the party was Transferring before anything showed that it goes, and nothing was told when it \
    did not";
const LOOSE: &str = "there an Echo had to be an object with text in it, a batch could not be read, any function of the program could be \
    called, and two requests ended the server";
const HOLDS: &str = "there a hold that failed was told with an empty name and never ended, and commands told each other's \
    events; here the other party is taken back";
const MIXED: &str = "there the commands of one connection got in each other's way";

#[tokio::test(start_paused = true)]
async fn clients_of_the_go_implementation_read_what_they_know() {
    let mut shown = String::new();
    let mut different = Vec::new();
    for (name, lines) in recordings() {
        let recorded = stories(lines.iter().filter_map(read));
        // Where nobody read anything there is no story.
        if recorded.is_empty() {
            continue;
        }
        let client = Player::play(&name, lines, Dialect::V2).await;
        let ours = stories(client.messages.into_iter());
        if ours == recorded {
            shown += &format!("{name}: as recorded\n");
            continue;
        }
        let why = DIFFERENT.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
        let why = why.unwrap_or("no reason is known");
        shown += &format!("{name}: {why}\n");
        for (recorded, ours) in recorded.iter().zip(&ours).filter(|(one, other)| one != other) {
            shown += &format!("  recorded {recorded}\n  ours     {ours}\n");
        }
        different.push(name);
    }
    expect_file![folder("replayed").join("v2.txt")].assert_eq(&shown);
    let explained = DIFFERENT.map(|(name, _)| name);
    assert_eq!(
        different, explained,
        "the stories that differ, and those whose difference is explained"
    );
}

#[tokio::test(start_paused = true)]
async fn each_command_is_like_its_example() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let mut script = Script::new(World::default());
        let mut client = Client::of(&mut script).await.speaking(dialect);
        let unhold = match dialect {
            Dialect::V1 => "CallUnHold",
            Dialect::V2 => "CallUnhold",
        };
        let of_both = |a: &'static str, b: &'static str| match dialect {
            Dialect::V1 => [("callid_a", a), ("callid_b", b)],
            Dialect::V2 => [("callidA", a), ("callidB", b)],
        };
        for callid in ["one", "two", "three"] {
            script.call(callid, "sip:alice@10.0.0.10", "sip:bob@10.0.0.11");
        }
        for (method, params) in [
            ("CallStart", vec![]),
            ("CallHold", vec![("callid", "one")]),
            (unhold, vec![("callid", "one")]),
            ("CallBlindTransfer", vec![("callid", "one")]),
            ("CallAttendedTransfer", of_both("two", "three").to_vec()),
            ("CallEnd", vec![("callid", "four")]),
        ] {
            if method == "CallEnd" {
                script.call("four", "sip:alice@10.0.0.10", "sip:bob@10.0.0.11");
            }
            let request = flows::request(dialect, method, &params);
            client.messages.clear();
            client.send(&request.to_string());
            client.until_ended().await;
            flows::assert_like_example(dialect, &request, &client.messages);
        }
    }
}

/// What a client of v2 reads of commands in a world in which alice talks to bob and to cindy.
async fn check(world: World, commands: &[(&str, &str)], transcript: Expect) {
    let mut script = Script::new(world);
    let mut client = Client::of(&mut script).await.speaking(Dialect::V2);
    script.call("one", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    script.call("two", "sip:alice@127.0.0.1", "sip:cindy@127.0.0.1;transport=udp");
    for (method, params) in commands {
        client.run(method, params).await;
    }
    transcript.assert_eq(&client.transcript);
}

/// As OpenSIPS tells it; when that is lost, as the REFER had it.
#[tokio::test(start_paused = true)]
async fn an_attended_transfer_says_where_its_party_goes_that_no_client_named() {
    let transfer = (
        "CallAttendedTransfer",
        r#""callidA":"one","legA":"callee","callidB":"two","legB":"callee""#,
    );
    check(World::default(), &[transfer], expect![[r#"
        > CallAttendedTransfer "callidA":"one","legA":"callee","callidB":"two","legB":"callee"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","event":"Transferring","callid":"one","leg":"callee"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":{"callid":"new-of-one","destination":"sip:cindy@127.0.0.1"},"event":"TransferStart","callid":"new-of-one","leg":"callee","uri":"sip:cindy@127.0.0.1"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":{"callid":"new-of-one","destination":"sip:cindy@127.0.0.1","extra":"100 Trying"},"event":"TransferPending","callid":"new-of-one","leg":"callee","sip_code":100}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":{"callid":"new-of-one","destination":"sip:cindy@127.0.0.1","extra":"180 Ringing"},"event":"TransferPending","callid":"new-of-one","leg":"callee","sip_code":180}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":{"callid":"new-of-one","destination":"sip:cindy@127.0.0.1"},"event":"TransferSuccessful","callid":"new-of-one","uri":"sip:cindy@127.0.0.1"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","event":"Ended","callid":"new-of-one"}}
    "#]]).await;
    let told = ["start", "notify", "ok"];
    let lost_events = told.map(|state| ("E_CALL_TRANSFER", state)).to_vec();
    let world = World { lost_events, ..World::default() };
    check(world, &[transfer], expect![[r#"
        > CallAttendedTransfer "callidA":"one","legA":"callee","callidB":"two","legB":"callee"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","event":"Transferring","callid":"one","leg":"callee"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":{"callid":"new-of-one","destination":"sip:cindy@127.0.0.1;transport=udp"},"event":"TransferStart","callid":"new-of-one","leg":"callee","uri":"sip:cindy@127.0.0.1;transport=udp"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":{"callid":"new-of-one","destination":"sip:cindy@127.0.0.1;transport=udp"},"event":"TransferSuccessful","callid":"new-of-one","uri":"sip:cindy@127.0.0.1;transport=udp"}}
        < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","event":"Ended","callid":"new-of-one"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_does_not_go_to_the_callee_has_answered_all_the_same() {
    let start = (
        "CallStart",
        r#""caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":9000"#,
    );
    for (on_refer, transcript) in [
        (
            OnRefer::Nothing,
            expect![[r#"
            > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":9000
            < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":{"callee":"sip:bob@127.0.0.1","caller":"sip:alice@127.0.0.1"},"event":"CallerAnswered","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":"408 Request Timeout","event":"Error","error":{"code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","event":"Ended"}}
        "#]],
        ),
        (
            OnRefer::Refuses,
            expect![[r#"
            > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":9000
            < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":{"callee":"sip:bob@127.0.0.1","caller":"sip:alice@127.0.0.1"},"event":"CallerAnswered","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":"caller: it refused the REFER, or did not answer it","event":"Error","error":{"code":-32020,"message":"caller: it refused the REFER, or did not answer it","data":{"kind":"sip_failure","origin":"caller"}}}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","event":"Ended"}}
        "#]],
        ),
        (
            OnRefer::HangsUp,
            expect![[r#"
            > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":9000
            < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":{"callee":"sip:bob@127.0.0.1","caller":"sip:alice@127.0.0.1"},"event":"CallerAnswered","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":"487 Request Terminated","event":"Error","error":{"code":-32020,"message":"caller: 487 Request Terminated","data":{"kind":"sip_failure","origin":"caller","sip_code":487,"sip_reason":"Request Terminated"}}}}
            < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","event":"Ended"}}
        "#]],
        ),
    ] {
        check(World { on_refer, ..World::default() }, &[start], transcript).await;
    }
    let rings = World { caller: Phone::Rings, ..World::default() };
    check(rings, &[start], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":9000
        < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
        < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","data":"failed to establish initial call: 408 Request Timeout","event":"Error","error":{"code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}}
        < {"method":"CallStart","params":{"cmd_id":"cmd_id-1","event":"Ended"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_state_of_a_call_does_not_allow_is_told_in_known_words() {
    let transfer = (
        "CallBlindTransfer",
        r#""callid":"one","leg":"callee","destination":"sip:dora@127.0.0.1""#,
    );
    let world =
        World { target: Phone::Refuses("486 Busy Here", Duration::ZERO), ..World::default() };
    check(
        world,
        &[
            (
                "CallAttendedTransfer",
                r#""callidA":"one","legA":"caller","callidB":"one","legB":"callee""#,
            ),
            (
                "CallAttendedTransfer",
                r#""callidA":"one","legA":"caller","callidB":"six","legB":"callee""#,
            ),
            ("CallUnhold", r#""callid":"one""#),
            ("CallHold", r#""callid":"one""#),
            ("CallHold", r#""callid":"one""#),
            transfer,
            transfer,
        ],
        expect![[r#"
            > CallAttendedTransfer "callidA":"one","legA":"caller","callidB":"one","legB":"callee"
            < {"id":1,"result":{"cmd_id":"cmd_id-1","event":"Started","status":"Started"}}
            < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","data":"the two calls are one","event":"Error","error":{"code":-32004,"message":"the two calls are one","data":{"kind":"invalid_state"}}}}
            < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-1","event":"Ended"}}
            > CallAttendedTransfer "callidA":"one","legA":"caller","callidB":"six","legB":"callee"
            < {"id":1,"result":{"cmd_id":"cmd_id-2","event":"Started","status":"Started"}}
            < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-2","data":"404 Transfer dialog not found","event":"Error","error":{"code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}}
            < {"method":"CallAttendedTransfer","params":{"cmd_id":"cmd_id-2","event":"Ended"}}
            > CallUnhold "callid":"one"
            < {"id":1,"result":{"cmd_id":"cmd_id-3","event":"Started","status":"Started"}}
            < {"method":"CallUnhold","params":{"cmd_id":"cmd_id-3","data":"480 No dialog legs on hold","event":"Error","error":{"code":-32004,"message":"not on hold","data":{"kind":"invalid_state"}}}}
            < {"method":"CallUnhold","params":{"cmd_id":"cmd_id-3","event":"Ended"}}
            > CallHold "callid":"one"
            < {"id":1,"result":{"cmd_id":"cmd_id-4","event":"Started","status":"Started"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-4","event":"CallHolding","callid":"one"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-4","data":{"leg":"caller"},"event":"CallHoldStart","callid":"one","leg":"caller"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-4","data":{"leg":"callee"},"event":"CallHoldStart","callid":"one","leg":"callee"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-4","data":{"leg":"caller"},"event":"CallHoldSuccessful","callid":"one","leg":"caller"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-4","data":{"leg":"callee"},"event":"CallHoldSuccessful","callid":"one","leg":"callee"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-4","event":"Ended"}}
            > CallHold "callid":"one"
            < {"id":1,"result":{"cmd_id":"cmd_id-5","event":"Started","status":"Started"}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-5","data":"480 Both dialog legs are on hold","event":"Error","error":{"code":-32004,"message":"already on hold","data":{"kind":"invalid_state"}}}}
            < {"method":"CallHold","params":{"cmd_id":"cmd_id-5","event":"Ended"}}
            > CallBlindTransfer "callid":"one","leg":"callee","destination":"sip:dora@127.0.0.1"
            < {"id":1,"result":{"cmd_id":"cmd_id-6","event":"Started","status":"Started"}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-6","data":{"destination":"sip:dora@127.0.0.1"},"event":"Transferring","callid":"one","leg":"callee"}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-6","data":{"callid":"new-of-one","destination":"sip:dora@127.0.0.1"},"event":"TransferStart","callid":"new-of-one","leg":"callee","uri":"sip:dora@127.0.0.1"}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-6","data":{"callid":"new-of-one","destination":"sip:dora@127.0.0.1","extra":"100 Trying"},"event":"TransferPending","callid":"new-of-one","leg":"callee","sip_code":100}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-6","data":{"callid":"new-of-one","destination":"sip:dora@127.0.0.1","extra":"180 Ringing"},"event":"TransferPending","callid":"new-of-one","leg":"callee","sip_code":180}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-6","data":"486 Busy Here","event":"Error","error":{"code":-32020,"message":"target: 486 Busy Here","data":{"kind":"sip_failure","origin":"target","sip_code":486,"sip_reason":"Busy Here"}}}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-6","event":"Ended"}}
            > CallBlindTransfer "callid":"one","leg":"callee","destination":"sip:dora@127.0.0.1"
            < {"id":1,"result":{"cmd_id":"cmd_id-7","event":"Started","status":"Started"}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-7","data":"491 Request Pending","event":"Error","error":{"code":-32004,"message":"a call is transferred once in OpenSIPS, and this one was, or is being","data":{"kind":"invalid_state"}}}}
            < {"method":"CallBlindTransfer","params":{"cmd_id":"cmd_id-7","event":"Ended"}}
        "#]],
    )
    .await;
}

/// A message that the recorded client read.
fn read(line: &Line) -> Option<Value> {
    (line.kind == "WS<").then(|| serde_json::from_str(&line.text).unwrap())
}

/// What each command told, in the order in which they were started.
fn stories(messages: impl Iterator<Item = Value>) -> Vec<String> {
    let (mut cmd_ids, mut stories) = (Vec::new(), Vec::<String>::new());
    let each = |message| match message {
        Value::Array(batch) => batch,
        message => vec![message],
    };
    for message in messages.flat_map(each) {
        let place = if message["method"].is_string() { "params" } else { "result" };
        let told = &message[place];
        if told.is_null() {
            stories.push("refused".to_owned());
            cmd_ids.push(Value::Null);
            continue;
        }
        let event = told["event"].as_str().unwrap_or("(no event)");
        let at = cmd_ids.iter().position(|cmd_id| *cmd_id == told["cmd_id"]);
        let at = at.unwrap_or_else(|| {
            cmd_ids.push(told["cmd_id"].clone());
            stories.push(String::new());
            stories.len() - 1
        });
        let method = message["method"].as_str().unwrap_or_default();
        if !method.is_empty() && !stories[at].starts_with(method) {
            stories[at].insert_str(0, &format!("{method}: "));
        }
        stories[at] += &format!("{event}{} ", data(&told["data"]));
    }
    stories
}

/// The members of `data`, or what else it is.
fn data(data: &Value) -> String {
    match data {
        Value::Null => String::new(),
        Value::String(words) => format!("({words:?})"),
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().map(String::as_str).collect();
            names.sort_unstable();
            format!("({})", names.join(", "))
        }
        Value::Array(_) => "([])".to_owned(),
        other => panic!("data is {other}"),
    }
}
