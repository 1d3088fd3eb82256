"""Statistics: one leader turns the counters into one published snapshot."""
