//! What a token may do and see: single rights by example, then no token beyond its own, whatever its
//! clients send and when.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use call_api::api::{CallChange, CallEvent, SipUri};
use call_api::backend::EventSink;
use call_api::config::Limits;
use call_api::server::access::Principal;
use call_api::server::access::token::{Entry, Scope, Tokens};
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::outbox::{Outbox, Outgoing};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Client;
use crate::random::Chance;
use crate::watching::{call, life};

/// A client with a token of its own.
pub(crate) struct Holder {
    connection: Connection,
    pub(crate) outgoing: Outgoing,
}

impl Holder {
    pub(crate) fn new(server: &Client, name: &str, entry: &Entry) -> Self {
        let (lines, secret) = entry.issue(name).unwrap();
        let tokens = Tokens::parse(&lines, &Tokens::default()).unwrap();
        let token = tokens.find(&secret).unwrap();
        let principal = Principal::holding(Arc::clone(token), &Limits::default());
        let (outbox, outgoing) = Outbox::channel(64 << 20);
        Self { connection: Connection::of(principal, server.commands.clone(), outbox), outgoing }
    }

    /// The same client, speaking this dialect.
    fn speaking(self, dialect: Dialect) -> Self {
        Self { connection: self.connection.speaking(dialect), ..self }
    }

    pub(crate) fn send(&self, method: &str, params: &Value) {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.connection.receive(&request.to_string());
    }

    pub(crate) fn next(&mut self) -> Option<Value> {
        let message = self.outgoing.messages.try_recv().ok()?;
        Some(serde_json::from_str(message.text()).unwrap())
    }

    /// The reply: `Started`, `ok`, or the kind of the error.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> String {
        while self.next().is_some() {}
        self.send(method, params);
        outcome(&self.next().expect("a reply"))
    }
}

fn outcome(reply: &Value) -> String {
    let kind = &reply["error"]["data"]["kind"];
    kind.as_str().or(reply["result"]["status"].as_str()).unwrap_or("ok").to_owned()
}

pub(crate) fn granted(scopes: &[Scope]) -> Entry {
    Entry { scopes: scopes.to_vec(), ..Entry::default() }
}

pub(crate) fn only(pattern: &str) -> Option<Vec<String>> {
    Some(vec![pattern.to_owned()])
}

pub(crate) fn start(caller: &str, callee: &str) -> Value {
    json!({"caller": caller, "callee": callee})
}

/// A call that began between these two.
pub(crate) fn between(id: &str, caller: &str, callee: &str) -> CallEvent {
    let mut call = call(id, &format!("{id}@h"));
    (call.caller.uri, call.callee.uri) = (SipUri::parse(caller), SipUri::parse(callee));
    CallEvent { change: CallChange::Created, call }
}

#[tokio::test]
async fn a_scope_is_needed_for_each_kind_of_request() {
    let server = Client::new();
    let dial = start("sip:a@h", "sip:b@h");
    let own = json!({"filter": {"cmd_id": "x"}});
    for (scopes, allowed) in [
        (&[Scope::Watch][..], [false, true, true, true]),
        (&[Scope::Control], [true, false, true, true]),
        (&[Scope::Watch, Scope::Control], [true; 4]),
        (&[Scope::Admin], [true; 4]),
    ] {
        let mut holder = Holder::new(&server, "x", &granted(scopes));
        let asked = [
            holder.ask("CallStart", &dial),
            holder.ask("CallList", &json!({})),
            holder.ask("Subscribe", &own),
            holder.ask("Echo", &json!({})),
        ];
        assert_eq!(asked.map(|outcome| outcome != "forbidden"), allowed, "{scopes:?}");
    }
}

