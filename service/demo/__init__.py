"""The demo: a campaign on the real server, with real customers and their real outcomes, on an accelerated clock.

`campaigns` says which there are, `child` runs the server, `conversation` speaks HTTP with it, `replay` brings the
customers, `bookkeeping` compares what was posted with what is reported, `gain` what came of it with an even split, and
`run` does it all.
"""
