//! The whole state in one value, for transfer and backup checks.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::device::Device;
use crate::errors::{Error, Kind, Result};
use crate::party::{Inner, Party};
use crate::store::{Store, decode, encode};

/// All rows, private keys included.
pub fn export(party: &Party) -> Result<Vec<u8>> {
    let rows = party.store().rows(&[]);
    let pairs = rows.iter().map(|(key, row)| (ByteBuf::from(key.clone()), ByteBuf::from(row.to_vec())));
    Ok(encode(&pairs.collect::<BTreeMap<_, _>>())?.to_vec())
}

/// A device of an exported state: it reads and never sends. All its rows are yet to be saved.
pub fn import(state: &[u8]) -> Result<Inner> {
    let malformed = |error: Error| error.into_kind(Kind::Malformed);
    let rows: BTreeMap<ByteBuf, ByteBuf> = decode(state).map_err(Error::from).map_err(malformed)?;
    let rows = rows.into_iter().map(|(key, row)| (key.into_vec(), Zeroizing::new(row.into_vec())));
    let store = Store::from_rows(rows).map_err(Error::from).map_err(malformed)?;
    let mut device = Device::load(&store).map_err(malformed)?;
    device.read_only = true;
    store.mark_all_changed();
    let mut inner = Inner::new(device, store);
    inner.call(|party| party.device.save(party.store()))?;
    Ok(inner)
}
