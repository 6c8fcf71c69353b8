//! The receiver: takes batches into PostgreSQL, exactly once; hands configuration down.
