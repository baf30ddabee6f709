//! Notifications that many clients read: each is spelled once.

use std::sync::{Mutex, PoisonError};

use super::{Body, Dialect};
use crate::server::journal::Record;

/// How many are at hand in each dialect. Subscribers read the same few at about the same time.
const AT_HAND: usize = 64;

/// The notifications that were read last.
#[derive(Debug)]
pub struct Shared {
    v1: [Place; AT_HAND],
    v2: [Place; AT_HAND],
}

/// The number of a record, and its notification if it is one.
type Place = Mutex<Option<(u64, Option<Body>)>>;

impl Default for Shared {
    fn default() -> Self {
        Self {
            v1: std::array::from_fn(|_| Mutex::default()),
            v2: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Shared {
    /// A record of the one journal, as a notification without its mark.
    pub fn body(&self, dialect: Dialect, record: &Record) -> Option<Body> {
        let places = match dialect {
            Dialect::V1 => &self.v1,
            Dialect::V2 => &self.v2,
        };
        let place = &places[record.number as usize % AT_HAND];
        // What is in a place is complete, so a poisoned lock guards nothing broken.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some((number, body)) if *number == record.number => body.clone(),
            _ => {
                let body = dialect.body(record);
                *place = Some((record.number, body.clone()));
                body
            }
        }
    }
}
