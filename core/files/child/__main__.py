"""Begins a process that reads one file: its arguments say where modules are, what the file is and what it may use."""

import sys

if __name__ == "__main__":
    sys.path[:] = sys.argv[1].split("\n")  # the environment is empty, and python runs with -I -S
    from core.files.child.reading import main

    main(sys.argv[2], memory=int(sys.argv[3]), cpu=int(sys.argv[4]), seconds=float(sys.argv[5]))
