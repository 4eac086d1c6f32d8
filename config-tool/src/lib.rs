//! The library behind the `dunlin` command.
