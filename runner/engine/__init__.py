"""SecretFlow, started safely: a narrow import, a guarded transport, private shuffles, states to go on from, and each party's own things."""
