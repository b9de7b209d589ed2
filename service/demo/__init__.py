"""The demo: a campaign on the real server, on an accelerated clock.

`campaigns` says which there are and `campaign` what is asked of one: `hillstrom` has real customers with their real
outcomes, whom `replay` brings, and whose `gain` over an even split is told; a `simulated` one has a `crowd` of
visitors of whom everything is known, so that there is a `confirmation` of the verdict. `child` runs the server,
`conversation` speaks HTTP with it, `bookkeeping` compares what was posted with what is reported, and `run` does it all.
"""
