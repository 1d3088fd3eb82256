"""The all-in-one service: embedded databases, generated secrets, process supervision."""
