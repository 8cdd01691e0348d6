"""What `superpos-fast` can do, a few lines a command.

closeness, spread, fitting, machine     the commands
shared                                  options of many commands, each defined once
answers, writing                        an answer as a table, JSON, CSV or a file
"""
