"""`python -m lipsmith` is the `lipsmith` program."""

from lipsmith.cli import main

main()
