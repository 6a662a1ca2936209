"""Finding and fetching what to work on."""
