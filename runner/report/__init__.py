"""What people read: progress while a run goes on, its summary, the dry run's table, and the help."""
