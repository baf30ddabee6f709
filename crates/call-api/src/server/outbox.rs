//! What waits to be sent to one client: a queue with a bound in bytes.
//!
//! Whoever has a message leaves it here and goes on, so a client that does not read holds up
//! nobody. When its queue is full, the client is disconnected: dropping single messages would break
//! the promise that events come in order and without gaps. A client that merely sends faster than
//! it reads does not get that far: no further request of it is read while its queue is half full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc, watch};

/// What a message costs beside its text.
const OVERHEAD: usize = 64;

/// Where messages to one client are left. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Message>,
    room: Arc<Room>,
}

/// The end that the client's writer holds.
#[derive(Debug)]
pub struct Outgoing {
    /// The messages, in order.
    pub messages: mpsc::Receiver<Message>,
    /// Becomes true when a message found no room.
    pub overflowed: watch::Receiver<bool>,
}

/// One message. Its room in the queue is free once it is dropped.
#[derive(Debug)]
pub struct Message {
    text: String,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    bound: usize,
    used: AtomicUsize,
    /// Signalled whenever a message has left the queue.
    freed: Notify,
    overflowed: watch::Sender<bool>,
}

impl Outbox {
    /// A queue that holds `bound` bytes of messages.
    #[must_use]
    pub fn channel(bound: usize) -> (Self, Outgoing) {
        // A message takes at least its overhead, so the channel cannot be full while there is room.
        let (queue, messages) = mpsc::channel(bound / OVERHEAD + 1);
        let (overflowed, overflow) = watch::channel(false);
        let room = Room { bound, used: AtomicUsize::new(0), freed: Notify::new(), overflowed };
        (Self { queue, room: Arc::new(room) }, Outgoing { messages, overflowed: overflow })
    }

    /// Leaves a message. Without room for it the client will be disconnected; after it is gone
    /// messages go nowhere.
    pub fn push(&self, text: String) {
        if *self.room.overflowed.borrow() {
            return; // Nothing may follow the gap.
        }
        let size = text.len() + OVERHEAD;
        let used = self.room.used.fetch_add(size, Ordering::AcqRel) + size;
        let message = Message { text, room: Arc::clone(&self.room) };
        if used > self.room.bound {
            self.room.overflowed.send_replace(true);
            return;
        }
        // Fails only when the writer is gone, and with it the client.
        drop(self.queue.try_send(message));
    }

    /// Waits until less than half of the queue is used.
    pub async fn has_room(&self) {
        while self.room.used.load(Ordering::Acquire) > self.room.bound / 2 {
            self.room.freed.notified().await;
        }
    }
}

impl Message {
    /// The JSON to send.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.text.len() + OVERHEAD, Ordering::AcqRel);
        self.room.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_comes_back_when_a_message_has_been_sent() {
        let (outbox, mut outgoing) = Outbox::channel(1000);
        for _ in 0..100 {
            outbox.has_room().await;
            outbox.push("x".repeat(900));
            assert_eq!(outgoing.messages.try_recv().unwrap().text().len(), 900);
        }
        assert!(!*outgoing.overflowed.borrow());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_goes_on_when_there_is_some() {
        let (outbox, mut outgoing) = Outbox::channel(1000);
        outbox.push("x".repeat(900));
        let waiter = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.has_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(outgoing.messages.try_recv());
        waiter.await.unwrap();
    }

    #[test]
    fn nothing_follows_a_message_that_found_no_room() {
        let (outbox, mut outgoing) = Outbox::channel(1000);
        outbox.push("x".repeat(900));
        outbox.push("y".repeat(900));
        assert!(*outgoing.overflowed.borrow());
        assert_eq!(outgoing.messages.try_recv().unwrap().text(), "x".repeat(900));
        outbox.push("z".to_owned());
        assert!(outgoing.messages.try_recv().is_err());
    }

    #[test]
    fn many_small_messages_reach_the_bound_in_bytes() {
        let (outbox, mut outgoing) = Outbox::channel(OVERHEAD * 10);
        (0..11).for_each(|_| outbox.push(String::new()));
        assert!(*outgoing.overflowed.borrow());
        assert_eq!(std::iter::from_fn(|| outgoing.messages.try_recv().ok()).count(), 10);
    }
}
