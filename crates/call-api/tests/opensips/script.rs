//! An OpenSIPS that a test plays: it answers requests as `opensips.md` tells that the real one does,
//! its phones do what the test says, and whatever can go wrong between us does when the test wants it.

mod holding;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use call_api::backend::opensips::link::{Arrival, FarEnd, Link};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

pub(crate) use self::world::{OnHold, OnRefer, Phone, World};

#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) callid: String,
    pub(crate) state: u64,
    from_uri: String,
    to_uri: String,
    /// Flags of caller and callee, once they were on hold: 8 for itself, 4 for the other one.
    held: [Option<u64>; 2],
    transfer_leg: Option<String>,
    transfer_callid: Option<String>,
}

struct State {
    world: World,
    dialogs: BTreeMap<String, Dialog>,
    last: u64,
    life: u64,
    subscriptions: HashMap<String, Instant>,
    /// Every request that was read: method and parameters.
    log: Vec<(String, Value)>,
    held_back: Vec<Value>,
    /// INVITEs of its own that are not answered: their requests by Call-ID.
    invites: HashMap<String, String>,
    /// When the process that takes SIP messages has sent the last ACK on.
    busy_until: Instant,
}

/// The test's hand on it.
#[derive(Clone)]
pub(crate) struct Script {
    state: Arc<Mutex<State>>,
    /// What is on its way to us.
    network: Arc<Mutex<Option<mpsc::Sender<Arrival>>>>,
}

/// More than any test has on its way.
const NETWORK: usize = 100_000;

impl Script {
    pub(crate) fn new(world: World) -> Self {
        let state = State {
            world,
            dialogs: BTreeMap::new(),
            last: 0,
            life: 0,
            subscriptions: HashMap::new(),
            log: Vec::new(),
            held_back: Vec::new(),
            invites: HashMap::new(),
            busy_until: Instant::now(),
        };
        Self { state: Arc::new(Mutex::new(state)), network: Arc::default() }
    }

    /// Our end of the link to it.
    pub(crate) fn link(&mut self) -> Link {
        let (link, far) = Link::pair("script", "udp:127.0.0.1:5070", Ipv4Addr::LOCALHOST.into());
        self.serve(far);
        link
    }

