//! Calls that somebody watches: lists, snapshots, events, and what becomes of cursors.

use call_api::api::call::{EndedBy, Ending, Party, Reached, Stage};
use call_api::api::{Call, CallChange, CallEvent, CallId, Side, SipUri};
use call_api::backend::EventSink;
use call_api::config::Limits;
use expect_test::expect;

use crate::Client;

/// A call from alice to bob that no command started.
pub(crate) fn call(id: &str, callid: &str) -> Call {
    let party = |uri| Party {
        uri: SipUri::parse(uri),
        callid: None,
        reached: Reached::Calling,
        held: false,
    };
    Call {
        id: CallId::parse(id).unwrap(),
        callid: CallId::parse(callid),
        stage: Stage::Calling,
        caller: party("sip:alice@h"),
        callee: party("sip:bob@h"),
        ending: None,
    }
}

/// What the backend tells of a call, from its beginning to its end.
pub(crate) fn life(id: &str, callid: &str) -> Vec<CallEvent> {
    let mut call = call(id, callid);
    let mut life = vec![CallEvent { change: CallChange::Created, call: call.clone() }];
    let mut next = |change, alter: fn(&mut Call)| {
        alter(&mut call);
        life.push(CallEvent { change, call: call.clone() });
    };
    next(CallChange::Ringing(Side::Callee), |call| call.callee.reached = Reached::Ringing);
    next(CallChange::EarlyMedia(Side::Callee), |call| call.callee.reached = Reached::EarlyMedia);
    next(CallChange::Answered(Side::Callee), |call| {
        call.stage = Stage::Answered;
        (call.caller.reached, call.callee.reached) = (Reached::Answered, Reached::Answered);
    });
    next(CallChange::Established, |call| call.stage = Stage::Established);
    next(CallChange::Held(Side::Callee), |call| call.callee.held = true);
    next(CallChange::Unheld(Side::Callee), |call| call.callee.held = false);
    next(CallChange::Ending, |call| {
        call.stage = Stage::Ending;
        let by = EndedBy::Party(Side::Callee);
        call.ending = Some(Ending { by, status: None, q850: Some(16) });
    });
    next(CallChange::Ended, |_| {});
    life
}

impl Client {
    /// The backend tells of a call; then come the notifications.
    async fn tell(&mut self, event: CallEvent) {
        self.journal.call(event);
        self.settle().await;
    }

    /// Waits until nothing more comes.
    async fn settle(&mut self) {
        self.idle().await;
        self.write_down();
    }
}

const SUBSCRIBE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe"}"#;

