"""The report of one party: a page that says what a run did and what this party may see of it.

It is made in a process of the party's own from the files of its own folder and the manifest that all parties signed,
and from nothing else; the same run folder gives the same bytes.
"""
