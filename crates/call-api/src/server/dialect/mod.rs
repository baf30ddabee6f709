//! How replies and notifications are spelled: the only place that knows the names of events and the
//! members of notifications.
//!
//! There are two dialects. Each connection speaks one of them, by the path it came by. They differ in
//! what a command tells (`v1`, `v2`) and in how closely requests are read; calls, registrations and
//! subscriptions (`watch`) are the same in both. Commands, backends and the journal know nothing of it: one journal is
//! read by clients of both.

mod failure;
mod shared;
mod time;
mod v1;
mod v2;
mod watch;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

pub use self::shared::Shared;
pub(super) use self::time::rfc3339;
pub(super) use self::v1::{EndedParams, ErrorParams, EventParams};
pub(super) use self::v2::CommandParams;
pub(super) use self::watch::{CallEventParams, RegistrationEventParams};
pub use self::watch::{CallShown, Calls, Registrations, Subscribed, Unsubscribed};
use super::journal::{Record, What};
use crate::api::jsonrpc::Reading;
use crate::api::{CommandId, Cursor, EventKind};
pub use crate::config::Dialect;

impl Dialect {
    /// How closely requests are read.
    #[must_use]
    pub fn reading(self) -> Reading {
        match self {
            Self::V1 => Reading::Strict,
            Self::V2 => Reading::Loose,
        }
    }

    /// Whether those who start a command are told of this.
    #[must_use]
    pub fn reports(self, kind: &EventKind, verbose: bool) -> bool {
        let unasked = self == Self::V2 && matches!(kind, EventKind::TransferProgress { .. });
        verbose || unasked || !kind.is_provisional()
    }

    /// The result of a request whose command was started; `replayed` says that it was when the
    /// request first came, and nothing was started now.
    #[must_use]
    pub fn started(self, cmd_id: &CommandId, replayed: bool) -> Started<'_> {
        let event = (self == Self::V2).then_some(Started::STATUS);
        Started { cmd_id, event, status: Started::STATUS, replayed }
    }

    /// Whatever the journal holds, as a notification, if it is one.
    #[must_use]
    pub fn notification(self, record: &Record, mark: &Mark<'_>) -> Option<String> {
        Some(self.body(record)?.marked(mark))
    }

    /// The same without a mark.
    fn body(self, record: &Record) -> Option<Body> {
        match (&record.what, self) {
            (What::Command(command, notice), Self::V1) => {
                v1::body(&command.cmd_id, notice, record.time)
            }
            (What::Command(command, notice), Self::V2) => v2::body(command, notice, record.time),
            (What::Call(change, call), _) => Some(watch::call_event(*change, call, record.time)),
            (What::Registration(change, registration), _) => {
                Some(watch::registration_event(*change, registration, record.time))
            }
            (What::Begun(..), _) => None,
        }
    }
}

/// The result of a request whose command was started, now or when it first came.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Started<'a> {
    /// Names the command in every notification that follows.
    cmd_id: &'a CommandId,
    /// In dialect v2.
    #[schemars(extend("const" = "Started"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    /// Nothing was wrong with the request.
    #[schemars(extend("const" = "Started"))]
    status: &'static str,
    /// This is a retry: nothing was started now.
    #[schemars(default)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl Started<'_> {
    const STATUS: &'static str = "Started";
}

/// A notification without its mark: the same for all who read it. Clones share it.
#[derive(Clone, Debug)]
pub struct Body(Arc<str>);

impl Body {
    /// What the text of every notification ends with: the end of `params` and its own.
    const END: &'static str = "}}";

    fn of(method: &str, params: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Notification<'a, P> {
            jsonrpc: &'static str,
            method: &'a str,
            params: &'a P,
        }
        let text = serde_json::to_string(&Notification { jsonrpc: "2.0", method, params })
            .expect("structs of strings and numbers have no key that JSON cannot hold");
        Self(text.strip_suffix(Self::END).expect("params are an object").into())
    }

    /// The notification as somebody reads it: the members of the mark are the last of `params`,
    /// which are never empty.
    #[must_use]
    pub fn marked(&self, mark: &Mark<'_>) -> String {
        let Mark { subscription, cursor, prev } = mark;
        let mut text = String::with_capacity(self.0.len() + 128);
        text.push_str(&self.0);
        // Names of subscriptions and cursors are of letters, digits and hyphens.
        if let Some(name) = subscription {
            text += &format!(r#","subscription":"{name}""#);
        }
        text += &format!(r#","cursor":"{cursor}""#);
        if let Some(prev) = prev {
            text += &format!(r#","prev":"{prev}""#);
        }
        text + Self::END
    }
}

/// Where a notification stands among those that the journal holds, and in a subscription.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Mark<'a> {
    /// In a subscription only: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    /// Where it stands in what the server has told.
    cursor: Cursor,
    /// In a subscription only: the cursor of the notification before.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Cursor>,
}

impl<'a> Mark<'a> {
    /// Of a notification that goes to whoever started the command.
    #[must_use]
    pub fn own(cursor: Cursor) -> Self {
        Self { subscription: None, cursor, prev: None }
    }

    /// Of a notification of a subscription; `prev` is the cursor of the one before it there.
    #[must_use]
    pub fn subscribed(cursor: Cursor, subscription: &'a str, prev: Cursor) -> Self {
        Self { subscription: Some(subscription), cursor, prev: Some(prev) }
    }
}

/// The params of a notification with its mark: what [`Body::marked`] writes, for descriptions.
pub(super) struct Marked<P>(PhantomData<P>);

impl<P: JsonSchema> JsonSchema for Marked<P> {
    fn schema_name() -> Cow<'static, str> {
        P::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (mut schema, mark) = (P::json_schema(generator), Mark::json_schema(generator));
        for place in ["properties", "required"] {
            match (schema.get_mut(place), mark.get(place)) {
                (Some(Value::Object(own)), Some(Value::Object(more))) => own.extend(more.clone()),
                (Some(Value::Array(own)), Some(Value::Array(more))) => own.extend_from_slice(more),
                _ => unreachable!("params and marks are structs with mandatory members"),
            }
        }
        schema
    }
}
