"""HAProxy's configuration before several servers, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from fovea.contract.errors import Misconfigured

_REPLICA = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:(?P<grpc>\d+))?(:(?P<http>\d+))?(:(?P<agent>\d+))?", re.A)
_PORTS = {"grpc": 8001, "http": 8000, "agent": 8003}
_MOST_PORT = 65535


@dataclass(frozen=True)
class Replica:
    """Where one server listens, or, where a name stands for several, each of them."""

    host: str
    grpc: int
    http: int
    agent: int
    """0 where it has none."""

    @property
    def by_name(self) -> bool:
        """Whether DNS is asked for it, again and again."""
        try:
            ip_address(self.host.strip("[]"))
        except ValueError:
            return True
        return False


@dataclass(frozen=True)
class Listening:
    """Where HAProxy listens."""

    host: str = "127.0.0.1"
    grpc: int = 8001
    http: int = 8000
    metrics: int = 8002


def replica(text: str) -> Replica:
    """HOST[:GRPC[:HTTP[:AGENT]]]; Misconfigured where it is something else."""
    found = _REPLICA.fullmatch(text)
    ports = {} if found is None else {name: int(found[name] or usual) for name, usual in _PORTS.items()}
    if found is None or not (ports["grpc"] and ports["http"]) or max(ports.values()) > _MOST_PORT:
        usual = ":".join(map(str, _PORTS.values()))
        raise Misconfigured(f"expected HOST[:GRPC[:HTTP[:AGENT]]], such as 10.0.0.7:{usual}, received {text!r}")
    return Replica(found["host"], **ports)


def servers(replicas: Sequence[Replica]) -> list[tuple[str, Replica]]:
    """What stands before the address of each: a name of its own."""
    return [(f"server fovea{number}", one) for number, one in enumerate(replicas, 1)]


def discovered(one: Replica, most: int) -> list[tuple[str, Replica]]:
    """The same for a name behind which DNS tells at most so many."""
    return [(f"server-template fovea {most}", one)]


def haproxy_config(places: Sequence[tuple[str, Replica]], listening: Listening) -> str:
    """The file; `places` are of `servers` or `discovered`."""
    checked = " proto h2 port {} check-proto h1"  # of its health, over HTTP
    return _TEMPLATE.format(
        host=listening.host,
        listening=listening,
        resolvers=_RESOLVERS if any(one.by_name for _, one in places) else "",
        grpc="\n".join(_server(start, one, one.grpc, checked.format(one.http)) for start, one in places),
        http="\n".join(_server(start, one, one.http, "") for start, one in places),
    )


def _server(start: str, one: Replica, port: int, protocol: str) -> str:
    agent = f" agent-check agent-port {one.agent}" if one.agent else ""
    names = " resolvers names init-addr none" if one.by_name else ""
    return f"    {start} {one.host}:{port}{protocol}{agent}{names}"


_TEMPLATE = """\
# One address before several servers. Each request finds its own server, also those of one gRPC connection.
# Written by `fovea cluster`.
global
    log stdout format raw daemon notice
    tune.h2.max-concurrent-streams 1024
    tune.h2.initial-window-size 1048576 # a tensor should not wait for the window

defaults
    mode http
    option dontlognull
    option redispatch # retries below are of connections that failed: the request itself was never sent
    retries 3
    retry-on conn-failure
    http-reuse always
    balance leastconn # per request: calls under way, divided by the weight
    option httpchk GET /v2/health/ready # whether a server is ready is asked over HTTP
    timeout connect 2s
    timeout http-request 10s
    timeout client 10m # streams may be silent for long; gRPC's own deadlines end calls earlier
    timeout server 10m
    # What servers tell (fovea serve --agent-port) are percentages of this weight; of 1 they would be rounded to 0
    default-server check inter 1s fall 2 rise 1 weight 100 maxconn 4096
{resolvers}
frontend grpc
    bind {host}:{listening.grpc} proto h2
    default_backend grpc

frontend http
    bind {host}:{listening.http}
    default_backend http

# Its own metrics, and whether at least one server is ready
frontend metrics
    bind {host}:{listening.metrics}
    monitor-uri /ready
    monitor fail if {{ nbsrv(grpc) lt 1 }}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 404

# Only what becomes of servers is logged: lines of requests would be made, which costs, and dropped as too unimportant
backend grpc
    log global
{grpc}

backend http
    log global
{http}
"""
_RESOLVERS = """
resolvers names # the machine's or container's: Docker's, or Kubernetes' for a headless service
    parse-resolv-conf
    accepted_payload_size 8192
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    hold obsolete 3s
"""
