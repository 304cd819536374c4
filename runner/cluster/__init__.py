"""The driver's side of a run: certificates, the parties' processes, watching them, and ending them."""
