"""A party's keys: what they are good for, where they are kept, and which keys of others are believed."""
