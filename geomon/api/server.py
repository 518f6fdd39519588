"""The HTTP server before the web application."""

import socket

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """Serves one application; when stopped it ends the streams that would never end themselves.

    Parameters
    ----------
    app : FastAPI
        What `geomon.api.app.create_app` makes.
    host, port : str, int
        Where it listens, if no socket is given to `run`.
    """

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 8080) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_level="warning",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=10,
            )
        )
        self._end_streams = app.state.end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then wait for the answers that are under way."""
        self._end_streams()
        await super().shutdown(sockets)
