//! How the played OpenSIPS holds parties and takes them back.

use serde_json::{Value, json};

use super::{OnHold, Script, World};

impl Script {
    pub(super) fn hold(&self, id: &str, method: &str, params: &Value) {
        let is_hold = method == "call_hold";
        let world = self.state().world.clone();
        let begun = self.begin_hold(is_hold, &world, params);
        let Hold { dialog, callid, legs } = match begun {
            Ok(begun) => begun,
            Err(body) => return self.answer(id, method, body),
        };
        let action = if is_hold { "hold" } else { "unhold" };
        let tell = |leg: usize, state: &str| {
            let leg = ["caller", "callee"][leg];
            self.event(
                "E_CALL_HOLD",
                json!({"callid": callid, "leg": leg, "action": action, "state": state}),
            );
        };
        let keep = |leg: usize, flags: u64| {
            if let Some(dialog) = self.state().dialogs.get_mut(&dialog) {
                dialog.held[leg] = Some(flags);
            }
        };
        for (leg, flags) in &legs {
            tell(*leg, "start");
            if world.is_old {
                keep(*leg, *flags);
            }
        }
        self.answer(id, method, json!("OK"));
        for (leg, flags) in legs {
            match world.on_hold[leg] {
                OnHold::Refuses if is_hold => tell(leg, "fail"),
                OnHold::Nothing => {}
                OnHold::Agrees | OnHold::Refuses => {
                    tell(leg, "ok");
                    keep(leg, flags);
                }
            }
        }
    }

    fn begin_hold(&self, is_hold: bool, world: &World, params: &Value) -> Result<Hold, Value> {
        let state = self.state();
        let callid = params["callid"].as_str().unwrap();
        if world.is_old && params.get("leg").is_some() {
            return Err(
                json!({"code": -32602, "message": "Invalid params", "data": "Too few or too many parameters"}),
            );
        }
        let found = state.dialogs.iter().find(|(_, d)| d.callid == callid && d.state < 5);
        let Some((id, dialog)) = found else {
            return Err(json!({"code": 404, "message": "Dialog not found"}));
        };
        if dialog.state < 4 {
            return Err(json!({"code": 410, "message": "Dialog not ready"}));
        }
        let changed: [u64; 2] = match params["leg"].as_str() {
            Some("caller") => [8, 4],
            Some(_) => [4, 8],
            None => [12, 12],
        };
        let leg = |leg: usize| {
            let before = dialog.held[leg].unwrap_or(0);
            let is_sent = if is_hold { before != changed[leg] } else { before != 0 };
            let after = if is_hold { before | changed[leg] } else { before & !changed[leg] };
            is_sent.then_some((leg, after))
        };
        let legs: Vec<(usize, u64)> = (0..2).filter_map(leg).collect();
        if legs.is_empty() {
            let message =
                if is_hold { "Both dialog legs are on hold" } else { "No dialog legs on hold" };
            return Err(json!({"code": 480, "message": message}));
        }
        Ok(Hold { dialog: id.clone(), callid: callid.to_owned(), legs })
    }
}

/// A hold that begins, or its end.
struct Hold {
    dialog: String,
    callid: String,
    /// Who is re-INVITEd, and the flags once they have agreed.
    legs: Vec<(usize, u64)>,
}
