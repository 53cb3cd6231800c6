"""How networks are fitted: losses, data, warping, metrics, checkpoints."""
