//! The network stack of a node.