/// In v2 a wrong command is one, too: whoever may command nothing is not told what is wrong with it, and it counts as no call.
#[tokio::test]
async fn a_wrong_command_is_for_those_who_may_command() {
    let server = Client::new();
    let wrong = json!({"caller": "not a uri", "callee": "sip:b@h"});
    let in_v2 = |entry: &Entry| Holder::new(&server, "x", entry).speaking(Dialect::V2);
    assert_eq!(in_v2(&granted(&[Scope::Watch])).ask("CallStart", &wrong), "forbidden");
    let one_call = Entry { calls: Some(1), ..granted(&[Scope::Control]) };
    let mut holder = in_v2(&one_call);
    for _ in 0..3 {
        assert_eq!(holder.ask("CallStart", &wrong), "Started");
    }
    assert_eq!(holder.ask("CallStart", &start("sip:a@h", "sip:b@h")), "Started");
}

#[tokio::test]
async fn a_call_is_started_between_those_only_that_the_patterns_name() {
    let server = Client::new();
    let mut entry = granted(&[Scope::Control]);
    (entry.callers, entry.callees) = (only("*@shop"), only("+49*@trunk"));
    let mut shop = Holder::new(&server, "shop", &entry);
    let (desk, number) = ("sip:desk@shop", "sip:+4930@trunk");
    let with = |name: &str, value: Value| {
        let mut params = start(desk, number);
        params[name] = value;
        params
    };
    for (params, expected) in [
        (start(desk, number), "Started"),
        (start("sip:desk@other", number), "forbidden"),
        (start(desk, "sip:+1900@trunk"), "forbidden"),
        (start(desk, "sip:+4930@trunk;maddr=10.0.0.66"), "forbidden"),
        (with("from", json!("sip:other@shop")), "Started"),
        (with("from", json!("sip:president@elsewhere")), "forbidden"),
        (with("headers", json!({"X-Order": "7"})), "Started"),
        (with("headers", json!({"P-Asserted-Identity": "<sip:+1900@trunk>"})), "forbidden"),
        (with("headers", json!({"remote-party-id": "<sip:+1900@trunk>"})), "forbidden"),
    ] {
        assert_eq!(shop.ask("CallStart", &params), expected, "{params}");
    }
}

#[tokio::test]
async fn a_call_of_others_is_as_if_it_were_not_there() {
    let server = Client::new();
    let mut entry = granted(&[Scope::Watch, Scope::Control]);
    (entry.callers, entry.destinations) = (only("*@shop"), only("*@shop"));
    let mut shop = Holder::new(&server, "shop", &entry);
    server.journal.call(between("1", "sip:desk@shop", "sip:x@far"));
    server.journal.call(between("2", "sip:x@far", "sip:desk@shop"));
    server.journal.call(between("3", "sip:x@far", "sip:y@far"));
    shop.send("CallList", &json!({}));
    let listed = shop.next().unwrap();
    let ids: Vec<_> =
        listed["result"]["calls"].as_array().unwrap().iter().map(|c| c["id"].clone()).collect();
    assert_eq!(ids, ["1", "2"]);
    for (callid, seen) in [("1", true), ("2@h", true), ("3", false), ("3@h", false), ("4", false)] {
        let named = json!({"callid": callid});
        let expected = |then: &'static str| if seen { then } else { "not_found" };
        assert_eq!(shop.ask("CallGet", &named), expected("ok"), "{callid}");
        assert_eq!(shop.ask("CallEnd", &named), expected("Started"), "{callid}");
        assert_eq!(shop.ask("CallHold", &named), expected("Started"), "{callid}");
        let to = |to: &str| json!({"callid": callid, "leg": "caller", "destination": to});
        assert_eq!(shop.ask("CallBlindTransfer", &to("sip:z@shop")), expected("Started"));
        assert_eq!(shop.ask("CallBlindTransfer", &to("sip:z@far")), expected("forbidden"));
    }
    let attended = json!({"callid_a": "1", "leg_a": "caller", "callid_b": "3", "leg_b": "caller"});
    assert_eq!(shop.ask("CallAttendedTransfer", &attended), "not_found");
}

