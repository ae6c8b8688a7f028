//! This device's rows: an ordered map with an undo log.
//!
//! A *call* is one call of the binding. While it runs, the value that each key had before is remembered, so
//! that `revert_call` undoes it and `keep_call` adds it to what changed since the last `take_changes`.
//! Values are a format byte followed by CBOR. Rows hold private keys, so they are wiped when dropped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// First byte of every value: CBOR follows.
pub const FORMAT: u8 = 1;

/// A stored value. Wiped when dropped.
pub type Row = Zeroizing<Vec<u8>>;

/// What changed: the new value, or None for a row that is gone.
pub type Changes = Vec<(Vec<u8>, Option<Row>)>;

/// Why a row could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// A row is missing its format byte, or is not what was expected.
    Corrupt,
    /// A value could not be encoded.
    Encode,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StoreError::Corrupt => "A stored row does not read back.",
            StoreError::Encode => "A value could not be encoded for storage.",
        })
    }
}

impl std::error::Error for StoreError {}

#[derive(Default)]
struct Rows {
    map: BTreeMap<Vec<u8>, Row>,
    call: BTreeMap<Vec<u8>, Option<Row>>, // values before this call
    undo: BTreeMap<Vec<u8>, Option<Row>>, // values at the last `take_changes`
    faulty: bool,                         // a row did not read back during this call
}

/// The rows of one device. Not `Sync`: it lives behind the backend's lock.
#[derive(Default)]
pub struct Store(RefCell<Rows>);

impl Store {
    /// A store that holds these rows, with nothing changed. Refuses rows of another format.
    pub fn from_rows(rows: impl IntoIterator<Item = (Vec<u8>, Row)>) -> Result<Self, StoreError> {
        let map: BTreeMap<_, _> = rows.into_iter().collect();
        if map.values().any(|row| row.first() != Some(&FORMAT)) {
            return Err(StoreError::Corrupt);
        }
        Ok(Store(RefCell::new(Rows { map, ..Rows::default() })))
    }

    /// Write one value.
    pub fn put(&self, key: Vec<u8>, value: &impl Serialize) -> Result<(), StoreError> {
        let row = encode(value)?;
        self.put_row(key, row);
        Ok(())
    }

    /// Write one row that is encoded already.
    pub fn put_row(&self, key: Vec<u8>, row: Row) {
        let rows = &mut *self.0.borrow_mut();
        let before = rows.map.insert(key.clone(), row);
        rows.call.entry(key).or_insert(before);
    }

    /// Remove one row; a missing one is fine.
    pub fn delete(&self, key: &[u8]) {
        let rows = &mut *self.0.borrow_mut();
        if let Some(before) = rows.map.remove(key) {
            rows.call.entry(key.to_vec()).or_insert(Some(before));
        }
    }

    /// Remove every row whose key starts so.
    pub fn delete_prefix(&self, prefix: &[u8]) {
        for key in self.keys(prefix) {
            self.delete(&key);
        }
    }

    /// Read one value.
    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let value = match self.0.borrow().map.get(key) {
            None => return Ok(None),
            Some(row) => decode(row),
        };
        if value.is_err() {
            self.0.borrow_mut().faulty = true;
        }
        value.map(Some)
    }

    /// Whether there is such a row.
    pub fn has(&self, key: &[u8]) -> bool {
        self.0.borrow().map.contains_key(key)
    }

    /// The keys that start so, in order.
    pub fn keys(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let rows = self.0.borrow();
        let range = rows.map.range(prefix.to_vec()..);
        range.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// A copy of the rows whose key starts so.
    pub fn rows(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Row)> {
        let rows = self.0.borrow();
        let range = rows.map.range(prefix.to_vec()..);
        range.take_while(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Nothing of this was saved yet: hand out every row as changed.
    pub fn mark_all_changed(&self) {
        let rows = &mut *self.0.borrow_mut();
        let keys: Vec<_> = rows.map.keys().cloned().collect();
        rows.undo.extend(keys.into_iter().map(|key| (key, None)));
    }

    /// The call succeeded: what it changed counts.
    pub fn keep_call(&self) {
        let rows = &mut *self.0.borrow_mut();
        rows.faulty = false;
        for (key, before) in mem::take(&mut rows.call) {
            rows.undo.entry(key).or_insert(before);
        }
    }

    /// The call failed: put back what it changed. Tells whether a row did not read back.
    pub fn revert_call(&self) -> bool {
        let rows = &mut *self.0.borrow_mut();
        let call = mem::take(&mut rows.call);
        restore(&mut rows.map, call);
        mem::take(&mut rows.faulty)
    }

    /// Put back everything that changed since the last `take_changes`.
    pub fn revert_all(&self) {
        self.revert_call();
        let rows = &mut *self.0.borrow_mut();
        let undo = mem::take(&mut rows.undo);
        restore(&mut rows.map, undo);
    }

    /// What changed since the last time, each key once.
    pub fn take_changes(&self) -> Changes {
        let rows = &mut *self.0.borrow_mut();
        let undo = mem::take(&mut rows.undo);
        let changed = undo.into_iter().filter(|(key, before)| rows.map.get(key) != before.as_ref());
        changed.map(|(key, _)| (rows.map.get(&key).cloned(), key)).map(|(row, key)| (key, row)).collect()
    }
}

fn restore(map: &mut BTreeMap<Vec<u8>, Row>, log: BTreeMap<Vec<u8>, Option<Row>>) {
    for (key, before) in log {
        match before {
            Some(row) => map.insert(key, row),
            None => map.remove(&key),
        };
    }
}

/// Format byte and CBOR.
pub fn encode(value: &impl Serialize) -> Result<Row, StoreError> {
    let mut row = Zeroizing::new(Vec::with_capacity(256));
    row.push(FORMAT);
    ciborium::into_writer(value, &mut *row).map_err(|_| StoreError::Encode)?;
    Ok(row)
}

/// The opposite of `encode`; nothing may be left over.
pub fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, StoreError> {
    let Some((&FORMAT, mut rest)) = row.split_first() else {
        return Err(StoreError::Corrupt);
    };
    let value = ciborium::from_reader(&mut rest).map_err(|_| StoreError::Corrupt)?;
    if rest.is_empty() { Ok(value) } else { Err(StoreError::Corrupt) }
}
