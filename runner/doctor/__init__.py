"""What is wrong before a run: with this machine, this party's files, and the way to the other sites."""
