//! Dead letters that two ticks send, because the second one does not know what the first one has sent.

use super::*;
use crate::store::intercepted::{Intercept, InterceptedStore};

/// Nothing was sent yet: a tick meets such a table if it has read before the tick of before has written.
struct NothingSent;

impl Intercept for NothingSent {
    fn hides(&self, key: &Key) -> bool {
        key.sort == "sent"
    }
}

/// Returns the source and the index of each event of the dead letters, by its value.
fn places(letters: &[DeadLetter]) -> BTreeMap<i64, Vec<(String, usize)>> {
    let mut places: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for letter in letters {
        let body: serde_json::Value = serde_json::from_str(&letter.body).unwrap();
        let events = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        for (index, event) in events.iter().enumerate() {
            let value = event["value"].as_i64().unwrap();
            places.entry(value).or_default().push((letter.source_message_id.clone(), index));
        }
    }
    places
}

/// `pushgw redrive` keeps the source. So the identity of an event is the same in every copy of its dead letter.
#[tokio::test(start_paused = true)]
async fn an_event_that_two_ticks_send_has_one_source_and_one_index() {
    let mut rig = Rig::new();
    rig.event(NOW - 9, count("a", 1)).await;
    for value in [1, 2] {
        rig.event(NOW - 8, gauge("a", value)).await;
    }
    rig.tick(NOW).await;
    for value in [3, 4] {
        rig.event(NOW + 8, gauge("a", value)).await;
    }
    let table = Arc::clone(&rig.store);
    rig.store = Arc::new(InterceptedStore { table: Arc::clone(&table), intercept: NothingSent });
    rig.tick(NOW + MINUTE).await;
    rig.store = table;
    rig.event(NOW + MINUTE + 8, gauge("a", 5)).await;
    for minute in [2, 3] {
        rig.tick(NOW + minute * MINUTE).await;
    }
    let letters = rig.letters.0.lock().unwrap();
    let places = places(&letters);
    assert_eq!(
        places.iter().map(|(value, places)| (*value, places.len())).collect::<Vec<_>>(),
        [(1, 2), (2, 2), (3, 2), (4, 2), (5, 1)]
    );
    for (value, places) in places {
        assert!(places.iter().all(|place| *place == places[0]), "{value}: {places:?}");
    }
}
