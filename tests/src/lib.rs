//! Test support: private, throw-away database servers and fresh databases.
