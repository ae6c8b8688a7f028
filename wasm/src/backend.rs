//! The Python class: one line per call. Each takes the lock with the GIL released and hands on to a module.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping};
use zeroize::Zeroizing;

use crate::commit::{self, Wanted};
use crate::device::Device;
use crate::errors::{Error, Result};
use crate::message::Processed;
use crate::party::Inner;
use crate::rules::group_data;
use crate::store::Store;
use crate::types::{Commit, Joined, KeyPackage, Member, Merged, Rejoin};
use crate::{group, group_info, key_package, message, rejoin, state, welcome};

/// The MLS state of one device, behind one lock.
#[pyclass(frozen, module = "coterie_mls")]
pub struct Backend(Mutex<Inner>);

impl Backend {
    fn over(inner: Inner) -> Self {
        Backend(Mutex::new(inner))
    }

    /// The lock. After a panic in an earlier call, that call is undone first.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| {
            self.0.clear_poison();
            let mut inner = poisoned.into_inner();
            inner.recover();
            inner
        })
    }

    /// Work under the lock. Nothing in `work` may ask for the GIL.
    pub fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Inner) -> Result<T> + Send,
    ) -> PyResult<T> {
        guarded(py, || work(&mut self.lock()))
    }

    fn run_bytes<'py>(
        &self,
        py: Python<'py>,
        work: impl FnOnce(&mut Inner) -> Result<Vec<u8>> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.run(py, work)?))
    }
}

#[pymethods]
impl Backend {
    #[staticmethod]
    fn create(py: Python<'_>, user_id: &str) -> PyResult<Self> {
        guarded(py, || {
            let mut inner = Inner::new(Device::create(user_id)?, Store::default());
            inner.call(|party| party.device.save(party.store()))?;
            Ok(Backend::over(inner))
        })
    }