#[tokio::test]
async fn an_attended_transfer_goes_to_those_only_that_the_patterns_name() {
    let server = Client::new();
    server.journal.call(between("1", "sip:desk@shop", "sip:x@far"));
    server.journal.call(between("2", "sip:desk@shop", "sip:y@far"));
    let mut entry = granted(&[Scope::Control]);
    (entry.parties, entry.destinations) = (only("*@shop"), only("*@shop"));
    let mut shop = Holder::new(&server, "shop", &entry);
    let to = |leg_b: &str, destination: Option<&str>| {
        json!({"callid_a": "1", "leg_a": "callee", "callid_b": "2", "leg_b": leg_b,
               "destination": destination})
    };
    for (leg_b, destination, expected) in [
        ("caller", None, "Started"),
        ("caller", Some("sip:desk@shop"), "Started"),
        ("caller", Some("sip:y@far"), "forbidden"),
        ("callee", None, "forbidden"),
        // A bridge goes to the party, whatever is said.
        ("callee", Some("sip:desk@shop"), "forbidden"),
    ] {
        let params = to(leg_b, destination);
        assert_eq!(shop.ask("CallAttendedTransfer", &params), expected, "{params}");
    }
}

#[tokio::test]
async fn a_call_that_is_being_set_up_can_be_ended_by_whoever_starts_it() {
    let server = Client::new();
    let mut entry = granted(&[Scope::Control]);
    entry.callers = only("*@shop");
    let mut shop = Holder::new(&server, "shop", &entry);
    let mut other = Holder::new(&server, "other", &entry);
    shop.send("CallStart", &start("sip:desk@shop", "sip:hang@far"));
    server.idle().await;
    // The journal knows nothing of it: the fake backend tells of no calls.
    let early = json!({"callid": "call-1@fake"});
    assert_eq!(other.ask("CallEnd", &early), "not_found");
    assert_eq!(shop.ask("CallEnd", &early), "Started");
    server.backend.release();
    server.idle().await;
    assert_eq!(shop.ask("CallEnd", &early), "not_found");
}

#[tokio::test]
async fn a_retry_is_one_even_when_the_call_is_gone() {
    let server = Client::new();
    let mut entry = granted(&[Scope::Control]);
    entry.callers = only("*@shop");
    let mut shop = Holder::new(&server, "shop", &entry);
    let mut event = between("1", "sip:desk@shop", "sip:x@far");
    server.journal.call(event.clone());
    let end = json!({"callid": "1", "cmd_id": "mine"});
    assert_eq!(shop.ask("CallEnd", &end), "Started");
    event.change = CallChange::Ended;
    server.journal.call(event);
    server.idle().await;
    assert_eq!(shop.ask("CallEnd", &end), "Started");
    assert_eq!(shop.ask("CallEnd", &json!({"callid": "1"})), "not_found");
}

#[tokio::test]
async fn a_cmd_id_belongs_to_its_token() {
    let server = Client::new();
    let entry = granted(&[Scope::Control]);
    let (mut one, mut two) =
        (Holder::new(&server, "one", &entry), Holder::new(&server, "two", &entry));
    let mut admin = Holder::new(&server, "admin", &granted(&[Scope::Admin]));
    let numbered = |number: u32| json!({"cmd_id": "order-7", "number": number});
    assert_eq!(one.ask("Echo", &numbered(1)), "Started");
    assert_eq!(two.ask("Echo", &numbered(2)), "Started");
    assert_eq!(one.ask("Echo", &numbered(2)), "conflict");
    server.idle().await;
    for holder in [&mut one, &mut two, &mut admin] {
        while holder.next().is_some() {}
        holder.send("Subscribe", &json!({"filter": {"cmd_id": "order-7"}}));
    }
    server.idle().await;
    let numbers = |holder: &mut Holder| {
        let messages = std::iter::from_fn(|| holder.next());
        let replies = messages.filter_map(|m| m["params"]["params"]["number"].as_u64());
        replies.collect::<Vec<_>>()
    };
    assert_eq!((numbers(&mut one), numbers(&mut two)), (vec![1], vec![2]));
    assert_eq!(numbers(&mut admin), [1, 2]);
}

