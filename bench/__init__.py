"""How fast `superpos_fast` is: against the machine, against its peers, from commit to commit."""
