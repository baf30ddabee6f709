//! What systemd is told of a service with `Type=notify`: that it is ready, that it stops, and, as often
//! as it asks for it, that it lives. Without systemd nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Says that clients may come, and from then on that the server lives, until the result is dropped.
#[must_use]
pub fn ready() -> JoinSet<()> {
    notify(NotifyState::Ready);
    let mut task = JoinSet::new();
    if let Some(at_least_every) = sd_notify::watchdog_enabled() {
        task.spawn(stay_alive(at_least_every / 2));
    }
    task
}

/// Says that the server is about to stop.
pub fn stopping() {
    notify(NotifyState::Stopping);
}

async fn stay_alive(every: Duration) {
    let mut tick = interval(every.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        notify(NotifyState::Watchdog);
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
