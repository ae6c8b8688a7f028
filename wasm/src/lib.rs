//! MLS (RFC 9420) for one device: OpenMLS, bound to CPython and Pyodide.
//!
//! This file is the table of contents; each module below holds one concern. The contract that Python sees
//! is `python/coterie_mls/_native.pyi`.

mod backend; // the Python class: one line per call
mod commit; // building a commit, merging the pending one
mod config; // sizes, times, capabilities, what groups are made with
mod device; // signature key, identity key, certificate
mod error_kinds; // which of OpenMLS's errors is which of ours
mod errors; // what is raised
mod group; // creating, reading and forgetting groups
mod group_info; // a GroupInfo from the service, checked
#[cfg(feature = "kat-hooks")]
mod hooks; // for tests only: never in a release
mod key; // Ed25519 keys, ready to sign
mod key_package; // making and checking key packages
mod merge; // what a commit did to the tree, and whether we accept it
mod message; // encrypting, and opening what arrives
mod party; // device, storage and groups under one lock; all or nothing
mod primitives; // seal, open, hkdf, random bytes, framing header
mod rejoin; // an external commit in a store of its own
mod rules; // the one place that decides which leaves may enter
mod state; // the whole state in one value
mod storage_provider; // OpenMLS's storage trait over `store`
mod store; // an ordered map with an undo log
mod types; // the small classes that calls return
mod welcome; // entering a group

/// The compiled half of `coterie_mls`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::backend::Backend;
    #[cfg(feature = "kat-hooks")]
    #[pymodule_export]
    use crate::hooks::{
        kat_certificate, kat_commit, kat_external_join, kat_forge, kat_import_key_package, kat_join,
        kat_panic, kat_propose_remove, kat_relax, kat_round_trip, kat_store_psk, kat_take_proposal,
    };
    #[pymodule_export]
    use crate::primitives::{header, hkdf, open, random_bytes, seal};
    #[pymodule_export]
    use crate::types::{Application, Commit, Joined, KeyPackage, Member, Merged, Own, Rejoin};

    /// OpenMLS's HPKE panics where the system gives no entropy: find out at import instead.
    #[pymodule_init]
    fn init(_module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        crate::primitives::fill_random(&mut [0u8; 1])?;
        Ok(())
    }
}
