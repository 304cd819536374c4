"""Who may see what. `decide` is pure: spec in, decisions out; `gate` is the only way a value leaves its party."""
