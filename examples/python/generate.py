#!/usr/bin/env python3
"""Makes the stubs (holdfast/ in this folder, or in the one that is named) from the .proto files of the repository."""

import sys
from pathlib import Path

from grpc_tools import protoc

here = Path(__file__).resolve().parent
protos = here.parent.parent / "proto"
target = Path(sys.argv[1]) if len(sys.argv) > 1 else here
files = sorted(str(file.relative_to(protos)) for file in (protos / "holdfast").rglob("*.proto"))
sys.exit(protoc.main(["protoc", f"-I{protos}", f"--python_out={target}", f"--grpc_python_out={target}", *files]))