#[tokio::test]
async fn a_subscription_tells_the_life_of_a_call_that_no_command_started() {
    let mut client = Client::new();
    client.begin(SUBSCRIBE);
    for event in life("0a", "call-7@phone") {
        client.tell(event).await;
    }
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe"}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-0","calls":[]}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_START","call":{"id":"0a","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-1","prev":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_RINGING","leg":"callee","call":{"id":"0a","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"ringing","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_PROGRESS","leg":"callee","call":{"id":"0a","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"early_media","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ANSWER","leg":"callee","call":{"id":"0a","callid":"call-7@phone","state":"answered","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-4","prev":"0000000a-3"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ESTABLISHED","call":{"id":"0a","callid":"call-7@phone","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-5","prev":"0000000a-4"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_HOLD","leg":"callee","call":{"id":"0a","callid":"call-7@phone","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":true}],"created":"T","answered":"T","established":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-6","prev":"0000000a-5"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_UNHOLD","leg":"callee","call":{"id":"0a","callid":"call-7@phone","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-7","prev":"0000000a-6"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ENDING","call":{"id":"0a","callid":"call-7@phone","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T","ended":{"origin":"callee","q850":16}},"time":"T","subscription":"sub-1","cursor":"0000000a-8","prev":"0000000a-7"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_END","call":{"id":"0a","callid":"call-7@phone","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T","ended":{"origin":"callee","q850":16}},"time":"T","subscription":"sub-1","cursor":"0000000a-9","prev":"0000000a-8"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_call_can_be_listed_and_asked_for_by_both_of_its_names() {
    let mut client = Client::new();
    let get = |name| {
        format!(r#"{{"jsonrpc":"2.0","id":2,"method":"CallGet","params":{{"callid":"{name}"}}}}"#)
    };
    for event in life("0a", "call-7@phone").into_iter().take(5) {
        client.journal.call(event);
    }
    client.begin(r#"{"jsonrpc":"2.0","id":1,"method":"CallList"}"#);
    client.begin(&get("call-7@phone"));
    client.begin(&get("0a"));
    client.begin(&get("other"));
    // The call passes through here twice.
    client.journal.call(life("0b", "call-7@phone").remove(0));
    client.begin(&get("call-7@phone"));
    client.begin(&get("0b"));
    for event in life("0a", "call-7@phone").into_iter().skip(5) {
        client.journal.call(event);
    }
    client.begin(&get("call-7@phone"));
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallList"}
        < {"jsonrpc":"2.0","id":1,"result":{"calls":[{"id":"0a","callid":"call-7@phone","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"}],"cursor":"0000000a-5"}}
        > {"jsonrpc":"2.0","id":2,"method":"CallGet","params":{"callid":"call-7@phone"}}
        < {"jsonrpc":"2.0","id":2,"result":{"id":"0a","callid":"call-7@phone","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"}}
        > {"jsonrpc":"2.0","id":2,"method":"CallGet","params":{"callid":"0a"}}
        < {"jsonrpc":"2.0","id":2,"result":{"id":"0a","callid":"call-7@phone","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"}}
        > {"jsonrpc":"2.0","id":2,"method":"CallGet","params":{"callid":"other"}}
        < {"jsonrpc":"2.0","id":2,"error":{"code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
        > {"jsonrpc":"2.0","id":2,"method":"CallGet","params":{"callid":"call-7@phone"}}
        < {"jsonrpc":"2.0","id":2,"error":{"code":-32004,"message":"several calls have this Call-ID: 0a, 0b","data":{"kind":"invalid_state"}}}
        > {"jsonrpc":"2.0","id":2,"method":"CallGet","params":{"callid":"0b"}}
        < {"jsonrpc":"2.0","id":2,"result":{"id":"0b","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"}}
        > {"jsonrpc":"2.0","id":2,"method":"CallGet","params":{"callid":"call-7@phone"}}
        < {"jsonrpc":"2.0","id":2,"result":{"id":"0b","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_snapshot_holds_the_calls_there_are_and_events_go_on_from_it() {
    let mut client = Client::new();
    let mut life = life("0a", "call-7@phone").into_iter();
    client.journal.call(life.next().unwrap());
    client.begin(SUBSCRIBE);
    client.tell(life.next().unwrap()).await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe"}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1","calls":[{"id":"0a","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"}]}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_RINGING","leg":"callee","call":{"id":"0a","callid":"call-7@phone","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"ringing","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_refused_call_says_who_refused_and_how() {
    let mut client = Client::new();
    client.journal.call(CallEvent { change: CallChange::Created, call: call("0a", "c") });
    client.begin(SUBSCRIBE);
    let ended = |by, code, reason: &str| {
        let status = Some((code, reason.to_owned()));
        let mut call = call("0a", "c");
        call.stage = Stage::Ending;
        call.ending = Some(Ending { by, status, q850: None });
        CallEvent { change: CallChange::Ending, call }
    };
    client.tell(ended(EndedBy::Party(Side::Callee), 486, "Busy Here")).await;
    client.tell(ended(EndedBy::Command, 487, "Request Terminated")).await;
    client.tell(ended(EndedBy::Server, 500, "Server Internal Error")).await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe"}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1","calls":[{"id":"0a","callid":"c","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"}]}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ENDING","call":{"id":"0a","callid":"c","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T","ended":{"origin":"callee","sip_code":486,"sip_reason":"Busy Here"}},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ENDING","call":{"id":"0a","callid":"c","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T","ended":{"origin":"command","sip_code":487,"sip_reason":"Request Terminated"}},"time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ENDING","call":{"id":"0a","callid":"c","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T","ended":{"origin":"server","sip_code":500,"sip_reason":"Server Internal Error"}},"time":"T","subscription":"sub-1","cursor":"0000000a-4","prev":"0000000a-3"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_client_that_comes_back_with_its_cursor_misses_nothing() {
    let mut client = Client::new();
    client.begin(SUBSCRIBE);
    let mut life = life("0a", "c").into_iter();
    client.tell(life.next().unwrap()).await;
    let mut again = client.another();
    drop(client);
    again.journal.call(life.next().unwrap());
    again.journal.call(life.next().unwrap());
    again.begin(r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"0000000a-1"}}"#);
    again.settle().await;
    again.tell(life.next().unwrap()).await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"0000000a-1"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_RINGING","leg":"callee","call":{"id":"0a","callid":"c","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"ringing","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_PROGRESS","leg":"callee","call":{"id":"0a","callid":"c","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"early_media","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_ANSWER","leg":"callee","call":{"id":"0a","callid":"c","state":"answered","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-4","prev":"0000000a-3"}}
    "#]].assert_eq(&again.transcript);
}

#[tokio::test]
async fn a_cursor_that_is_too_old_or_foreign_is_answered_with_a_gap_and_a_snapshot() {
    let mut client = Client::with_journal_of(1200, &Limits::default());
    for event in life("0a", "c").into_iter().take(5) {
        client.journal.call(event);
    }
    for since in ["0000000a-1", "0000000b-4", "0000000a-6"] {
        client.begin(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{{"since":"{since}"}}}}"#
        ));
    }
    client.begin(r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"17"}}"#);
    client.settle().await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"0000000a-1"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-5","gap":true,"calls":[{"id":"0a","callid":"c","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"}]}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"0000000b-4"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-2","cursor":"0000000a-5","gap":true,"calls":[{"id":"0a","callid":"c","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"}]}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"0000000a-6"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-3","cursor":"0000000a-5","gap":true,"calls":[{"id":"0a","callid":"c","state":"established","legs":[{"leg":"caller","uri":"sip:alice@h","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@h","state":"answered","held":false}],"created":"T","answered":"T","established":"T"}]}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"since":"17"}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"since\" is not valid: expected a cursor that a notification or reply carried","data":{"kind":"invalid_params"}}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_filter_leaves_other_calls_out() {
    let mut client = Client::new();
    client.journal.call(life("0a", "one").remove(0));
    client.journal.call(life("0b", "two").remove(0));
    client.begin(
        r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"callid":"two"}}}"#,
    );
    client.tell(life("0a", "one").remove(1)).await;
    client.tell(life("0b", "two").remove(1)).await;
    client.tell(life("0b", "two").remove(2)).await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"callid":"two"}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-2","calls":[{"id":"0b","callid":"two","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"}]}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_RINGING","leg":"callee","call":{"id":"0b","callid":"two","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"ringing","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-4","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_PROGRESS","leg":"callee","call":{"id":"0b","callid":"two","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"early_media","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-5","prev":"0000000a-4"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_command_is_followed_from_another_connection() {
    let mut client = Client::new();
    client.send(r#"{"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:busy@h","cmd_id":"order-7"}}"#).await;
    let mut again = client.another();
    again.begin(r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"order-7"},"since":"0000000a-4"}}"#);
    again.settle().await;
    again.begin(
        r#"{"jsonrpc":"2.0","id":2,"method":"Subscribe","params":{"filter":{"cmd_id":"order-7"}}}"#,
    );
    again.settle().await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"order-7"},"since":"0000000a-4"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-4"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"order-7","code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here","q850":17},"subscription":"sub-1","cursor":"0000000a-5","prev":"0000000a-4"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7","subscription":"sub-1","cursor":"0000000a-6","prev":"0000000a-5"}}
        > {"jsonrpc":"2.0","id":2,"method":"Subscribe","params":{"filter":{"cmd_id":"order-7"}}}
        < {"jsonrpc":"2.0","id":2,"result":{"subscription":"sub-2","cursor":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T","subscription":"sub-2","cursor":"0000000a-2","prev":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T","subscription":"sub-2","cursor":"0000000a-3","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:busy@h","time":"T","subscription":"sub-2","cursor":"0000000a-4","prev":"0000000a-3"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"order-7","code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here","q850":17},"subscription":"sub-2","cursor":"0000000a-5","prev":"0000000a-4"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7","subscription":"sub-2","cursor":"0000000a-6","prev":"0000000a-5"}}
    "#]].assert_eq(&again.transcript);
}

