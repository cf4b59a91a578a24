"""The command `minuddm`: train on a text, sample, restore what is wrong, look at what there is.

    arguments, program     how a command line is read, and how every command ends
    settings, run          what a run consists of, and the folder that holds all of it
    subject                the network that is looked at: of a run, a checkpoint, or a published one
    page, figures          what `probe` writes
    display, interrupts    how tokens are shown; Ctrl-C
    train, sample, …       a command each: its docstring is its help, `options` says what it takes,
                           `execute` does it, and `program.COMMANDS` lists it

Nothing else imports this package, and importing `minuddm` does not.
"""
