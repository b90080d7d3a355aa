"""Serving an atlas on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
import time
import webbrowser
from pathlib import Path

from conceptome.atlas import Annotations, Atlas, require_whole
from conceptome.core import InputError, require_extra

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
WAIT_FOR_START = 30.0

logger = logging.getLogger(__name__)


def serve(path: Path | str, *, host: str = "127.0.0.1", port: int = 8000, open_browser: bool = True) -> None:
    """Serve an atlas until Ctrl-C.

    Parameters
    ----------
    path
        The atlas.
    host
        An address of this machine that only this machine reaches.
    port
        Where; 0 = any free port.
    open_browser
        Open it in a browser.

    Raises
    ------
    BundleError
        If it is no atlas, or a damaged one.
    InputError
        If the host is reachable from elsewhere, or the port is in use.
    MissingExtraError
        If the extra ``web`` is not installed.
    """
    require_extra("fastapi", "web")
    uvicorn = require_extra("uvicorn", "web")
    require_loopback(host)
    from conceptome.web.app import create_app

    with (
        Atlas.open(path) as atlas,
        bound_socket(host, port) as listening,
        Annotations.beside(path, atlas.dictionary_id) as annotations,
    ):
        require_whole(atlas)
        port = listening.getsockname()[1]
        if annotations.obstacle:
            logger.warning("Annotations cannot be saved: %s", annotations.obstacle)
        elsewhere = annotations.counts()[1]
        if elsewhere:
            where = f"{annotations.path} also has annotations of {elsewhere:,} concepts of another dictionary"
            logger.info("%s; they stay there and are not shown.", where)
        app = create_app(atlas, annotations, hosts=[f"{name}:{port}" for name in LOCAL_NAMES])
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,  # the default closes handlers of other packages, and their streams
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=2,
            )
        )
        app.state.kept.table(atlas, "concepts")  # asked first by everyone
        address = f"http://{'localhost' if ':' in host else host}:{port}/"
        logger.info("%s is open at %s (Ctrl-C ends)", path, address)
        if open_browser:
            threading.Thread(target=_open_when_started, args=(server, address), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
            server.run(sockets=[listening])


def require_loopback(host: str) -> None:
    """Refuse an address that other machines can reach.

    Parameters
    ----------
    host
        A name or an address.

    Raises
    ------
    InputError
        If it is not a loopback address.
    """
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        msg = (
            f"host is {host!r}; this server has no user accounts and listens on this machine only. Leave "
            "--host out, and from elsewhere forward its port: ssh -L 8000:127.0.0.1:8000 THIS-MACHINE"
        )
        raise InputError(msg)


def bound_socket(host: str, port: int) -> socket.socket:
    """Take a port.

    Parameters
    ----------
    host
        A loopback address.
    port
        Which; 0 = any free one.

    Raises
    ------
    InputError
        If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        msg = (
            f"Port {port} of {host} cannot be used ({reason}). Choose another with --port; 0 is any free one."
        )
        raise InputError(msg) from None
    return listening


def _open_when_started(server: object, address: str) -> None:
    end = time.monotonic() + WAIT_FOR_START
    while not getattr(server, "started", False) and time.monotonic() < end:
        time.sleep(0.05)
    if not webbrowser.open(address):
        logger.info("No browser could be opened here; open the address by hand.")
