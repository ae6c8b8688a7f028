//! What is raised, named by what the caller does next.
//!
//! The Python classes live in `coterie_mls/errors.py`, and `error_kinds` says which of OpenMLS's errors is which;
//! everything else in this crate writes `?`.

use std::borrow::Cow;

use pyo3::PyErr;

mod python {
    #![allow(missing_docs)]
    pyo3::import_exception!(coterie_mls.errors, Malformed);
    pyo3::import_exception!(coterie_mls.errors, Stale);
    pyo3::import_exception!(coterie_mls.errors, TooEarly);
    pyo3::import_exception!(coterie_mls.errors, WrongGroup);
    pyo3::import_exception!(coterie_mls.errors, Forged);
    pyo3::import_exception!(coterie_mls.errors, Unacceptable);
    pyo3::import_exception!(coterie_mls.errors, NotAllowed);
    pyo3::import_exception!(coterie_mls.errors, Unsupported);
    pyo3::import_exception!(coterie_mls.errors, Corrupt);
    pyo3::import_exception!(coterie_mls.errors, Internal);
}

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Which Python class is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The bytes will never parse.
    Malformed,
    /// Seen before, or of a past epoch.
    Stale,
    /// Of an epoch or generation that has not come.
    TooEarly,
    /// Names another group.
    WrongGroup,
    /// A signature, tag or decryption failed.
    Forged,
    /// Breaks a rule of ours.
    Unacceptable,
    /// Not in the present state.
    NotAllowed,
    /// Not in this build.
    Unsupported,
    /// A stored row does not read back.
    Corrupt,
    /// A defect in a library.
    Internal,
}

/// An error: its kind, and one sentence for the log.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    sentence: Cow<'static, str>,
}

macro_rules! constructors {
    ($($name:ident $kind:ident),*) => {
        impl Error {
            $(
                /// An error of that kind, with its sentence.
                pub fn $name(sentence: impl Into<Cow<'static, str>>) -> Self {
                    Error { kind: Kind::$kind, sentence: sentence.into() }
                }
            )*
        }
    };
}

constructors!(malformed Malformed, stale Stale, too_early TooEarly, wrong_group WrongGroup, forged Forged,
    unacceptable Unacceptable, not_allowed NotAllowed, unsupported Unsupported, corrupt Corrupt, internal Internal);

impl Error {
    /// The same sentence under another class.
    pub fn into_kind(self, kind: Kind) -> Self {
        Error { kind, ..self }
    }

    /// An error of that kind that says what its source says.
    pub fn new(kind: Kind, source: &impl std::fmt::Display) -> Self {
        Error { kind, sentence: source.to_string().trim_end().to_owned().into() }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let sentence = error.sentence.into_owned();
        match error.kind {
            Kind::Malformed => python::Malformed::new_err(sentence),
            Kind::Stale => python::Stale::new_err(sentence),
            Kind::TooEarly => python::TooEarly::new_err(sentence),
            Kind::WrongGroup => python::WrongGroup::new_err(sentence),
            Kind::Forged => python::Forged::new_err(sentence),
            Kind::Unacceptable => python::Unacceptable::new_err(sentence),
            Kind::NotAllowed => python::NotAllowed::new_err(sentence),
            Kind::Unsupported => python::Unsupported::new_err(sentence),
            Kind::Corrupt => python::Corrupt::new_err(sentence),
            Kind::Internal => python::Internal::new_err(sentence),
        }
    }
}
