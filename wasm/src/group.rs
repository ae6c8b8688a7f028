//! Creating, reading and forgetting groups.

use openmls::prelude::*;

use crate::config::{MAX_WELCOME, create_config, suite};
use crate::errors::{Error, Result};
use crate::party::{Inner, Party};
use crate::primitives::fill_random;
use crate::storage_provider::{group_ids, group_prefix};

/// Make a group with this device as its one member; gives its random id.
pub fn create(party: &Party, group_data: &[u8], suite_number: u16) -> Result<Vec<u8>> {
    if party.device.read_only {
        return Err(Error::not_allowed("An imported state makes no groups."));
    }
    check_group_data(group_data)?;
    let config = create_config(suite(suite_number)?, group_data, party.device.leaf_extensions()?)?;
    let mut id = vec![0; 16];
    fill_random(&mut id)?;
    let (device, id) = (&party.device, GroupId::from_slice(&id));
    MlsGroup::new_with_group_id(&party.provider, &device.signer, &config, id.clone(), device.credential()?)?;
    Ok(id.to_vec())
}

/// Group data is part of every GroupInfo.
pub fn check_group_data(group_data: &[u8]) -> Result<()> {
    if group_data.len() > MAX_WELCOME / 2 {
        return Err(Error::malformed("The group data is too large."));
    }
    Ok(())
}

/// Remove all rows of a group.
pub fn delete(inner: &mut Inner, id: &[u8]) -> Result<()> {
    inner.unload(id);
    inner.call(|party| {
        party.store().delete_prefix(&group_prefix(&GroupId::from_slice(id))?);
        Ok(())
    })
}

/// Ids of the groups that have rows.
pub fn ids(party: &Party) -> Result<Vec<Vec<u8>>> {
    let ids: Vec<GroupId> = group_ids(party.store())?;
    Ok(ids.into_iter().map(|id| id.to_vec()).collect())
}

/// GroupInfo of the present epoch, with ratchet tree and external key.
pub fn group_info(party: &Party, group: &MlsGroup) -> Result<Vec<u8>> {
    party.check_active(group)?;
    let crypto = party.provider.crypto();
    Ok(group.export_group_info(crypto, &party.device.signer, true)?.to_bytes()?)
}

/// MLS exporter (RFC 9420 section 8.5).
pub fn export_secret(
    party: &Party,
    group: &MlsGroup,
    label: &str,
    context: &[u8],
    length: usize,
) -> Result<Vec<u8>> {
    Ok(group.export_secret(party.provider.crypto(), label, context, length)?)
}
