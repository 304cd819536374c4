"""A party's table at its own party: read it, hold it to its contract, put it in order, hand it to training."""
