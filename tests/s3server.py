"""An S3 server in memory: ``python -m tests.s3server BUCKET...`` prints its address and serves.

A process of its own, because the implementation keeps what is stored per process: two servers in
one would share their buckets.
"""

import sys
import threading
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass


def main(*buckets: str) -> None:
    """Serve empty buckets until the process is ended; any credentials do."""
    application = DomainDispatcherApplication(create_backend_app)
    one_writer = threading.Lock()

    def in_turn(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return application(environ, start_response)
        # S3 decides conditional puts one after the other.
        with one_writer:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, in_turn, threaded=True, request_handler=_Quiet)
    for bucket in buckets:
        _make(application, bucket)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def _make(application: Any, bucket: str) -> None:
    answer = Client(application).put(f"/{bucket}", base_url="http://127.0.0.1")
    if answer.status_code != 200:
        raise RuntimeError(f"bucket {bucket} was not made: {answer.text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
