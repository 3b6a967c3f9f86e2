//! The seed documents, call by call.