#[tokio::test]
async fn a_replay_shows_no_more_than_was_shown_live() {
    let server = Client::new();
    let mut entry = granted(&[Scope::Watch]);
    entry.parties = only("*@shop");
    let mut live = Holder::new(&server, "live", &entry);
    live.send("Subscribe", &json!({}));
    let since = live.next().unwrap()["result"]["cursor"].clone();
    for mut event in life("1", "c1").into_iter().chain(life("2", "c2")) {
        // The first call is the shop's, also once a transfer has put somebody else into its place.
        let party = match (event.call.id.as_str(), event.change) {
            ("1", CallChange::Created | CallChange::Ringing(_)) => "sip:desk@shop",
            _ => "sip:x@far",
        };
        event.call.caller.uri = SipUri::parse(party);
        server.journal.call(event);
    }
    server.idle().await;
    let told = |holder: &mut Holder| {
        let messages = std::iter::from_fn(|| holder.next());
        let events = messages.filter(|m| m["method"] == "CallEvent");
        events
            .map(|m| (m["params"]["event"].clone(), m["params"]["call"].clone()))
            .collect::<Vec<_>>()
    };
    let seen = told(&mut live);
    assert_eq!(seen.len(), life("1", "c1").len());
    assert!(seen.iter().all(|(_, call)| call["id"] == "1"));
    let mut late = Holder::new(&server, "late", &entry);
    late.send("Subscribe", &json!({"since": since}));
    server.idle().await;
    assert_eq!(told(&mut late), seen);
}

/// What a random token is granted, and what the test has seen it do.
struct Watched {
    holder: Holder,
    entry: Entry,
    requests: VecDeque<Instant>,
    placed: VecDeque<Instant>,
    /// `CallStart`s that run, and the calls they have left standing.
    starting: HashSet<String>,
    standing: HashSet<String>,
    running: HashSet<String>,
}

const PARTIES: [&str; 5] = ["alice@in", "hang@in", "bob@in", "cindy@out", "dora@out"];
const PATTERNS: [&str; 6] = ["*@in", "*@out", "alice@*", "dora@out", "*@*", "nobody@in"];

/// The patterns of this test, as a second opinion on what they mean.
fn names(patterns: Option<&Vec<String>>, party: &str) -> bool {
    let (user, host) = party.trim_start_matches("sip:").split_once('@').unwrap();
    patterns.is_none_or(|patterns| {
        patterns.iter().any(|pattern| {
            let (u, h) = pattern.split_once('@').unwrap();
            (u == "*" || u == user) && (h == "*" || h == host)
        })
    })
}

impl Chance {
    fn party(&mut self) -> String {
        format!("sip:{}", self.one_of(&PARTIES))
    }

    fn patterns(&mut self) -> Option<Vec<String>> {
        let some = (0..=self.below(2)).map(|_| self.one_of(&PATTERNS).to_owned()).collect();
        (self.below(3) > 0).then_some(some)
    }

    fn at_most(&mut self, bound: usize) -> Option<u32> {
        (self.below(2) == 0).then(|| self.below(bound) as u32 + 1)
    }

    fn grants(&mut self) -> Entry {
        let scopes = [Scope::Watch, Scope::Control, Scope::Control, Scope::Admin];
        let mut entry = granted(&[scopes[self.below(4)], scopes[self.below(4)]]);
        (entry.callers, entry.callees) = (self.patterns(), self.patterns());
        (entry.destinations, entry.parties) = (self.patterns(), self.patterns());
        entry.requests_per_second = self.at_most(5);
        entry.calls_per_minute = self.at_most(5);
        (entry.calls, entry.commands) = (self.at_most(3), self.at_most(3));
        entry
    }
}

impl Watched {
    fn has(&self, scope: Scope) -> bool {
        self.entry.scopes.iter().any(|has| *has == scope || *has == Scope::Admin)
    }

    fn sees(&self, parties: &[String; 2]) -> bool {
        let patterns = self.entry.parties.as_ref().or(self.entry.callers.as_ref());
        parties.iter().any(|party| names(patterns, party))
    }