    #[staticmethod]
    fn load(py: Python<'_>, rows: &Bound<'_, PyMapping>) -> PyResult<Self> {
        let mut read = Vec::with_capacity(rows.len()?);
        for item in rows.items()?.iter() {
            let (key, row): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) = item.extract()?;
            read.push((key.as_bytes().to_vec(), Zeroizing::new(row.as_bytes().to_vec())));
        }
        guarded(py, || {
            let store = Store::from_rows(read)?;
            Ok(Backend::over(Inner::new(Device::load(&store)?, store)))
        })
    }

    fn export_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| state::export(&inner.party))
    }

    #[staticmethod]
    fn import_state(py: Python<'_>, state: &[u8]) -> PyResult<Self> {
        guarded(py, || state::import(state).map(Backend::over))
    }

    #[getter]
    fn read_only(&self, py: Python<'_>) -> PyResult<bool> {
        self.run(py, |inner| Ok(inner.party.device.read_only))
    }

    #[getter]
    fn user_id(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |inner| Ok(inner.party.device.user_id.clone()))
    }

    #[getter]
    fn device_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.run(py, |inner| Ok(inner.party.device.device_id.clone()))
    }

    #[getter]
    fn signature_key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| Ok(inner.party.device.signer.public().to_vec()))
    }

    #[getter]
    fn identity_key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| Ok(inner.party.device.identity_key().to_vec()))
    }

    #[getter]
    fn certificate<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| Ok(inner.party.device.certificate()?.to_vec()))
    }

    fn sign_device_proof<'py>(
        &self,
        py: Python<'py>,
        sub: &str,
        session_id: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| inner.party.device.proof(sub, session_id))
    }

    fn bind_device(&self, py: Python<'_>, device_id: &str) -> PyResult<()> {
        self.run(py, |inner| {
            inner.call(|party| match party.device.bind(device_id)? {
                true => party.device.save(party.store()),
                false => Ok(()),
            })
        })
    }

    fn take_changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let changes = self.run(py, |inner| Ok(inner.party.store().take_changes()))?;
        let dict = PyDict::new(py);
        for (key, row) in changes {
            dict.set_item(PyBytes::new(py, &key), row.map(|row| PyBytes::new(py, &row)))?;
        }
        Ok(dict)
    }

    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, Inner::rollback)
    }

    #[pyo3(signature = (*, suite=1, lifetime=7_257_600, last_resort=false))]
    fn create_key_package(
        &self,
        py: Python<'_>,
        suite: u16,
        lifetime: u64,
        last_resort: bool,
    ) -> PyResult<KeyPackage> {
        self.run(py, |inner| inner.call(|party| key_package::create(party, suite, lifetime, last_resort)))
    }

    fn delete_key_package(&self, py: Python<'_>, r#ref: &[u8]) -> PyResult<()> {
        self.run(py, |inner| inner.call(|party| key_package::delete(party, r#ref)))
    }

    fn check_key_package(&self, py: Python<'_>, key_package: &[u8]) -> PyResult<KeyPackage> {
        self.run(py, |inner| Ok(key_package::check(&inner.party, key_package)?.1))
    }

    #[pyo3(signature = (group_data, *, suite=1))]
    fn create_group<'py>(
        &self,
        py: Python<'py>,
        group_data: &[u8],
        suite: u16,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| inner.call(|party| group::create(party, group_data, suite)))
    }

    fn load_group(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<()> {
        self.run(py, |inner| inner.load(group_id))
    }

    fn delete_group(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<()> {
        self.run(py, |inner| group::delete(inner, group_id))
    }

    fn groups(&self, py: Python<'_>) -> PyResult<Vec<Vec<u8>>> {
        self.run(py, |inner| group::ids(&inner.party))
    }

    fn members(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<Vec<Member>> {
        self.run(py, |inner| inner.see(group_id, |party, group| party.members(group)))
    }

    fn own_leaf(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<Member> {
        self.run(py, |inner| inner.see(group_id, |party, group| party.own_leaf(group)))
    }

    fn epoch(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<u64> {
        self.run(py, |inner| inner.see(group_id, |_, group| Ok(group.epoch().as_u64())))
    }

    fn suite(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<u16> {
        self.run(py, |inner| inner.see(group_id, |_, group| Ok(group.ciphersuite().into())))
    }

    fn epoch_authenticator<'py>(&self, py: Python<'py>, group_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| {
            inner.see(group_id, |_, group| Ok(group.epoch_authenticator().as_slice().to_vec()))
        })
    }

    fn tree_hash<'py>(&self, py: Python<'py>, group_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| {
            inner.see(group_id, |_, group| Ok(group.public_group().group_context().tree_hash().to_vec()))
        })
    }

    fn group_data<'py>(&self, py: Python<'py>, group_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| {
            inner.see(group_id, |_, group| Ok(group_data(group.public_group().group_context())))
        })
    }

    fn group_info<'py>(&self, py: Python<'py>, group_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| inner.see(group_id, group::group_info))
    }

    fn export_secret<'py>(
        &self,
        py: Python<'py>,
        group_id: &[u8],
        label: &str,
        context: &[u8],
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| {
            inner.see(group_id, |party, group| group::export_secret(party, group, label, context, length))
        })
    }

    fn has_pending_commit(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<bool> {
        self.run(py, |inner| inner.see(group_id, |_, group| Ok(group.pending_commit().is_some())))
    }

    #[pyo3(signature = (group_id, data, authenticated_data=Default::default()),
           text_signature = "($self, group_id, data, authenticated_data=b'')")]
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        group_id: &[u8],
        data: &[u8],
        authenticated_data: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.run_bytes(py, |inner| {
            inner.in_group(group_id, |party, group| message::encrypt(party, group, data, authenticated_data))
        })
    }

    #[pyo3(signature = (group_id, *, add=vec![], remove=vec![], group_data=None, authenticated_data=Default::default()),
           text_signature = "($self, group_id, *, add=(), remove=(), group_data=None, authenticated_data=b'')")]
    fn commit(
        &self,
        py: Python<'_>,
        group_id: &[u8],
        add: Vec<Vec<u8>>,
        remove: Vec<u32>,
        group_data: Option<Vec<u8>>,
        authenticated_data: &[u8],
    ) -> PyResult<Commit> {
        let wanted = Wanted { add, remove, group_data, authenticated_data: authenticated_data.to_vec() };
        self.run(py, |inner| inner.in_group(group_id, |party, group| commit::build(party, group, &wanted)))
    }

    fn merge_pending(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<Merged> {
        self.run(py, |inner| inner.in_group(group_id, commit::merge_pending))
    }

    fn discard_pending(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<()> {
        self.run(py, |inner| inner.in_group(group_id, commit::discard_pending))
    }

    fn join(&self, py: Python<'_>, welcome: &[u8]) -> PyResult<Joined> {
        self.run(py, |inner| welcome::join(inner, welcome, None))
    }

    fn process(&self, py: Python<'_>, group_id: &[u8], message: &[u8]) -> PyResult<Py<PyAny>> {
        match self.run(py, |inner| message::process(inner, group_id, message))? {
            Processed::Application(application) => Ok(Py::new(py, application)?.into_any()),
            Processed::Merged(merged) => Ok(Py::new(py, merged)?.into_any()),
            Processed::Own(own) => Ok(Py::new(py, own)?.into_any()),
        }
    }

    fn inspect_group_info<'py>(
        &self,
        py: Python<'py>,
        group_info: &[u8],
    ) -> PyResult<(Bound<'py, PyBytes>, u64, Member, Bound<'py, PyBytes>)> {
        let seen = self.run(py, |inner| group_info::inspect(&inner.party, group_info))?;
        Ok((PyBytes::new(py, &seen.group_id), seen.epoch, seen.signer, PyBytes::new(py, &seen.group_data)))
    }

    #[pyo3(signature = (group_info, authenticated_data=Default::default()),
           text_signature = "($self, group_info, authenticated_data=b'')")]
    fn rejoin(&self, py: Python<'_>, group_info: &[u8], authenticated_data: &[u8]) -> PyResult<Rejoin> {
        self.run(py, |inner| rejoin::build(&inner.party, group_info, authenticated_data))
    }

    fn merge_rejoin(&self, py: Python<'_>, record: &[u8]) -> PyResult<Merged> {
        self.run(py, |inner| rejoin::merge(inner, record))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |inner| {
            let device = &inner.party.device;
            Ok(format!(
                "Backend(user_id={:?}, device_id={:?})",
                device.user_id,
                device.device_id.as_deref().unwrap_or("")
            ))
        })
    }
}

/// Work with the GIL released. A panic becomes `Internal`: what it left is undone when the lock is next taken.
fn guarded<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let panicked = |_| Err(Error::internal("A defect made this call panic; it changed nothing."));
    Ok(py.detach(|| catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked))?)
}
