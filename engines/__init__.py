"""A frame in, a painted frame out: what an engine is, its back ends, the networks, and how networks are fitted."""