    /// Answers what comes from us.
    pub(crate) fn serve(&mut self, far: FarEnd) {
        let FarEnd { mut requests, arrivals } = far;
        let (network, mut arriving) = mpsc::channel(NETWORK);
        *self.network.lock().unwrap() = Some(network);
        tokio::spawn(async move {
            while let Some(arrival) = arriving.recv().await {
                if arrivals.send(arrival).await.is_err() {
                    return;
                }
            }
        });
        let script = self.clone();
        tokio::spawn(async move {
            // One after the other, as its one process does.
            while let Some(request) = requests.recv().await {
                let request: Value = serde_json::from_str(&request.text).unwrap();
                let late = {
                    let world = &mut script.state().world;
                    world.late_requests.remove(request["method"].as_str().unwrap())
                };
                sleep(late.unwrap_or_default()).await;
                script.request(request);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the world from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.state().world);
    }

    /// Sends raw bytes.
    pub(crate) async fn send(&self, arrival: Arrival) {
        let network = self.network.lock().unwrap().clone().unwrap();
        network.send(arrival).await.unwrap();
    }

    /// The requests of a method that it has read.
    pub(crate) fn requests(&self, method: &str) -> Vec<Value> {
        let state = self.state();
        let read = state.log.iter().filter(|(name, _)| name == method);
        read.map(|(_, params)| params.clone()).collect()
    }

    /// The dialogs that have not ended.
    pub(crate) fn dialogs(&self) -> Vec<Dialog> {
        self.state().dialogs.values().filter(|dialog| dialog.state < 5).cloned().collect()
    }

    /// How many phones ring, or will, for an INVITE of its own.
    pub(crate) fn ringing(&self) -> usize {
        self.state().invites.len()
    }

    /// Loses everything, as a proxy that is started anew.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.life += 1;
        state.dialogs.clear();
        state.subscriptions.clear();
    }

    /// A call of two phones: in state 4.
    pub(crate) fn call(&self, callid: &str, from: &str, to: &str) -> String {
        let id = self.new_dialog(callid, from, to);
        for state in 2..=4 {
            self.advance(&id, state);
        }
        id
    }

    /// A dialog that begins, or its next state.
    pub(crate) fn new_dialog(&self, callid: &str, from: &str, to: &str) -> String {
        let mut state = self.state();
        state.last += 1;
        let id = format!("{:x}.{:x}", state.last, 0xabc + state.last);
        let dialog = Dialog {
            callid: callid.to_owned(),
            state: 1,
            from_uri: from.to_owned(),
            to_uri: to.to_owned(),
            held: [None; 2],
            transfer_leg: None,
            transfer_callid: None,
        };
        state.dialogs.insert(id.clone(), dialog);
        id
    }

    pub(crate) fn advance(&self, id: &str, new_state: u64) {
        let params = {
            let mut state = self.state();
            let Some(dialog) = state.dialogs.get_mut(id) else { return };
            if dialog.state >= new_state {
                return;
            }
            let old_state = std::mem::replace(&mut dialog.state, new_state);
            json!({"id": id, "db_id": "1", "callid": dialog.callid, "from_tag": "a", "to_tag": "b", "old_state": old_state, "new_state": new_state})
        };
        self.event("E_DLG_STATE_CHANGED", params);
    }

    /// Sends an event, if it is subscribed to.
    pub(crate) fn event(&self, name: &str, params: Value) {
        let mut state = self.state();
        let is_subscribed =
            state.subscriptions.get(name).is_some_and(|until| *until > Instant::now());
        let kind = match &params["new_state"] {
            Value::Number(number) => number.to_string(),
            _ => params["state"].as_str().unwrap_or_default().to_owned(),
        };
        let lost = &state.world.lost_events;
        let kind_of_leg = format!("{kind} {}", params["leg"].as_str().unwrap_or_default());
        let is_lost = |kind: &str| lost.contains(&(name, kind));
        if !is_subscribed || is_lost(&kind) || is_lost(&kind_of_leg) {
            return;
        }
        let event = json!({"jsonrpc": "2.0", "method": name, "params": params});
        state.held_back.push(event);
        let group = state.world.reverses_events.max(1);
        if state.held_back.len() < group {
            return;
        }
        let times = if state.world.doubles_events { 2 } else { 1 };
        let events: Vec<Value> = state.held_back.drain(..).rev().collect();
        drop(state);
        for event in events {
            for _ in 0..times {
                self.arrive(Arrival::Event(event.to_string().into_bytes()), Duration::ZERO);
            }
        }
    }

    fn arrive(&self, arrival: Arrival, after: Duration) {
        let network = self.network.lock().unwrap().clone().unwrap();
        if after.is_zero() {
            network.try_send(arrival).unwrap();
            return;
        }
        tokio::spawn(async move {
            sleep(after).await;
            let _ = network.send(arrival).await;
        });
    }

    /// Answers a request, unless that answer is lost.
    fn answer(&self, id: &str, method: &str, body: Value) {
        let mut state = self.state();
        if let Some(left) = state.world.lost_answers.get_mut(method)
            && *left > 0
        {
            *left -= 1;
            return;
        }
        let late = state.world.late_answers.get(method).copied().unwrap_or_default();
        let mut answer = json!({"jsonrpc": "2.0"});
        let member = if body.get("code").is_some() { "error" } else { "result" };
        answer[member] = body;
        answer["id"] = id.into();
        let mut text = answer.to_string();
        if text.len() > state.world.longest_answer {
            text = "500 Internal error\n".to_owned();
        }
        drop(state);
        self.arrive(Arrival::Answer(text.into_bytes()), late);
    }

    fn request(&self, request: Value) {
        let id = request["id"].as_str().expect("ids are strings").to_owned();
        let method = request["method"].as_str().expect("every request has a method").to_owned();
        let params = request.get("params").cloned().unwrap_or(json!({}));
        {
            let mut state = self.state();
            let name = method.as_str();
            if let Some(left) = state.world.lost_requests.get_mut(name)
                && *left > 0
            {
                *left -= 1;
                return;
            }
            let is_options = params["method"] == "OPTIONS";
            let name = if is_options { "OPTIONS" } else { name };
            state.log.push((name.to_owned(), params.clone()));
            if state.world.is_frozen {
                return;
            }
        }
        let is_new = self.state().world.is_new;
        let plain = match (method.as_str(), is_new) {
            ("uptime" | "version", _) => method.as_str(),
            (name, false) => name,
            ("event:subscribe", true) => "event_subscribe",
            ("tm:uac_dlg", true) => "t_uac_dlg",
            ("tm:uac_cancel", true) => "t_uac_cancel",
            ("dialog:list_ctx", true) => "dlg_list_ctx",
            ("dialog:end_dlg", true) => "dlg_end_dlg",
            ("callops:transfer", true) => "call_transfer",
            ("callops:hold", true) => "call_hold",
            ("callops:unhold", true) => "call_unhold",
            (_, true) => "unknown",
        };
        match plain {
            "t_uac_dlg" => self.invite(&id, &params),
            "call_transfer" => self.transfer(&id, &params),
            "call_hold" | "call_unhold" => self.hold(&id, plain, &params),
            _ => {
                let body = self.at_once(plain, &params);
                self.answer(&id, plain, body);
            }
        }
    }

    fn at_once(&self, method: &str, params: &Value) -> Value {
        match method {
            "uptime" => json!({"Now": "now", "Up since": format!("life {}", self.state().life)}),
            "event_subscribe" => {
                let expire = Duration::from_secs(params["expire"].as_u64().unwrap());
                let event = params["event"].as_str().unwrap().to_owned();
                self.state().subscriptions.insert(event, Instant::now() + expire);
                json!("OK")
            }
            "dlg_list_ctx" => self.list(params),
            "dlg_end_dlg" => self.end(params["dialog_id"].as_str().unwrap()),
            "t_uac_cancel" => self.cancel(params["callid"].as_str().unwrap()),
            _ => json!({"code": -32601, "message": "Method not found"}),
        }
    }

    fn list(&self, params: &Value) -> Value {
        let state = self.state();
        let show = |(id, dialog): (&String, &Dialog)| {
            let mut values = Vec::new();
            for (name, flags) in ["call_hold_caller", "call_hold_callee"].iter().zip(dialog.held) {
                values.extend(flags.map(|flags| match (state.world.is_old, flags) {
                    (false, flags) => json!({*name: flags}),
                    (true, 0) => json!({*name: ""}),
                    (true, _) => json!({*name: "hold"}),
                }));
            }
            if let Some(leg) = &dialog.transfer_leg {
                values.push(json!({"call_transfer_leg": leg}));
            }
            if let Some(callid) = &dialog.transfer_callid {
                values.push(json!({"call_transfer_callid": callid}));
            }
            json!({"ID": id, "state": dialog.state, "callid": dialog.callid, "from_uri": dialog.from_uri, "to_uri": dialog.to_uri, "context": {"values": values}})
        };
        if let Some(callid) = params["callid"].as_str() {
            let found = state.dialogs.iter().find(|(_, dialog)| dialog.callid == callid);
            return match found {
                Some(found) => json!({"Dialog": show(found)}),
                None => json!({"code": 404, "message": "No such dialog"}),
            };
        }
        let (index, counter) =
            (params["index"].as_u64().unwrap(), params["counter"].as_u64().unwrap());
        let page = state.dialogs.iter().skip(index as usize).take(counter as usize);
        json!({"count": state.dialogs.len(), "Dialogs": page.map(show).collect::<Vec<_>>()})
    }

    fn end(&self, name: &str) -> Value {
        let found = {
            let state = self.state();
            let is_it = |(id, dialog): &(&String, &Dialog)| {
                dialog.state < 5 && (id.as_str() == name || dialog.callid == name)
            };
            state.dialogs.iter().find(is_it).map(|(id, dialog)| (id.clone(), dialog.clone()))
        };
        let Some((id, dialog)) = found else {
            return json!({"code": 404, "message": "Requested Dialog not found"});
        };
        self.advance(&id, 5);
        if dialog.state < 3 {
            self.cancel(&dialog.callid);
        }
        json!("OK")
    }

    fn cancel(&self, callid: &str) -> Value {
        let Some(invite) = self.state().invites.remove(callid) else {
            return json!({"code": 481, "message": "No such transaction"});
        };
        self.answer(&invite, "t_uac_dlg", json!({"Status": "487 Request Terminated"}));
        json!("OK")
    }

    fn invite(&self, id: &str, params: &Value) {
        if params["method"] == "BYE" {
            return self.answer(id, "t_uac_dlg", json!({"Status": "200 OK"}));
        }
        if params["method"] == "OPTIONS" {
            let (script, id, busy) = (self.clone(), id.to_owned(), self.state().busy_until);
            tokio::spawn(async move {
                sleep_until(busy).await;
                script.answer(&id, "t_uac_dlg", json!({"Status": "405 Method Not Allowed"}));
            });
            return;
        }
        let headers = params["headers"].as_str().unwrap();
        let callid = headers.split("Call-ID: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let world = self.state().world.clone();
        self.state().invites.insert(callid.to_owned(), id.to_owned());
        let (script, id, callid) = (self.clone(), id.to_owned(), callid.to_owned());
        let to = params["ruri"].as_str().unwrap().to_owned();
        tokio::spawn(async move {
            sleep(world.late_dialogs).await;
            let dialog = match world.has_no_dialogs {
                true => "none".to_owned(),
                false => script.new_dialog(&callid, "sip:from@127.0.0.1", &to),
            };
            script.advance(&dialog, 2);
            if world.passes_provisional {
                script.answer(
                    &id,
                    "t_uac_dlg",
                    json!({"Status": "180 Ringing", "Message": "Via: x\r\n\r\n"}),
                );
            }
            let (response, after) = match world.caller {
                Phone::Answers(after) => (
                    json!({"Status": "200 OK", "RURI": "sip:alice@127.0.0.1:5071", "Next-hop": "sip:127.0.0.1;lr", "Routes": ["<sip:127.0.0.1;lr>"], "Message": "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\r\nv=0\r\n"}),
                    after,
                ),
                Phone::Refuses(status, after) => {
                    (json!({"Status": status, "Message": "Reason: Q.850;cause=17\r\n\r\n"}), after)
                }
                Phone::Rings => return,
            };
            sleep(after).await;
            // Unless it was cancelled.
            if script.state().invites.remove(&callid).is_none() {
                return;
            }
            let is_answered = response["Status"] == "200 OK";
            script.advance(&dialog, if is_answered { 3 } else { 5 });
            script.answer(&id, "t_uac_dlg", response);
            if is_answered {
                script.state().busy_until = Instant::now() + world.ack_takes;
                script.advance(&dialog, 4);
            }
        });
    }

    pub(crate) fn state_of(&self, id: &str) -> Option<u64> {
        self.state().dialogs.get(id).map(|dialog| dialog.state)
    }

    fn transfer(&self, id: &str, params: &Value) {
        let callid = params["callid"].as_str().unwrap().to_owned();
        let mut world = self.state().world.clone();
        let begun = {
            let mut state = self.state();
            let old = state.dialogs.iter_mut().find(|(_, d)| d.callid == callid && d.state < 5);
            match old {
                None => Err(json!({"code": 404, "message": "Dialog not found"})),
                Some((_, dialog)) if dialog.transfer_leg.is_some() => {
                    Err(json!({"code": 491, "message": "Request Pending"}))
                }
                Some((old, dialog)) => {
                    let leg = params["leg"].as_str().unwrap().to_owned();
                    dialog.transfer_leg = Some(leg.clone());
                    Ok((old.clone(), leg))
                }
            }
        };
        if self.state().busy_until > Instant::now() {
            // It overtakes the ACK, which phones do not like.
            world.on_refer = OnRefer::Refuses;
        }
        let (old, leg) = match begun {
            Ok(begun) => begun,
            Err(body) => return self.answer(id, "call_transfer", body),
        };
        self.answer(id, "call_transfer", json!("Accepted"));
        let others = params["transfer_callid"].as_str().map(str::to_owned);
        let destination =
            params["destination"].as_str().unwrap_or("sip:cindy@127.0.0.1").to_owned();
        let script = self.clone();
        tokio::spawn(async move {
            script.referred(world, old, callid, leg, others, destination).await;
        });
    }

    async fn referred(
        self,
        world: World,
        old: String,
        callid: String,
        leg: String,
        other: Option<String>,
        destination: String,
    ) {
        sleep(Duration::from_millis(1)).await;
        let new = format!("new-of-{}", callid.split('-').next().unwrap());
        let notifies = world.on_refer == OnRefer::Calls;
        let tell = |state: &str, status: &str| {
            let leg = if state == "start" && other.is_none() { &new } else { &leg };
            for callid in std::iter::once(&callid).chain(&other) {
                let destination = if state == "notify" { "" } else { destination.as_str() };
                self.event("E_CALL_TRANSFER", json!({"callid": callid, "leg": leg, "transfer_callid": new, "destination": destination, "state": state, "status": status}));
            }
        };
        match world.on_refer {
            OnRefer::Refuses => return self.transfer_is(&old, "", None),
            OnRefer::Nothing => return,
            OnRefer::HangsUp => return self.advance(&old, 5),
            OnRefer::Calls | OnRefer::CallsQuietly => {}
        }
        let to = format!("{destination};osid={old}");
        let dialog = self.new_dialog(&new, "sip:moved@127.0.0.1", &to);
        self.transfer_is(&old, &leg, Some(&new));
        tell("start", "");
        if notifies {
            tell("notify", "100 Trying");
        }
        self.advance(&dialog, 2);
        if notifies {
            tell("notify", "180 Ringing");
        }
        match world.target {
            Phone::Answers(after) => {
                sleep(after).await;
                if self.state_of(&dialog) == Some(5) {
                    return;
                }
                self.advance(&dialog, 3);
                self.transfer_is(&old, "", Some(&new));
                tell("ok", "200 OK");
                self.advance(&dialog, 4);
                if notifies {
                    tell("notify", "200 OK");
                }
            }
            Phone::Refuses(status, after) => {
                sleep(after).await;
                self.advance(&dialog, 5);
                self.transfer_is(&old, "", Some(&new));
                // What the proxy itself answers.
                let is_own = status.starts_with("404") || status.starts_with("408");
                tell("fail", if is_own { "408 Request Timeout" } else { status });
                if notifies {
                    tell("notify", status);
                }
            }
            Phone::Rings => {}
        }
    }

    fn transfer_is(&self, id: &str, leg: &str, callid: Option<&str>) {
        if let Some(dialog) = self.state().dialogs.get_mut(id) {
            dialog.transfer_leg = Some(leg.to_owned());
            dialog.transfer_callid = callid.map(str::to_owned);
        }
    }
}
