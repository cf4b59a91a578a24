"""experiments: one claim, one file, one record, one figure; `python -m experiments.<name>`."""
