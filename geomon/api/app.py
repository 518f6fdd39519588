"""The web application: FDSN services, JSON, and the page."""

from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from geomon.api import fdsn_availability, fdsn_dataselect, fdsn_event, fdsn_station
from geomon.api.access import Access, access_api
from geomon.api.columns import columns_api
from geomon.api.guard import Guard
from geomon.api.history import history_api
from geomon.api.live import Pulse, live_api
from geomon.api.pages import json_api
from geomon.api.problems import add_problem_answers
from geomon.api.queue import queue_api
from geomon.api.records import records_api
from geomon.api.review import review_api
from geomon.api.stationpage import station_api
from geomon.api.watch import Watch
from geomon.api.windows import windows_api
from geomon.config import Config
from geomon.services.workspace import workspace

_STATIC = Path(__file__).parent / "static"


def create_app(config: Config, *, host: str = "127.0.0.1") -> FastAPI:
    """Make the web application of one network.

    Stores are opened on the first request that needs them.

    Parameters
    ----------
    config : Config
        The network.
    host : str
        Address the server listens on: whoever reaches another than the loopback address must log
        in to change anything.

    Raises
    ------
    ConfigError
        If the users the config names cannot be read.
    """
    from importlib.metadata import version

    space, access = workspace(config), Access(config.server, host)
    watch, pulse = Watch(space), Pulse(space)
    app = FastAPI(
        title=f"geomon: {config.network.name}",
        version=version("geomon"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # the usual pages for it load their scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(fdsn_event.event_service(space, watch))
    app.include_router(fdsn_station.station_service(space))
    app.include_router(fdsn_dataselect.dataselect_service(space, access))
    app.include_router(fdsn_availability.availability_service(space, access))
    app.include_router(live_api(pulse))
    app.include_router(access_api(access))
    app.include_router(json_api(space, watch))
    app.include_router(records_api(space, watch))
    app.include_router(columns_api(space))
    app.include_router(station_api(space, watch))
    app.include_router(review_api(space))
    app.include_router(history_api(space))
    app.include_router(queue_api(space, watch))
    app.include_router(windows_api(space, watch))

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/coverage", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/review", methods=["GET", "HEAD"], include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.state.access = access
    app.state.end_streams = pulse.stop
    app.mount("/static", _Files(directory=_STATIC), name="static")
    add_problem_answers(app)
    app.add_middleware(Guard, settings=config.server)
    return app


class _Files(StaticFiles):
    """Files that browsers may keep but must ask about, so that an update is seen at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response