    fn may(&self, method: &str, params: &Value, calls: &HashMap<String, [String; 2]>) -> bool {
        let text = |name: &str| params[name].as_str().unwrap_or_default();
        // Whoever is bound to nobody's calls may name any; the backend then says that there is none.
        let is_free = self.entry.parties.is_none() && self.entry.callers.is_none();
        let sees =
            |name: &str| is_free || calls.get(text(name)).is_some_and(|parties| self.sees(parties));
        let to = self.entry.destinations.as_ref().or(self.entry.callees.as_ref());
        match method {
            "CallStart" => {
                self.has(Scope::Control)
                    && names(self.entry.callers.as_ref(), text("caller"))
                    && names(self.entry.callees.as_ref(), text("callee"))
            }
            "CallBlindTransfer" => {
                self.has(Scope::Control) && sees("callid") && names(to, text("destination"))
            }
            "CallAttendedTransfer" => {
                let target = calls.get(text("callid_b")).map(|[_, callee]| callee);
                self.has(Scope::Control)
                    && sees("callid_a")
                    && sees("callid_b")
                    && (to.is_none() || target.is_some_and(|target| names(to, target)))
            }
            "CallHold" => self.has(Scope::Control) && sees("callid"),
            "CallList" => self.has(Scope::Watch),
            _ => true,
        }
    }
}

/// A server, its random tokens, and the calls there are.
struct Trial {
    server: Client,
    tokens: Vec<Watched>,
    calls: HashMap<String, [String; 2]>,
    granted: usize,
    refused: usize,
}

impl Trial {
    fn new(chance: &mut Chance) -> Self {
        let server = Client::new();
        let tokens = (0..3).map(|number| {
            let entry = chance.grants();
            let holder = Holder::new(&server, &format!("token-{number}"), &entry);
            Watched {
                holder,
                entry,
                requests: VecDeque::new(),
                placed: VecDeque::new(),
                starting: HashSet::new(),
                standing: HashSet::new(),
                running: HashSet::new(),
            }
        });
        let tokens = tokens.collect();
        Self { server, tokens, calls: HashMap::new(), granted: 0, refused: 0 }
    }

    /// One request of one token, and a check of what it was granted.
    fn ask(&mut self, chance: &mut Chance, seed: u64) {
        let method = chance.one_of(&[
            "CallStart",
            "CallStart",
            "CallBlindTransfer",
            "CallAttendedTransfer",
            "CallHold",
            "CallList",
            "Echo",
        ]);
        let some: Vec<_> = self.calls.keys().map(String::as_str).collect();
        let mut callid = || if some.is_empty() { "none" } else { some[chance.below(some.len())] };
        let (callid, callid_b) = (callid(), callid());
        let params = match method {
            "CallStart" => start(&chance.party(), &chance.party()),
            "CallBlindTransfer" => {
                json!({"callid": callid, "leg": "caller", "destination": chance.party()})
            }
            "CallAttendedTransfer" => {
                json!({"callid_a": callid, "leg_a": "caller", "callid_b": callid_b, "leg_b": "callee"})
            }
            "CallHold" => json!({"callid": callid}),
            _ => json!({}),
        };
        let at = chance.below(self.tokens.len());
        let token = &mut self.tokens[at];
        token.holder.send(method, &params);
        let reply = loop {
            let message = token.holder.next().expect("a reply");
            match message.get("id") {
                Some(_) => break message,
                None => token.hear(&message),
            }
        };
        let (outcome, now) = (outcome(&reply), Instant::now());
        let token = &mut self.tokens[at];
        let may = token.may(method, &params, &self.calls);
        let what = format!("seed {seed}: {method} {params} by {:?}: {outcome}", token.entry);
        match outcome.as_str() {
            "ok" | "Started" => assert!(may, "beyond its rights: {what}"),
            "forbidden" | "not_found" => assert!(!may, "within its rights: {what}"),
            "rate_limited" => {}
            _ => panic!("{what}"),
        }
        match outcome.as_str() {
            "ok" | "Started" => self.granted += 1,
            _ => self.refused += 1,
        }
        if let Some(calls) = reply["result"]["calls"].as_array() {
            let seen = |call: &Value| token.sees(&self.calls[call["id"].as_str().unwrap()]);
            assert!(calls.iter().all(seen), "sees too much: {what}");
        }
        if outcome != "rate_limited" {
            token.requests.push_back(now);
        }
        if outcome == "Started" {
            token.started(method, reply["result"]["cmd_id"].as_str().unwrap(), now, &what);
        }
        token.within_its_rates(now, &what);
    }