#[tokio::test]
async fn a_command_whose_first_notifications_are_gone_is_followed_with_a_gap() {
    let mut client = Client::with_journal_of(1200, &Limits::default());
    client.send(r#"{"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","cmd_id":"order-7"}}"#).await;
    let mut again = client.another();
    again.begin(
        r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"order-7"}}}"#,
    );
    again.settle().await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"order-7"}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-4","gap":true}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T","subscription":"sub-1","cursor":"0000000a-5","prev":"0000000a-4"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7","callid":"call-1@fake","subscription":"sub-1","cursor":"0000000a-6","prev":"0000000a-5"}}
    "#]].assert_eq(&again.transcript);
}

#[tokio::test]
async fn a_command_is_followed_from_before_it_begins_also_when_the_journal_is_full() {
    let mut client = Client::with_journal_of(2500, &Limits::default());
    client.send(r#"{"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"}}"#).await;
    let mut watcher = client.another();
    watcher.begin(
        r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"later"}}}"#,
    );
    // What the subscription would read first is dropped before it reads.
    client.journal.call(life("0a", "c").remove(0));
    watcher.settle().await;
    client.send(r#"{"jsonrpc":"2.0","id":2,"method":"Echo","params":{"cmd_id":"later"}}"#).await;
    watcher.settle().await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"later"}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-2","gap":true}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"later","data":"REPLY","params":{"cmd_id":"later"},"time":"T","subscription":"sub-1","cursor":"0000000a-9","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"later","subscription":"sub-1","cursor":"0000000a-10","prev":"0000000a-9"}}
    "#]].assert_eq(&watcher.transcript);
    assert!(!*watcher.outgoing.overflowed.borrow(), "it is not cut off");
}

