"""HTTP towards clients: paths, keys, limits, bodies in; statuses and headers out. No logic beyond HTTP."""