    /// Everything runs, calls come and go.
    async fn settle(&mut self, chance: &mut Chance) {
        self.server.idle().await;
        for token in &mut self.tokens {
            while let Some(message) = token.holder.next() {
                token.hear(&message);
            }
        }
        for token in &self.tokens {
            for callid in &token.standing {
                if !self.calls.contains_key(callid) {
                    let parties = [chance.party(), chance.party()];
                    self.server.journal.call(between(callid, &parties[0], &parties[1]));
                    self.calls.insert(callid.clone(), parties);
                }
            }
        }
        if chance.below(8) == 0
            && let Some(callid) = self.calls.keys().min().cloned()
        {
            let mut event = between(&callid, "sip:x@y", "sip:x@y");
            event.change = CallChange::Ended;
            self.server.journal.call(event);
            self.calls.remove(&callid);
            for token in &mut self.tokens {
                token.standing.remove(&callid);
            }
        }
    }
}

impl Watched {
    fn started(&mut self, method: &str, cmd_id: &str, now: Instant, what: &str) {
        self.running.insert(cmd_id.to_owned());
        let within = |have: usize, most: Option<u32>| most.is_none_or(|most| have <= most as usize);
        assert!(within(self.running.len(), self.entry.commands), "too many commands: {what}");
        if method == "CallStart" {
            self.starting.insert(cmd_id.to_owned());
            let calls = self.starting.len() + self.standing.len();
            assert!(within(calls, self.entry.calls), "too many calls: {what}");
        }
        if matches!(method, "CallStart" | "CallBlindTransfer" | "CallAttendedTransfer") {
            self.placed.push_back(now);
        }
    }

    fn within_its_rates(&mut self, now: Instant, what: &str) {
        for (moments, per, most) in [
            (&mut self.requests, 1, self.entry.requests_per_second),
            (&mut self.placed, 60, self.entry.calls_per_minute),
        ] {
            while moments.pop_front_if(|at| now - *at >= Duration::from_secs(per)).is_some() {}
            let within = most.is_none_or(|most| moments.len() <= most as usize);
            assert!(within, "above its rate: {what}");
        }
    }

    fn hear(&mut self, message: &Value) {
        if message["method"] != "Ended" {
            return;
        }
        let cmd_id = message["params"]["cmd_id"].as_str().unwrap();
        self.running.remove(cmd_id);
        if self.starting.remove(cmd_id)
            && let Some(callid) = message["params"]["callid"].as_str()
        {
            self.standing.insert(callid.to_owned());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_token_exceeds_its_scopes_patterns_or_rates() {
    let (mut granted, mut refused) = (0, 0);
    for seed in 1..=150 {
        let mut chance = Chance(seed);
        let mut trial = Trial::new(&mut chance);
        for step in 0..80 {
            trial.ask(&mut chance, seed);
            if step == 60 {
                trial.server.backend.release();
            }
            if chance.below(2) == 0 {
                let pause = [0, 1, 200, 999, 1000, 20_000][chance.below(6)];
                trial.settle(&mut chance).await;
                tokio::time::advance(Duration::from_millis(pause)).await;
                trial.settle(&mut chance).await;
            }
        }
        granted += trial.granted;
        refused += trial.refused;
    }
    assert!(granted > 1000 && refused > 1000, "granted {granted}, refused {refused}");
}
