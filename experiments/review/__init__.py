"""Whether each segment still makes sense: who came, what it brought, what its rule asks."""
