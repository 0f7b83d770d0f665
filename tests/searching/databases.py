"""A PostgreSQL of the test's own, where the programs of Debian's package are there."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


def _program(name):
    found = shutil.which(name)
    several = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return found if found and name == "pg_ctl" else str(several[-1]) if several else None


class Server:
    """One that listens on a port of this machine alone, and can be stopped and begun again."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"postgresql://search:secret@127.0.0.1:{self.port}/postgres"

    def run(self, program, *words):
        whole = [_program(program), *map(str, words)]
        if os.getuid() == 0:  # the server does not run as root
            whole = ["runuser", "-u", "postgres", "--", *whole]
        with open(self.folder / "said", "ab") as said:  # a pipe would be kept open by the server
            done = subprocess.run(
                whole, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                timeout=60,
            )  # fmt: skip
        return done.returncode

    def begin(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        return self.run("pg_ctl", "-D", self.data, "-w", "-o", options, "start")

    def stop(self):
        return self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")


@contextlib.contextmanager
def server():
    if not (_program("initdb") and _program("pg_ctl")) or not hasattr(os, "getuid"):
        pytest.skip("no PostgreSQL on this machine")
    if os.getuid() == 0 and not shutil.which("runuser"):
        pytest.skip("a PostgreSQL does not run as root, and there is no runuser")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # with a short path, for its socket
    try:
        folder.chmod(0o777)
        own = Server(folder)
        (folder / "password").write_text("secret\n", encoding="utf-8")
        made = own.run(
            "initdb", "-D", own.data, "-U", "search", "-A", "scram-sha-256", "-N", "-E", "UTF8",
            f"--pwfile={folder / 'password'}",
        )  # fmt: skip
        if made or own.begin():
            pytest.skip("a PostgreSQL could not be begun on this machine")
        try:
            yield own
        finally:
            own.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
