"""How the experiment document is read, one section a module.

soundness    what no JSON text can carry or no store can keep, before anything else is looked at
shapes       readers and sections that carry the JSON Schema of what they take
values       readers of single values: text, key, number, money, duration, date
fields       readers of objects: names each fault by its path and goes on
attributes, segments, arms, metrics, policy    the sections of the document
consistency  rules over several fields
"""
