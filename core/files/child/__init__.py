"""What runs in a process of its own: it reads one file, with its hands tied, and writes down what it found."""
