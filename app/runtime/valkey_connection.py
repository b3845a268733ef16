"""How to reach Valkey: a URL read once, a connection opened with a password or with a token of IAM."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from valkey.asyncio import Connection

SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}  # scheme → whether by TLS
PORT = 6379

# A token opens connections for 15 minutes, and ElastiCache ends a connection after 12 hours
# (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html, limitations): each connection signs its own.
TOKEN_SECONDS = 900

CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class ValkeyConnection:
    """Where Valkey is, and who we are there. The name of a cache and its region mean: a token of IAM for a password."""

    host: str
    port: int = PORT
    tls: bool = True
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    iam_cache: str | None = None
    iam_region: str | None = None


def read_valkey_url(url: str, iam_cache: str | None = None, iam_region: str | None = None) -> ValkeyConnection:
    """ValueError says which part of the URL is wrong and why, and never quotes the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL with a port from 1 to 65535") from None
    if parts.scheme not in SCHEMES:
        # Without a scheme the first part of the text may be anything, a password too.
        raise ValueError(f"its scheme is none of {', '.join(SCHEMES)}")
    if not parts.hostname:
        raise ValueError("it names no host")
    if port == 0:
        raise ValueError("port 0 is no port to connect to")
    database = parts.path.removeprefix("/")
    if not (database == "" or (database.isascii() and database.isdecimal())):
        raise ValueError("its path is not the number of a database")
    if parts.query or parts.fragment:
        raise ValueError("it has options after ? or #, and none is known")
    connection = ValkeyConnection(
        host=parts.hostname,
        port=port or PORT,
        tls=SCHEMES[parts.scheme],
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=int(database or 0),
        iam_cache=iam_cache or None,
        iam_region=iam_region or None,
    )
    if connection.iam_cache:
        _check_iam(connection)
    elif connection.user and not connection.password:
        raise ValueError("it names a user without a password, and no cache whose tokens IAM signs is named")
    return connection


def _check_iam(connection: ValkeyConnection) -> None:
    if not connection.tls:
        raise ValueError("IAM authentication works by TLS only: the scheme must be rediss or valkeys")
    if not connection.user:
        raise ValueError("it names no user, and IAM authentication needs one: rediss://user@host")
    if connection.password:
        raise ValueError("it has a password, and IAM authentication makes its own")
    if not connection.iam_region:
        raise ValueError("IAM authentication needs the region of the cache")


async def open_connection(valkey: ValkeyConnection) -> Connection:
    """One connection, signed in; it never connects again by itself, so that nobody misses that it was away."""
    from valkey.asyncio import Connection, SSLConnection  # not in commands, which read the URL alone

    password = valkey.password
    if valkey.iam_cache:
        # The credentials may have to be fetched from the pod's agent, by a blocking call.
        password = await asyncio.to_thread(iam_token, valkey)
    arguments: dict[str, Any] = {
        "host": valkey.host,
        "port": valkey.port,
        "db": valkey.database,
        "username": valkey.user,
        "password": password,
        "client_name": "langgraph-agent",
        "socket_timeout": None,  # whoever waits for an answer says how long
        "socket_keepalive": True,
    }
    # The client's default is to take any valid certificate, of whatever host.
    connection = SSLConnection(ssl_check_hostname=True, **arguments) if valkey.tls else Connection(**arguments)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


def iam_token(valkey: ValkeyConnection) -> str:
    """A request to connect, signed with the credentials of this process: what ElastiCache takes as the password."""
    # Only where IAM is used: it takes long to import.
    import botocore.session
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import NoCredentialsError

    credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    query = urlencode({"Action": "connect", "User": valkey.user})
    request = AWSRequest("GET", f"https://{valkey.iam_cache}/?{query}")
    region = valkey.iam_region or ""  # read_valkey_url sees to it
    SigV4QueryAuth(credentials.get_frozen_credentials(), "elasticache", region, TOKEN_SECONDS).add_auth(request)
    return str(request.url).removeprefix("https://")
