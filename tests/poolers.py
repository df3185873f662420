"""A real pgbouncer in front of a database, in transaction mode."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from programs import need_program

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pgbouncer(
    direct: str, *, connections: int = 1, certificates: Path | None = None
) -> Iterator[str]:
    """The URL through a pgbouncer with so many server connections.

    Args:
        direct: the URL of the database, on a socket.
        connections: to the server, for all clients together.
        certificates: a directory with server.crt and server.key; with it, TLS is offered.
    """
    program = need_program("pgbouncer")
    parts = urlsplit(direct)
    server = Path(parse_qs(parts.query)["host"][0])
    database = parts.path.strip("/")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="etl-pgb-") as name:
        directory = Path(name)
        (directory / "users").write_text('"postgres" ""\n')
        tls = ""
        if certificates:
            for file in ("server.crt", "server.key"):
                shutil.copy(certificates / file, directory)
            tls = (
                f"client_tls_sslmode = allow\nclient_tls_cert_file = {directory}/server.crt\n"
                f"client_tls_key_file = {directory}/server.key\n"
            )
        (directory / "pgbouncer.ini").write_text(
            f"[databases]\n{database} = host={server} dbname={database}\n"
            f"[pgbouncer]\npool_mode = transaction\ndefault_pool_size = {connections}\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {directory}/users\n{tls}"
        )
        command = [program, "-q", str(directory / "pgbouncer.ini")]
        if os.geteuid() == 0:
            # It refuses to be root; the server's user may enter the server's directory.
            owner = pwd.getpwuid(server.stat().st_uid)
            for path in (directory, *directory.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            command[1:1] = ["-u", owner.pw_name]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                _wait_for(port, process)
                yield f"postgresql://postgres@localhost:{port}/{database}"
            finally:
                process.terminate()
                process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    raise AssertionError("pgbouncer did not start to listen")
