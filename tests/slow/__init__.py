"""What goes wrong: with a broker, with a worker, with settings, with messages."""
