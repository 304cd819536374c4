"""Entry of the processes that the driver starts; not for users."""

import sys

from runner.worker.template import main

if __name__ == "__main__":
    main(sys.argv[1])
