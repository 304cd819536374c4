"""SecretFlow, started safely: a narrow import, a guarded transport, private shuffles, and each party's own things."""
