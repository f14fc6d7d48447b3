//! What people read: trees, tables, sentences.
