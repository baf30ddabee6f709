//! What can go wrong between the server and OpenSIPS: nothing of it may keep a command from ending
//! with the truth, or leave a call behind.

use std::collections::HashMap;
use std::time::Duration;

use call_api::backend::Backend;
use call_api::backend::opensips::link::Arrival;
use call_api::server::Phase;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::script::{OnHold, OnRefer, Phone, Script, World};

const START: &str = r#""caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1""#;

/// Starts a call in this world, and returns what the client was told last before `Ended`.
async fn start(world: World) -> (Script, String) {
    let mut script = Script::new(world);
    let mut client = Client::of(&mut script).await;
    let params = format!(r#"{START},"timeout_ms":60000"#);
    client.run("CallStart", &params).await;
    (script, last(&client))
}

/// The last event or error, and whether `Ended` follows it.
fn last(client: &Client) -> String {
    let lines: Vec<&str> = client.transcript.lines().collect();
    let [.., last, ended] = lines.as_slice() else { panic!("{}", client.transcript) };
    assert!(ended.contains("Ended"), "{}", client.transcript);
    (*last).to_owned()
}

fn assert_talking(script: &Script, last: &str) {
    assert!(last.contains(r#""data":"CALL_ANSWER","callid":"new-of-call""#), "{last}");
    let left: Vec<String> = script.dialogs().into_iter().map(|dialog| dialog.callid).collect();
    assert_eq!(left, ["new-of-call"], "the helper is taken down");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_known_from_the_dialog() {
    let lost_answers = HashMap::from([("t_uac_dlg", 1)]);
    let (script, last) = start(World { lost_answers, ..World::default() }).await;
    assert_talking(&script, &last);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_with_its_events_is_asked_for() {
    let lost_answers = HashMap::from([("t_uac_dlg", 1)]);
    let lost_events = vec![
        ("E_DLG_STATE_CHANGED", "2"),
        ("E_DLG_STATE_CHANGED", "3"),
        ("E_DLG_STATE_CHANGED", "4"),
        ("E_DLG_STATE_CHANGED", "5"),
    ];
    let world = World { lost_answers, lost_events, ..World::default() };
    let (script, told) = start(world.clone()).await;
    assert_talking(&script, &told);
    let began = Instant::now();
    let caller = Phone::Refuses("486 Busy Here", Duration::from_secs(2));
    let (script, told) = start(World { caller, ..world }).await;
    assert!(told.contains("caller: the call to it ended before it was answered"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(script.dialogs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_asked_for_fails_soon_and_is_not_asked_for_again() {
    let lost_requests = HashMap::from([("t_uac_dlg", 1)]);
    let began = Instant::now();
    let (script, last) = start(World { lost_requests, ..World::default() }).await;
    assert!(last.contains("backend_unavailable"), "{last}");
    assert!(last.contains("it did not get the request to call the caller"), "{last}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(script.requests("t_uac_dlg").is_empty() && script.dialogs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_asked_for_late_is_made_once() {
    let late = Duration::from_secs(4);
    let late_requests = HashMap::from([("t_uac_dlg", late)]);
    for world in [
        World { late_requests, ..World::default() },
        World { late_dialogs: late / 2, ..World::default() },
    ] {
        let (script, last) = start(world).await;
        assert_talking(&script, &last);
        assert_eq!(script.requests("t_uac_dlg").len(), 1);
        assert!(script.requests("t_uac_cancel").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_dialog_is_cancelled() {
    let world = World { has_no_dialogs: true, caller: Phone::Rings, ..World::default() };
    let began = Instant::now();
    let (script, last) = start(world).await;
    assert!(last.contains("create_dialog()"), "{last}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(script.ringing(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refer_does_not_overtake_the_ack() {
    let ack_takes = Duration::from_millis(200);
    let (script, last) = start(World { ack_takes, ..World::default() }).await;
    assert_talking(&script, &last);
    // A proxy that does not answer its own requests is not waited for.
    let lost_answers = HashMap::from([("t_uac_dlg", 2)]);
    let (script, last) = start(World { ack_takes, lost_answers, ..World::default() }).await;
    assert_talking(&script, &last);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_late_changes_nothing() {
    let late_answers = HashMap::from([
        ("t_uac_dlg", Duration::from_secs(3)),
        ("call_transfer", Duration::from_secs(7)),
        ("dlg_end_dlg", Duration::from_secs(7)),
    ]);
    let (script, last) = start(World { late_answers, ..World::default() }).await;
    assert_talking(&script, &last);
}

#[tokio::test(start_paused = true)]
async fn lost_queries_are_repeated_and_other_requests_are_not() {
    let lost_requests = HashMap::from([("event_subscribe", 2), ("dlg_list_ctx", 2), ("uptime", 1)]);
    let mut script = Script::new(World { lost_requests, ..World::default() });
    let mut client = Client::of(&mut script).await;
    sleep(Duration::from_secs(10)).await;
    client.run("CallStart", START).await;
    assert_talking(&script, &last(&client));
    assert_eq!(script.requests("t_uac_dlg").len(), 1);
    assert_eq!(script.requests("call_transfer").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_was_never_read_is_not_waited_for() {
    let lost_requests = HashMap::from([("call_transfer", 1)]);
    let began = Instant::now();
    let (script, last) = start(World { lost_requests, ..World::default() }).await;
    assert!(last.contains("backend_unavailable"), "{last}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(script.dialogs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn events_that_are_lost_are_asked_for() {
    for lost in [
        vec![("E_CALL_TRANSFER", "ok"), ("E_CALL_TRANSFER", "notify")],
        vec![("E_CALL_TRANSFER", "start"), ("E_CALL_TRANSFER", "notify")],
        vec![("E_DLG_STATE_CHANGED", "3"), ("E_DLG_STATE_CHANGED", "4")],
        vec![
            ("E_CALL_TRANSFER", "start"),
            ("E_CALL_TRANSFER", "ok"),
            ("E_CALL_TRANSFER", "notify"),
            ("E_DLG_STATE_CHANGED", "2"),
            ("E_DLG_STATE_CHANGED", "3"),
            ("E_DLG_STATE_CHANGED", "4"),
        ],
    ] {
        let (script, last) = start(World { lost_events: lost, ..World::default() }).await;
        assert_talking(&script, &last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_which_every_event_is_lost_is_found_out() {
    let lost_events = vec![
        ("E_CALL_TRANSFER", "start"),
        ("E_CALL_TRANSFER", "fail"),
        ("E_CALL_TRANSFER", "notify"),
        ("E_DLG_STATE_CHANGED", "5"),
    ];
    let target = Phone::Refuses("486 Busy Here", Duration::from_secs(1));
    let (script, last) = start(World { lost_events, target, ..World::default() }).await;
    assert!(last.contains("the call to it ended before it was answered"), "{last}");
    assert!(script.dialogs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn events_may_come_twice_and_in_any_order() {
    for reverses_events in 1..=6 {
        let world = World { doubles_events: true, reverses_events, ..World::default() };
        let (script, last) = start(world).await;
        assert_talking(&script, &last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_gone_fails_its_commands_at_once() {
    let mut script = Script::new(World { caller: Phone::Rings, ..World::default() });
    let mut client = Client::of(&mut script).await;
    client.begin("CallStart", START);
    sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    script.change(|world| world.is_frozen = true);
    script.send(Arrival::Gone("Connection refused".to_owned())).await;
    client.until_ended().await;
    assert!(last(&client).contains("backend_unavailable"), "{}", client.transcript);
    client.run("CallEnd", r#""callid":"x""#).await;
    assert!(last(&client).contains("Connection refused"), "{}", client.transcript);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_back_is_used_again() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    script.change(|world| world.is_frozen = true);
    script.send(Arrival::Gone("Connection refused".to_owned())).await;
    sleep(Duration::from_secs(60)).await;
    script.restart();
    script.change(|world| world.is_frozen = false);
    sleep(Duration::from_secs(10)).await;
    client.run("CallStart", START).await;
    assert_talking(&script, &last(&client));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_any_more_is_noticed() {
    let mut script = Script::new(World { caller: Phone::Rings, ..World::default() });
    let mut client = Client::of(&mut script).await;
    client.begin("CallStart", START);
    sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    script.change(|world| world.is_frozen = true);
    client.until_ended().await;
    assert!(last(&client).contains("backend_unavailable"), "{}", client.transcript);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_mid_command_ends_it_and_subscriptions_are_made_anew() {
    let mut script = Script::new(World { caller: Phone::Rings, ..World::default() });
    let mut client = Client::of(&mut script).await;
    client.begin("CallStart", START);
    sleep(Duration::from_secs(3)).await;
    script.restart();
    let began = Instant::now();
    client.until_ended().await;
    assert!(last(&client).contains("restarted"), "{}", client.transcript);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    script.change(|world| world.caller = Phone::Answers(Duration::ZERO));
    sleep(Duration::from_secs(5)).await;
    client.run("CallStart", START).await;
    assert_talking(&script, &last(&client));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_do_not_expire() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    sleep(Duration::from_secs(3600)).await;
    let began = Instant::now();
    client.run("CallStart", START).await;
    assert_talking(&script, &last(&client));
    let took = began.elapsed();
    assert!(took < Duration::from_millis(260), "the events told everything: {took:?}");
    let subscribed = script.requests("event_subscribe").len();
    assert!((3 * 170..=3 * 190).contains(&subscribed), "{subscribed} in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_knows_only_new_names_is_spoken_to_by_them() {
    let (script, last) = start(World { is_new: true, ..World::default() }).await;
    assert_talking(&script, &last);
    assert_eq!(script.requests("callops:transfer").len(), 1);
    assert_eq!(script.requests("event_subscribe").len(), 1, "detected once");
}

#[tokio::test(start_paused = true)]
async fn garbage_and_answers_to_nobody_are_passed_over() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    let texts: [&[u8]; 10] = [
        b"",
        b"400 Parse_error\n",
        b"500 Internal error\n",
        b"\x00\xff\xfe",
        b"[]",
        br#"{"jsonrpc":"2.0","result":"OK","id":1}"#,
        br#"{"jsonrpc":"2.0","result":"OK","id":"00000000-999999"}"#,
        br#"{"jsonrpc":"2.0","result":"OK","id":"ffffffff-1"}"#,
        br#"{"jsonrpc":"2.0","method":"E_CALL_HOLD","params":{"callid":7}}"#,
        br#"{"jsonrpc":"2.0","method":"E_DLG_STATE_CHANGED","params":{"id":"9.9","callid":"ghost","new_state":4}}"#,
    ];
    client.begin("CallStart", START);
    for text in texts {
        script.send(Arrival::Answer(text.to_vec())).await;
        script.send(Arrival::Event(text.to_vec())).await;
    }
    client.until_ended().await;
    assert_talking(&script, &last(&client));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_rings_is_ended_by_its_call_id() {
    let mut script = Script::new(World { target: Phone::Rings, ..World::default() });
    let mut client = Client::of(&mut script).await;
    client.begin("CallStart", START);
    sleep(Duration::from_secs(3)).await;
    client.run("CallEnd", r#""callid":"new-of-call""#).await;
    client.until_ended().await;
    assert!(script.dialogs().is_empty(), "{}", client.transcript);
    assert_eq!(client.transcript.matches("Ended").count(), 2, "{}", client.transcript);
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_with_the_call_or_with_its_deadline() {
    let mut script =
        Script::new(World { on_hold: [OnHold::Agrees, OnHold::Nothing], ..World::default() });
    let mut client = Client::of(&mut script).await;
    script.call("talk", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    client.run("CallHold", r#""callid":"talk","timeout_ms":20000"#).await;
    assert!(last(&client).contains("callee: no answer in time"), "{}", client.transcript);
    script.call("ends", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    client.begin("CallHold", r#""callid":"ends""#);
    sleep(Duration::from_secs(1)).await;
    client.run("CallEnd", r#""callid":"ends""#).await;
    client.until_ended().await;
    assert!(client.transcript.contains("the call ended"), "{}", client.transcript);
}

/// Holds and takes back a call in this world, and returns what was told and how long it took.
async fn hold(world: World, params: &str) -> (String, Duration) {
    let mut script = Script::new(world);
    let mut client = Client::of(&mut script).await;
    script.call("talk", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    let began = Instant::now();
    client.run("CallHold", params).await;
    client.run("CallUnHold", params).await;
    (client.transcript, began.elapsed())
}

const LOST_OF_HOLDS: [&[(&str, &str)]; 9] = [
    &[("E_CALL_HOLD", "start caller")],
    &[("E_CALL_HOLD", "start callee")],
    &[("E_CALL_HOLD", "start")],
    &[("E_CALL_HOLD", "ok caller")],
    &[("E_CALL_HOLD", "ok callee")],
    &[("E_CALL_HOLD", "ok")],
    &[("E_CALL_HOLD", "start caller"), ("E_CALL_HOLD", "ok caller")],
    &[("E_CALL_HOLD", "start callee"), ("E_CALL_HOLD", "ok callee")],
    &[("E_CALL_HOLD", "start"), ("E_CALL_HOLD", "ok")],
];

#[tokio::test(start_paused = true)]
async fn events_of_a_hold_that_are_lost_are_asked_for() {
    for params in [
        r#""callid":"talk""#,
        r#""callid":"talk","leg":"caller""#,
        r#""callid":"talk","leg":"callee""#,
    ] {
        let (whole, _) = hold(World::default(), params).await;
        let mut whole: Vec<&str> = whole.lines().collect();
        whole.sort_unstable();
        for lost in LOST_OF_HOLDS {
            let world = World { lost_events: lost.to_vec(), ..World::default() };
            let (told, took) = hold(world, params).await;
            let mut told: Vec<&str> = told.lines().collect();
            told.sort_unstable();
            assert_eq!(told, whole, "{params}, without {lost:?}");
            assert!(took < Duration::from_secs(1), "{params}, without {lost:?}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_hold_of_which_the_event_is_lost_ends_before_its_deadline() {
    let on_hold = [OnHold::Agrees, OnHold::Refuses];
    let lost_events = vec![("E_CALL_HOLD", "fail")];
    let (told, took) =
        hold(World { on_hold, lost_events, ..World::default() }, r#""callid":"talk""#).await;
    assert!(told.contains("callee: it refused the re-INVITE, or did not answer it"), "{told}");
    assert!(told.contains(r#""data":"CALL_UNHOLD","callid":"talk","leg":"caller""#), "{told}");
    assert!(told.contains("not on hold"), "the caller was taken back: {told}");
    assert!(took < Duration::from_secs(45), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn opensips_3_cannot_be_asked_what_became_of_a_hold() {
    let world = |lost: &[(&'static str, &'static str)]| World {
        is_old: true,
        lost_events: lost.to_vec(),
        ..World::default()
    };
    let (told, took) = hold(world(&[("E_CALL_HOLD", "start")]), r#""callid":"talk""#).await;
    assert!(!told.contains("Error") && took < Duration::from_secs(1), "{took:?} {told}");
    let (told, _) = hold(world(&[("E_CALL_HOLD", "ok callee")]), r#""callid":"talk""#).await;
    assert!(told.contains("callee: what it answered to the re-INVITE is lost"), "{told}");
    let all = [("E_CALL_HOLD", "start"), ("E_CALL_HOLD", "ok")];
    let (told, _) = hold(world(&all), r#""callid":"talk""#).await;
    assert!(told.contains("is its event socket reachable?"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_was_never_read_is_not_waited_for() {
    let lost_requests = HashMap::from([("call_hold", 1)]);
    let (told, took) =
        hold(World { lost_requests, ..World::default() }, r#""callid":"talk""#).await;
    assert!(told.contains("it did not get the request"), "{told}");
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hold_whose_answer_is_lost_succeeds() {
    let lost_answers = HashMap::from([("call_hold", 1), ("call_unhold", 1)]);
    let (told, _) = hold(World { lost_answers, ..World::default() }, r#""callid":"talk""#).await;
    assert!(!told.contains("Error"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn commands_that_are_given_up_leave_nothing() {
    for (caller, target) in
        [(Phone::Rings, Phone::Rings), (Phone::Answers(Duration::ZERO), Phone::Rings)]
    {
        let mut script = Script::new(World { caller, target, ..World::default() });
        let mut client = Client::of(&mut script).await;
        client.begin("CallStart", START);
        sleep(Duration::from_secs(3)).await;
        client.backend.give_up();
        client.phase.send_replace(Phase::Ending);
        client.until_ended().await;
        sleep(Duration::from_secs(5)).await;
        assert!(last(&client).contains("draining"), "{}", client.transcript);
        assert!(script.dialogs().is_empty(), "{}", client.transcript);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_commands_at_once_end_each_with_the_truth() {
    let world = World { on_refer: OnRefer::CallsQuietly, ..World::default() };
    let mut script = Script::new(world);
    let mut client = Client::of(&mut script).await;
    for number in 0..1000 {
        client.begin("CallStart", &format!(r#"{START},"cmd_id":"{number}""#));
        let held = format!(r#""callid":"no-such-{number}","cmd_id":"h{number}""#);
        client.begin("CallHold", &held);
    }
    for _ in 0..2000 {
        client.until_ended().await;
    }
    let count = |text: &str| client.transcript.matches(text).count();
    assert_eq!(count(r#""message":"no call with this Call-ID""#), 1000);
    assert_eq!(count(r#""data":"CALL_START""#), 1000);
    assert_eq!(count(r#""method":"Error""#), 1000);
    assert_eq!(script.dialogs().len(), 1000, "no helper is left");
}
