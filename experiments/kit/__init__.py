"""kit: what the experiments share; `experiment` says what an experiment is and runs it."""
