"""explorer: a page on which trained networks, ideal and memory restore the same tokens.

checkpoints  files → networks, each with the sequences that it was trained on
runs         tokens, t and a seed → what each model makes of them, step by step
messages     what the page asks, checked, and what it is told, as JSON
page         the one file page.html with its data, and what it is allowed to load: nothing
server       gives the page, and answers it; to this machine alone
"""
