"""Store: everything that speaks to MongoDB, and the only part that imports pymongo."""
