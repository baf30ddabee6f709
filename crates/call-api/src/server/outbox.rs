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
    /// The number of the last event that it follows from.
    number: u64,
    /// The room it takes.
    size: usize,
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

    /// Leaves a message, which follows from events up to this number in the journal. Without room for
    /// it the client will be disconnected; after it is gone messages go nowhere.
    pub fn push(&self, text: String, number: u64) {
        let size = text.len() + OVERHEAD;
        self.leave(text, number, size);
    }

    /// Leaves a list of calls, which may be longer than the queue: it takes a little more than half
    /// of it at most, so that no further request is read before it is sent.
    pub fn long(&self, text: String, number: u64) {
        let size = (text.len() + OVERHEAD).min(self.room.bound / 2 + 1);
        self.leave(text, number, size);
    }

    /// Gives the client up: it will be disconnected, and nothing more is queued.
    pub fn cut(&self) {
        self.room.overflowed.send_replace(true);
    }

    fn leave(&self, text: String, number: u64, size: usize) {
        if *self.room.overflowed.borrow() {
            return; // Nothing may follow the gap.
        }
        let used = self.room.used.fetch_add(size, Ordering::AcqRel) + size;
        let message = Message { text, number, size, room: Arc::clone(&self.room) };
        if used > self.room.bound {
            return self.cut();
        }
        // Fails only when the writer is gone, and with it the client.
        drop(self.queue.try_send(message));
    }

    /// Waits until less than half of the queue is used.
    pub async fn has_room(&self) {
        self.uses_at_most(self.room.bound / 2).await;
    }

    /// Waits until less than a quarter of the queue is used: those who have as much to say as the
    /// client can read leave room for its requests and their replies.
    pub async fn has_ample_room(&self) {
        self.uses_at_most(self.room.bound / 4).await;
    }

    async fn uses_at_most(&self, size: usize) {
        loop {
            // Made before looking, so that no signal is missed.
            let freed = self.room.freed.notified();
            if self.room.used.load(Ordering::Acquire) <= size {
                return;
            }
            freed.await;
        }
    }
}

impl Message {
    /// The JSON to send.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It may be sent once the journal has settled this event.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.size, Ordering::AcqRel);
        self.room.freed.notify_waiters();
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
            outbox.push("x".repeat(900), 0);
            assert_eq!(outgoing.messages.try_recv().unwrap().text().len(), 900);
        }
        assert!(!*outgoing.overflowed.borrow());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_goes_on_when_there_is_some() {
        let (outbox, mut outgoing) = Outbox::channel(1000);
        outbox.push("x".repeat(900), 0);
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
        outbox.push("x".repeat(900), 0);
        outbox.push("y".repeat(900), 0);
        assert!(*outgoing.overflowed.borrow());
        assert_eq!(outgoing.messages.try_recv().unwrap().text(), "x".repeat(900));
        outbox.push("z".to_owned(), 0);
        assert!(outgoing.messages.try_recv().is_err());
    }

    #[tokio::test]
    async fn everybody_who_waits_goes_on_when_one_long_message_has_been_sent() {
        let (outbox, mut outgoing) = Outbox::channel(1000);
        outbox.push("x".repeat(900), 0);
        let (one, other) = (outbox.clone(), outbox.clone());
        let waiters = [
            tokio::spawn(async move { one.has_room().await }),
            tokio::spawn(async move { other.has_ample_room().await }),
        ];
        tokio::task::yield_now().await;
        drop(outgoing.messages.try_recv());
        for waiter in waiters {
            waiter.await.unwrap();
        }
    }

    #[test]
    fn a_list_may_be_longer_than_the_queue_but_a_second_one_has_to_wait() {
        let (outbox, mut outgoing) = Outbox::channel(1000);
        outbox.long("x".repeat(5000), 0);
        outbox.push("y".repeat(100), 0);
        assert!(!*outgoing.overflowed.borrow());
        outbox.long("z".repeat(5000), 0);
        assert!(*outgoing.overflowed.borrow());
        assert_eq!(outgoing.messages.try_recv().unwrap().text().len(), 5000);
        assert_eq!(outgoing.messages.try_recv().unwrap().text().len(), 100);
        assert!(outgoing.messages.try_recv().is_err());
    }

    #[test]
    fn many_small_messages_reach_the_bound_in_bytes() {
        let (outbox, mut outgoing) = Outbox::channel(OVERHEAD * 10);
        (0..11).for_each(|_| outbox.push(String::new(), 0));
        assert!(*outgoing.overflowed.borrow());
        assert_eq!(std::iter::from_fn(|| outgoing.messages.try_recv().ok()).count(), 10);
    }
}