#[tokio::test]
async fn nothing_of_a_subscription_follows_its_end() {
    let mut client = Client::new();
    client.begin(SUBSCRIBE);
    let mut life = life("0a", "c").into_iter();
    client.tell(life.next().unwrap()).await;
    client.journal.call(life.next().unwrap());
    let unsubscribe =
        r#"{"jsonrpc":"2.0","id":2,"method":"Unsubscribe","params":{"subscription":"sub-1"}}"#;
    client.begin(unsubscribe);
    client.tell(life.next().unwrap()).await;
    client.begin(unsubscribe);
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe"}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-0","calls":[]}}
        < {"jsonrpc":"2.0","method":"CallEvent","params":{"event":"CALL_START","call":{"id":"0a","callid":"c","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@h","state":"calling","held":false},{"leg":"callee","uri":"sip:bob@h","state":"calling","held":false}],"created":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-1","prev":"0000000a-0"}}
        > {"jsonrpc":"2.0","id":2,"method":"Unsubscribe","params":{"subscription":"sub-1"}}
        < {"jsonrpc":"2.0","id":2,"result":{"subscription":"sub-1"}}
        > {"jsonrpc":"2.0","id":2,"method":"Unsubscribe","params":{"subscription":"sub-1"}}
        < {"jsonrpc":"2.0","id":2,"error":{"code":-32003,"message":"no such subscription","data":{"kind":"not_found"}}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_query_is_checked_like_a_command() {
    let mut client = Client::new();
    for (method, params) in [
        ("CallGet", "{}"),
        ("CallGet", r#"{"callid":7}"#),
        ("CallList", r#"{"limit":7}"#),
        ("Subscribe", r#"{"filter":{"call":"x"}}"#),
        ("Subscribe", r#"{"filter":{"callid":"x","cmd_id":"y"}}"#),
        ("Subscribe", "[]"),
        ("Unsubscribe", "{}"),
        ("Subscrbe", "{}"),
    ] {
        client
            .begin(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#));
    }
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallGet","params":{}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"CallGet","params":{"callid":7}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"callid\" is not valid: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"CallList","params":{"limit":7}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown parameter \"limit\"","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"call":"x"}}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"filter\" is not valid: expected {\"callid\": …}, {\"cmd_id\": …} or {\"registrations\": true}, or {} for all calls","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"callid":"x","cmd_id":"y"}}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"filter\" is not valid: expected {\"callid\": …}, {\"cmd_id\": …} or {\"registrations\": true}, or {} for all calls","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":[]}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameters must be named: expected an object such as {\"callid\": \"…\"}","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"Unsubscribe","params":{}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"subscription\" is missing: expected the \"subscription\" that the reply to Subscribe carried","data":{"kind":"invalid_params"}}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscrbe","params":{}}
        < {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"unknown method \"Subscrbe\", did you mean \"Subscribe\"?","data":{"kind":"method_not_found"}}}
    "#]].assert_eq(&client.transcript);
}
