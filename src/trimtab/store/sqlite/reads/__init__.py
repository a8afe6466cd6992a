"""Questions to the tables, each a function of a read-only connection, called in a worker thread."""
