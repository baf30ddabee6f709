//! `CallEnd`: BYE to both parties, or CANCEL before the call is answered.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::events::{DialogState, Happened};
use super::mi::{Method, MiError};
use super::outcome::failure;
use super::proxy::{Proxy, Watch};
use super::stop::Stop;
use crate::api::call::EndedBy;
use crate::api::{CallId, CommandError, Done, Origin};

/// How long the end of a dialog may take to be told.
const TOLD: Duration = Duration::from_secs(1);

/// Ends the dialog `id`, whose Call-ID is `callid`; either names it.
pub(super) async fn run(
    proxy: &Proxy,
    id: &str,
    callid: &CallId,
    mut stop: Stop,
) -> Result<Done, CommandError> {
    let mut watch = proxy.watch(callid).await;
    proxy.dialogs.ending(callid.as_str(), EndedBy::Command);
    tokio::select! {
        outcome = end(proxy, id, callid, &mut watch) => outcome,
        why = stop.wait(proxy) => Err(why.error(Origin::Proxy)),
    }
}

async fn end(
    proxy: &Proxy,
    id: &str,
    callid: &CallId,
    watch: &mut Watch,
) -> Result<Done, CommandError> {
    loop {
        match proxy.ask(Method::EndDialog, json!({"dialog_id": id})).await {
            Ok(_) => {
                // The proxy says so at once; that it is over is told by the event.
                let _ = timeout(TOLD, ended(watch)).await;
                return Ok(Done::default());
            }
            // The request or its answer is lost.
            Err(MiError::NoAnswer) if !is_there(proxy, callid).await? => {
                return Ok(Done::default());
            }
            Err(MiError::NoAnswer) => {}
            Err(error) => return Err(failure(proxy, Method::EndDialog, error)),
        }
    }
}

async fn ended(watch: &mut Watch) {
    loop {
        if let Happened::Dialog(event) = watch.next().await
            && event.state == DialogState::Deleted
        {
            return;
        }
    }
}

async fn is_there(proxy: &Proxy, callid: &CallId) -> Result<bool, CommandError> {
    match proxy.dialog(callid).await {
        Ok(listed) => Ok(listed.is_some_and(|listed| listed.state != DialogState::Deleted)),
        Err(error) if error.code() == Some(404) => Ok(false),
        Err(error) => Err(failure(proxy, Method::Dialogs, error)),
    }
}
