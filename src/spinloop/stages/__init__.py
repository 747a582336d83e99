"""The commands, one module each: `run` reads files, calls the packages and writes files.

The signature of `run` gives the options of the command, its docstring the help. Modules that load numerical
libraries are imported inside `run`, so that help is quick and the command line sets the threads first.
"""
