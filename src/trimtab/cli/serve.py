"""``trimtab up`` and ``trimtab serve``: start the gateway.

``serve`` runs a configuration. ``up`` also fetches the local model's weights, makes a key and shows how to call it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import uvicorn
import uvloop

from trimtab.cli.common.home import Home, Running
from trimtab.cli.common.offers import offers
from trimtab.cli.common.output import note
from trimtab.cli.common.weights import ensure_all
from trimtab.cli.config import config_option, deployments_table, load
from trimtab.config import Config
from trimtab.core.errors import ConfigError
from trimtab.engine.access import digest, new_key
from trimtab.engine.assembly import Assembly, assemble
from trimtab.server import IdentityProvider, Shelf, SignIn, Site, build_app
from trimtab.telemetry import configure_logging, log

port_option = click.option("--port", type=click.IntRange(0, 65535), help="Overrides [server] port.")
_SHORTEST_KEY = 20
"""Characters. A key that is made has 46; one that is chosen should not be found by trying."""

level_option = click.option(
    "--log-level", default="warning", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)


@click.command()
@config_option
@port_option
@level_option
def up(file: Path | None, port: int | None, log_level: str) -> None:
    """Start the gateway with a local model, and print how to call it."""
    configure_logging(log_level)
    home = Home.find()
    home.make()
    config, key = _with_port(load(file), port), _own_key(home)
    with _listen(config.server.host, config.server.port) as listening:
        weights, missing = ensure_all(config, home, note)
        for id, error in missing.items():
            note(f"without {id}: {error}")
        _run(config, home, weights, key, listening, welcome=True)


@click.command()
@config_option
@port_option
@level_option
def serve(file: Path | None, port: int | None, log_level: str) -> None:
    """Start the gateway that the configuration describes, and nothing else.

    A local model's weights must be there already: 'trimtab up' and 'trimtab models pull' fetch them.
    """
    configure_logging(log_level)
    home = Home.find()
    home.make()
    config, key = _with_port(load(file), port), _own_key(home)
    with _listen(config.server.host, config.server.port) as listening:
        weights, missing = ensure_all(config, home, note, fetch=False)
        for error in missing.values():
            raise error
        _run(config, home, weights, key, listening, welcome=False)


def _with_port(config: Config, port: int | None) -> Config:
    if port is None:
        return config
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=port))


def _own_key(home: Home) -> str:
    """The gateway's own key: the one that is given, or a new one, which is kept."""
    key = home.key()
    if key is None:
        key = new_key()
        home.keep_key(key)
    elif len(key) < _SHORTEST_KEY:
        raise ConfigError(
            f"The gateway's own key has fewer than {_SHORTEST_KEY} characters, so that somebody could find it by trying.",
            hint="Unset TRIMTAB_API_KEY and remove the file 'key' from TRIMTAB_HOME (.trimtab): a good one is made at the next start.",
        )
    return key


def _run(config: Config, home: Home, weights: Mapping[str, Path], key: str, listening: socket.socket, *, welcome: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, home, weights, key, listening, welcome=welcome))


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is started, so that a taken one is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, proto=socket.IPPROTO_TCP)  # asyncio turns Nagle's algorithm off for what is called TCP alone
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # a port that is only bound can be bound by others as well
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"Port {port} of {host} cannot be used: {error.strerror}.", hint=f"Another program may have it. Try --port {port + 1}."
        ) from None
    return listening


async def _serve(
    config: Config, home: Home, weights: Mapping[str, Path], key: str, listening: socket.socket, *, welcome: bool
) -> None:
    ledger = Path(config.store.path) if config.store.path else home.ledger
    async with assemble(config, ledger=ledger, weights=weights, key_digest=digest(key)) as assembly:
        for id, error in assembly.failed.items():
            note(f"without {id}: {error}")
        if not assembly.gateway.deployments:
            note(
                f"{config.file} deploys nothing, so nobody can answer. Add a [[local]] or [[deployment]], or [starters] enabled = true."
            )
        host, port = listening.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        shelf, sign_in = _shelf(assembly, config), _sign_in(assembly, config)
        app = build_app(_site(assembly, config), shelf=shelf, desk=assembly.desk, sign_in=sign_in)
        server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=round(config.server.drain_seconds),
            )
        )
        home.keep_running(Running(url=url, pid=os.getpid()))
        _settle_garbage()
        try:
            note(await _welcome(assembly, url, key) if welcome else f"Trimtab listens on {url}.")
            log(__name__, "listening", url=url, policy=config.policy_hash[:12])
            await server.serve(sockets=[listening])
        finally:
            home.forget_running(os.getpid())


def _site(assembly: Assembly, config: Config) -> Site:
    return Site(
        gateway=assembly.gateway,
        book=assembly.book,
        gate=assembly.gate,
        store=assembly.store,
        max_body_bytes=config.server.max_body_bytes,
        open_metrics=config.server.open_metrics,
    )


def _shelf(assembly: Assembly, config: Config) -> Shelf | None:
    return Shelf(assembly.store, assembly.clock, config.responses.days) if config.responses.store else None


def _sign_in(assembly: Assembly, config: Config) -> SignIn | None:
    if config.oidc is None:
        return None
    provider = IdentityProvider(config.oidc, assembly.egress, config.boundary, assembly.clock)
    return SignIn(config.oidc, provider, assembly.book, assembly.store, assembly.clock)


def _settle_garbage() -> None:
    """What is there by now stays: the collector need not walk it again, nor look after every 700 new values."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class _Server(uvicorn.Server):
    """uvicorn, but a signal only ever asks it to stop: its own way is to raise the signal again when it has stopped, which would end the
    process before the local models are stopped and the ledger is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _welcome(assembly: Assembly, url: str, key: str) -> str:
    deployments = tuple(assembly.gateway.deployments.values())
    offered = await offers(deployments)
    return f"""
{deployments_table(deployments)}
{offered}
Trimtab listens on {url}. Ask it:

curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Say hello in one sentence."}}]}}'

or from Python (pip install openai):

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{key}")
print(client.chat.completions.create(model="auto", messages=[{{"role": "user", "content": "Say hello."}}]).choices[0].message.content)

or in another terminal: trimtab ask "Say hello." and then: trimtab explain
"""
