"""Questions about countries, answered out of facts that come with them: the memory networks."""
