//! Keeping a proxy usable: finding it, subscribing to its events and renewing that, and noticing when
//! it dies or was restarted, which loses the subscriptions and the requests it had not answered.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::dialogs::News;
use super::mi::{METHOD_NOT_FOUND, Method, MiError, Names};
use super::proxy::{Health, WeakProxy};

/// Time between questions whether the proxy is still the same.
const HEALTH: Duration = Duration::from_secs(2);
/// Time between attempts to find it.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a subscription lasts that is not renewed.
const EXPIRE: Duration = Duration::from_secs(60);
/// Time between renewals: two may fail.
const RENEW: Duration = Duration::from_secs(20);
/// Time between looks for dialogs whose end was not told, and for others that were missed.
const RELIST: Duration = Duration::from_secs(60);

/// The events that commands need.
const EVENTS: [&str; 3] = ["E_DLG_STATE_CHANGED", "E_CALL_TRANSFER", "E_CALL_HOLD"];

/// Runs until the proxy is not used any more.
pub(super) async fn run(
    proxy: WeakProxy,
    events: Arc<str>,
    health: Arc<watch::Sender<Health>>,
    news: News,
) {
    let mut upkeep = Upkeep { proxy, events, health, news };
    // Ends when nobody holds the proxy.
    while upkeep.live().await.is_some() {
        sleep(PAUSE).await;
    }
}

struct Upkeep {
    proxy: WeakProxy,
    events: Arc<str>,
    health: Arc<watch::Sender<Health>>,
    news: News,
}

impl Upkeep {
    /// Finds the proxy and keeps it usable until it is lost. `None` when it is not used any more.
    async fn live(&mut self) -> Option<()> {
        let up_since = match self.up_since().await? {
            Ok(up_since) => up_since,
            Err(error) => return self.lost(&error.to_string()),
        };
        let lacks = match self.subscribe().await? {
            Ok(lacks) => lacks,
            Err(error) => return self.lost(&error.to_string()),
        };
        for event in &lacks {
            tracing::error!(proxy = %self.proxy.name, event, "OpenSIPS has no such event, or cannot send it here");
        }
        self.health.send_modify(|health| {
            *health = Health { down: None, life: health.life + 1, lacks };
        });
        tracing::info!(proxy = %self.proxy.name, "OpenSIPS is there");
        self.news.list(&self.proxy).await?;
        self.stay(up_since).await
    }

    /// Until the proxy is lost.
    async fn stay(&mut self, up_since: Value) -> Option<()> {
        let mut follow = self.health.subscribe();
        let now = Instant::now();
        let (mut check, mut renew, mut list) = (now + HEALTH, now + RENEW, now + RELIST);
        loop {
            tokio::select! {
                () = async { drop(follow.wait_for(|health| health.down.is_some()).await) } => {
                    return Some(());
                }
                next = self.news.next() => self.news.find_out(next, &self.proxy).await?,
                () = sleep_until(check) => {
                    check = Instant::now() + HEALTH;
                    match self.up_since().await? {
                        Ok(since) if since == up_since => {}
                        Ok(_) => return self.lost("it was restarted"),
                        Err(error) => return self.lost(&error.to_string()),
                    }
                }
                () = sleep_until(renew) => {
                    renew = Instant::now() + RENEW;
                    if let Err(error) = self.subscribe().await? {
                        return self.lost(&error.to_string());
                    }
                }
                () = sleep_until(list) => {
                    list = Instant::now() + RELIST;
                    self.news.list(&self.proxy).await?;
                }
            }
        }
    }

    /// When the proxy was started, in its own words.
    async fn up_since(&self) -> Option<Result<Value, MiError>> {
        let uptime = self.proxy.ask(Method::Uptime, json!({})).await?;
        Some(uptime.map(|uptime| uptime["Up since"].clone()))
    }

    /// Subscribes to every event, or renews that. The events that the proxy does not have come back.
    async fn subscribe(&self) -> Option<Result<Vec<&'static str>, MiError>> {
        let mut lacks = Vec::new();
        for event in EVENTS {
            match self.subscribe_to(event).await? {
                Ok(_) => {}
                Err(MiError::Refused { .. }) => lacks.push(event),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(lacks))
    }

    /// The first request after which it is known how the proxy spells methods.
    async fn subscribe_to(&self, event: &str) -> Option<Result<Value, MiError>> {
        let params = json!({"event": event, "socket": *self.events, "expire": EXPIRE.as_secs()});
        let answer = self.proxy.ask(Method::Subscribe, params.clone()).await?;
        if !answer.as_ref().is_err_and(|error| error.code() == Some(METHOD_NOT_FOUND)) {
            return Some(answer);
        }
        self.proxy.use_names(Names::New).await;
        let again = self.proxy.ask(Method::Subscribe, params).await?;
        if again.as_ref().is_err_and(|error| error.code() == Some(METHOD_NOT_FOUND)) {
            self.proxy.use_names(Names::Old).await;
        }
        Some(again)
    }

    /// It cannot be used, until it is found again.
    fn lost(&self, why: &str) -> Option<()> {
        Health::lose(&self.health, &self.proxy.name, why);
        Some(())
    }
}
