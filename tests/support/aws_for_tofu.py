"""AWS's APIs for OpenTofu: moto as a process of its own, mended where its answers are not AWS's (aws_mends).

`python aws_for_tofu.py PORT` serves on loopback.
"""

import importlib
import pkgutil
import sys

import aws_mends

if __name__ == "__main__":
    from moto.server import main

    for found in pkgutil.iter_modules(aws_mends.__path__, "aws_mends."):
        for mend in importlib.import_module(found.name).MENDS:
            mend()
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
