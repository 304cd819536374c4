"""The party's side: the process that reads one party's table, and the process in which secretflow runs for it."""
